use super::*;
use domain::coverage::JOIN;
use domain::fakes::rows;
use domain::{Assignment, ChannelKey, Heartbeat};
use jiff::SignedDuration;
use proptest::prelude::*;
use std::collections::BTreeMap;

const FRAME: SignedDuration = SignedDuration::from_millis(40);

/// A driver and a camera: keeps the machine's own rules (one connection, answers in order) and remembers what
/// was recorded and which rows were written.
struct World {
    machine: Machine,
    now: Moment,
    connection: bool,
    playing: bool,
    attempts: Vec<Duration>,
    rows: BTreeMap<Timestamp, Gap>,
    recorded: Vec<(Timestamp, Timestamp)>,
    recording: bool,
    alerts: Vec<Notice>,
    report: Option<String>,
    drained: bool,
}

fn assignment() -> Assignment {
    rows::assignment(ChannelKey::new("A", "1"), "task", wanted_since())
}

fn wanted_since() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

impl World {
    fn new() -> Self {
        let coverage = Coverage::new(&assignment(), &Heartbeat::default(), None);
        let mut out = Vec::new();
        let machine = Machine::start(coverage, 7, &mut out);
        let mut world = Self {
            machine,
            now: Moment {
                tick: Duration::ZERO,
                wall: wanted_since(),
            },
            connection: false,
            playing: false,
            attempts: Vec::new(),
            rows: BTreeMap::new(),
            recorded: Vec::new(),
            recording: false,
            alerts: Vec::new(),
            report: None,
            drained: false,
        };
        world.obey(out);
        world.give(Input::Known(Vec::new()));
        world
    }

    fn give(&mut self, input: Input) {
        let mut out = Vec::new();
        self.machine.step(input, self.now, &mut out);
        self.obey(out);
    }

    fn obey(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Connect => {
                    assert!(!self.connection, "never two connections");
                    assert!(!self.drained, "nothing is tried after the end");
                    self.connection = true;
                    self.attempts.push(self.now.tick);
                }
                Output::Disconnect => {
                    assert!(self.connection, "there is something to drop");
                    self.hangs_up();
                    self.give(Input::Disconnected);
                }
                Output::Gap(gap) => {
                    self.rows.insert(gap.start, gap);
                }
                Output::Report(error) => self.report = error,
                Output::Alert(notice) => self.alerts.push(notice),
                Output::Drain => self.drained = true,
            }
        }
    }

    fn connects(&mut self) {
        if self.connection && !self.playing {
            self.playing = true;
            self.give(Input::Connected);
        }
    }

    fn fails(&mut self, cause: GapCause) {
        if self.connection {
            self.hangs_up();
            self.give(Input::Failed(Failure::new(cause, "as told")));
        }
    }

    /// The connection is gone, and what it gave is recorded.
    fn hangs_up(&mut self) {
        self.connection = false;
        self.playing = false;
        if std::mem::take(&mut self.recording) {
            let (_, end) = *self.recorded.last().unwrap();
            self.give(Input::Stopped(end, GapCause::Starting));
        }
    }

    /// One recorded frame, which takes its own time.
    fn frame(&mut self) {
        if self.playing {
            let from = self.now.wall;
            self.give(Input::Frame);
            self.bridge(from);
            self.recorded.push((from, from + FRAME));
            if !std::mem::replace(&mut self.recording, true) {
                self.give(Input::Started(from));
            }
        }
        self.passes(Duration::from_millis(40));
    }

    /// What the pipeline makes of a pause: a picture that lasts longer, or a break when it is long.
    fn bridge(&mut self, next: Timestamp) {
        let Some((_, end)) = self.recorded.last_mut().filter(|_| self.recording) else {
            return;
        };
        if next.duration_since(*end) <= SignedDuration::from_secs(2) {
            *end = next;
            return;
        }
        let end = *end;
        self.recording = false;
        self.give(Input::Stopped(end, GapCause::StreamStalled));
    }

    /// Time passes; every tick that is due in it is given at its time.
    fn passes(&mut self, time: Duration) {
        let end = self.now.tick + time;
        while let Some(due) = self.machine.next_tick(self.now)
            && due <= end
        {
            self.advance(due.max(self.now.tick));
            self.give(Input::Tick);
        }
        self.advance(end);
    }

    fn advance(&mut self, tick: Duration) {
        self.now.wall += SignedDuration::try_from(tick - self.now.tick).unwrap();
        self.now.tick = tick;
    }

    fn records_for(&mut self, time: Duration) {
        let end = self.now.tick + time;
        while self.now.tick < end {
            self.frame();
        }
    }

    /// The holes between what was recorded, as (start, end); one that lasts counts once it is a second old.
    fn true_holes(&self) -> Vec<(Timestamp, Option<Timestamp>)> {
        let mut holes = Vec::new();
        let mut covered = wanted_since();
        for (from, to) in &self.recorded {
            if from.duration_since(covered) > JOIN {
                holes.push((covered, Some(*from)));
            }
            covered = *to;
        }
        let lasts = !self.recording;
        if lasts && self.now.wall.duration_since(covered) >= super::super::hole::OPEN_AFTER {
            holes.push((covered, None));
        }
        holes
    }

    fn only_row(&self) -> &Gap {
        assert_eq!(self.rows.len(), 1, "{:?}", self.rows);
        self.rows.values().next().unwrap()
    }
}

fn cause() -> impl Strategy<Value = GapCause> {
    prop::sample::select(vec![
        GapCause::GatewayDown,
        GapCause::Network,
        GapCause::StreamRefused,
        GapCause::UnsupportedStream,
        GapCause::TransformFailed,
    ])
}

#[derive(Debug, Clone)]
enum Weather {
    Connects,
    Fails(GapCause),
    Frames(u8),
    Silence(u64),
    Moves,
}

fn weather() -> impl Strategy<Value = Vec<Weather>> {
    let one = prop_oneof![
        3 => Just(Weather::Connects),
        2 => cause().prop_map(Weather::Fails),
        3 => (1_u8..60).prop_map(Weather::Frames),
        2 => (1_u64..20_000).prop_map(Weather::Silence),
        1 => Just(Weather::Moves),
    ];
    prop::collection::vec(one, 0..60)
}

fn suffer(world: &mut World, weather: &[Weather]) {
    for event in weather {
        match event {
            Weather::Connects => world.connects(),
            Weather::Fails(cause) => world.fails(*cause),
            Weather::Frames(n) => (0..*n).for_each(|_| world.frame()),
            Weather::Silence(ms) => world.passes(Duration::from_millis(*ms)),
            Weather::Moves => world.give(Input::Changed { reconnect: true }),
        }
    }
}

proptest! {
    #[test]
    fn always_records_again_once_the_trouble_is_over(weather in weather()) {
        let mut world = World::new();
        suffer(&mut world, &weather);
        let calm = world.now.tick;
        while world.now.tick < calm + RECONNECT_MAX + FIRST_FRAME_WITHIN {
            world.connects();
            world.frame();
        }
        let recording = matches!(world.machine.state, State::Recording { .. });
        prop_assert!(recording);
        prop_assert_eq!(&world.report, &None);
    }

    #[test]
    fn gap_rows_cover_exactly_the_silent_time(weather in weather()) {
        let mut world = World::new();
        suffer(&mut world, &weather);
        let rows: Vec<_> = world.rows.values().map(|gap| (gap.start, gap.end)).collect();
        prop_assert_eq!(rows, world.true_holes());
    }

    #[test]
    fn attempts_never_come_closer_than_the_backoff_allows(cause in cause()) {
        let mut world = World::new();
        for _ in 0..200 {
            world.fails(cause);
            world.passes(Duration::from_millis(100));
        }
        let waits: Vec<_> = world.attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        prop_assert_eq!(waits[0], Duration::ZERO);
        prop_assert!(waits[1..].iter().all(|wait| *wait >= RECONNECT_FIRST / 2));
        prop_assert!(waits.iter().all(|wait| *wait <= RECONNECT_MAX + Duration::from_millis(100)));
        prop_assert!(world.attempts.len() < 40, "{} attempts in 20 s", world.attempts.len());
    }

    #[test]
    fn stopping_ends_from_any_state_and_tries_nothing_more(weather in weather()) {
        let mut world = World::new();
        suffer(&mut world, &weather);
        world.give(Input::Stop);
        prop_assert!(world.drained);
        prop_assert!(!world.connection);
        let attempts = world.attempts.len();
        suffer(&mut world, &weather);
        prop_assert_eq!(world.attempts.len(), attempts);
    }
}

#[test]
fn a_silent_connection_is_stalled_within_ten_seconds() {
    let mut world = World::new();
    world.connects();
    world.records_for(Duration::from_secs(3));
    world.passes(STALL_AFTER);
    assert_eq!(world.attempts.len(), 2, "reconnected at once");
    assert_eq!(world.only_row().cause, GapCause::StreamStalled);
    assert_eq!(world.only_row().start, world.recorded.last().unwrap().1);
    assert_eq!(world.only_row().end, None);
    world.connects();
    world.passes(FIRST_FRAME_WITHIN);
    let dropped = world.attempts.len() == 3 && !world.playing;
    assert!(dropped, "a connection that never gives a frame is dropped too");
}

#[test]
fn rejected_credentials_are_tried_once_and_told_once() {
    let mut world = World::new();
    world.fails(GapCause::CredentialsRejected);
    world.passes(Duration::from_secs(86_400));
    assert_eq!(world.attempts.len(), 1);
    assert_eq!(world.alerts.len(), 1);
    assert_eq!(world.only_row().cause, GapCause::CredentialsRejected);

    world.give(Input::Changed { reconnect: false });
    assert_eq!(
        world.attempts.len(),
        2,
        "somebody changed something: one more try"
    );
    world.fails(GapCause::CredentialsRejected);
    world.passes(Duration::from_secs(3600));
    assert_eq!((world.attempts.len(), world.alerts.len()), (2, 1));

    world.give(Input::Changed { reconnect: true });
    world.connects();
    world.frame();
    assert_eq!(
        world.alerts.last(),
        Some(&Notice::Resolved(GapCause::CredentialsRejected))
    );
}

#[test]
fn the_answer_to_the_next_attempt_explains_a_broken_connection() {
    let mut world = World::new();
    world.connects();
    world.records_for(Duration::from_secs(1));
    world.fails(GapCause::Network);
    world.fails(GapCause::StreamRefused);
    world.passes(Duration::from_secs(2));
    assert_eq!(world.rows.values().last().unwrap().cause, GapCause::StreamRefused);
    world.give(Input::Device(DeviceState::Missing {
        since: world.now.wall,
        missed_polls: 1,
        hint: None,
    }));
    assert_eq!(world.only_row().cause, GapCause::DeviceOffline(None));
}

#[test]
fn a_wall_clock_that_steps_back_stops_nothing() {
    let mut world = World::new();
    world.connects();
    world.records_for(Duration::from_secs(2));
    world.now.wall -= SignedDuration::from_hours(1);
    world.passes(STALL_AFTER);
    assert_eq!(world.attempts.len(), 2);
}

#[test]
fn a_source_that_breaks_every_few_seconds_is_not_hammered() {
    let mut world = World::new();
    for _ in 0..30 {
        world.connects();
        world.records_for(Duration::from_secs(2));
        world.fails(GapCause::Network);
        world.passes(RECONNECT_MAX);
    }
    let waits: Vec<_> = world.attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[10..].iter().all(|wait| *wait >= RECONNECT_MAX / 2));

    world.connects();
    world.records_for(HEALTHY_AFTER + Duration::from_secs(1));
    let attempts = world.attempts.len();
    world.fails(GapCause::Network);
    assert_eq!(
        world.attempts.len(),
        attempts + 1,
        "healthy for long: at once again"
    );
}
