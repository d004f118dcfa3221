//! A recorder's death is told once, whatever the events do.
#![allow(clippy::unwrap_used)]

use domain::death::{Death, Told, tell};
use domain::fakes::{FakeAlerts, FakeTables, Weather, rows};
use domain::ports::{Put, TasksTable};
use domain::{ChannelKey, TaskArn};
use futures::executor::block_on;
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn death(id: usize) -> Death {
    Death {
        task: TaskArn::new(format!("arn:aws:ecs:eu-west-1:1:task/cell/{id:032}")),
        at: at(0),
        text: format!("recorder {id} died with exit code 1"),
    }
}

struct World {
    weather: Weather,
    tables: FakeTables,
    alerts: FakeAlerts,
}

fn world() -> World {
    let weather = Weather::calm();
    World {
        tables: FakeTables::new(weather.clone()),
        alerts: FakeAlerts::new(weather.clone()),
        weather,
    }
}

impl World {
    fn tell(&self, id: usize, second: i64) -> Told {
        block_on(tell(&self.tables, &self.alerts, &death(id), at(second))).unwrap()
    }
}

#[test]
fn a_repeated_event_is_told_once() {
    let world = world();
    assert_eq!([world.tell(1, 0), world.tell(2, 1)], [Told::Now, Told::Now]);
    assert_eq!(
        [world.tell(1, 60), world.tell(2, 3600)],
        [Told::Before, Told::Before]
    );
    assert_eq!(world.alerts.told().len(), 2);
}

#[test]
fn the_same_event_twice_at_once_is_told_once() {
    let world = world();
    let death = death(1);
    let run = || tell(&world.tables, &world.alerts, &death, at(0));
    let (one, other) = block_on(async { futures::join!(run(), run()) });
    let told = [one.unwrap(), other.unwrap()];
    assert!(
        told.contains(&Told::Now) && told.contains(&Told::Before),
        "{told:?}"
    );
    assert_eq!(world.alerts.told().len(), 1);
}

#[test]
fn a_death_that_could_not_be_told_is_told_when_the_event_comes_again() {
    for seed in 0..200 {
        let weather = Weather::seeded(seed);
        let world = World {
            tables: FakeTables::new(weather.clone()),
            alerts: FakeAlerts::new(weather.clone()),
            weather,
        };
        world.weather.set_trouble(30);
        let answer = block_on(tell(&world.tables, &world.alerts, &death(1), at(0)));
        world.weather.set_trouble(0);
        if answer.is_err() {
            world.tell(1, 60);
        }
        let told = world.alerts.told().len();
        assert!((1..=2).contains(&told), "seed {seed}: told {told} times");
        assert!(
            told == 1 || answer.is_err(),
            "seed {seed}: told twice for one event"
        );
    }
}

#[test]
fn a_flood_of_deaths_is_not_told_one_by_one() {
    let world = world();
    let told: Vec<Told> = (0..1000).map(|id| world.tell(id, 1)).collect();
    assert_eq!(told.iter().filter(|told| **told == Told::Now).count(), 20);
    assert_eq!(world.alerts.told().len(), 20);
    assert_eq!(world.tell(1001, 700), Told::Now);
}

#[test]
fn an_alert_names_the_channels_the_recorder_had() {
    let world = world();
    for device in ["A", "B"] {
        let assignment = rows::assignment(ChannelKey::new(device, "1"), death(1).task, at(-100));
        let put = block_on(world.tables.put_assignment(&assignment, None)).unwrap();
        assert_eq!(put, Put::Written);
    }
    world.tell(1, 0);
    let text = &world.alerts.told()[0].text;
    assert_eq!(text, "recorder 1 died with exit code 1. It recorded A/1, B/1");
}
