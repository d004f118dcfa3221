use super::*;
use domain::GapCause;
use domain::fakes::{FakeTables, Weather};
use tempfile::TempDir;

fn gap(start: i64, end: Option<i64>) -> Gap {
    Gap {
        key: ChannelKey::new("A", "1"),
        start: Timestamp::from_second(start).unwrap(),
        end: end.map(|end| Timestamp::from_second(end).unwrap()),
        cause: GapCause::Network,
    }
}

async fn stored(table: &FakeTables) -> Vec<Gap> {
    let key = gap(0, None).key;
    let all = table.list_gaps(&key, Timestamp::MIN, Timestamp::MAX);
    all.await.unwrap()
}

#[tokio::test]
async fn rows_outlive_the_process_and_the_later_word_counts() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    journal.note(gap(10, None));
    journal.note(gap(10, Some(15)));
    journal.note(gap(20, None));
    drop(journal);

    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.waiting(), 2);
    let table = FakeTables::new(Weather::calm());
    journal.deliver_once(&table).await.unwrap();
    assert_eq!(stored(&table).await, [gap(10, Some(15)), gap(20, None)]);
    drop(journal);
    assert_eq!(
        Journal::open(dir.path()).unwrap().waiting(),
        0,
        "the table has them"
    );
}

#[tokio::test]
async fn a_line_cut_off_by_a_crash_costs_no_other() {
    let dir = TempDir::new().unwrap();
    Journal::open(dir.path()).unwrap().note(gap(10, None));
    let path = dir.path().join(JOURNAL_FILE);
    let mut text = fs::read(&path).unwrap();
    let half = text.len() / 2;
    text.extend_from_within(..half);
    fs::write(&path, text).unwrap();
    assert_eq!(Journal::open(dir.path()).unwrap().waiting(), 1);
}

#[tokio::test]
async fn a_table_that_is_away_loses_no_row() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    (0..50).for_each(|start| journal.note(gap(start, Some(start + 1))));
    let weather = Weather::seeded(1);
    let table = FakeTables::new(weather.clone());
    weather.set_trouble(40);
    let mut rounds = 0;
    while journal.deliver_once(&table).await.is_err() {
        rounds += 1;
        assert!(rounds < 1_000, "every round gets a row further as a rule");
    }
    weather.set_trouble(0);
    assert_eq!(stored(&table).await.len(), 50);
}

#[tokio::test]
async fn what_waits_here_hides_what_the_table_still_says() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    journal.note(gap(10, Some(15)));
    let other = Gap {
        key: ChannelKey::new("B", "1"),
        ..gap(40, None)
    };
    journal.note(other);
    let table = vec![gap(10, None), gap(30, None)];
    let known = journal.overlay(&gap(0, None).key, table);
    assert_eq!(known, [gap(10, Some(15)), gap(30, None)]);
}

#[test]
fn a_dead_recorders_rows_are_taken_over_once() {
    let (own, dead) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let journal = Journal::open(dead.path()).unwrap();
    journal.note(gap(10, None));
    journal.note(gap(20, None));
    drop(journal);

    let journal = Journal::open(own.path()).unwrap();
    journal.note(gap(10, Some(15)));
    journal.absorb(dead.path()).unwrap();
    assert_eq!(journal.waiting(), 2);
    assert_eq!(
        journal.overlay(&gap(0, None).key, Vec::new())[0],
        gap(10, Some(15)),
        "our word is newer"
    );
    assert!(!dead.path().join(JOURNAL_FILE).exists());
    journal.absorb(dead.path()).unwrap();
}

#[test]
fn rows_that_no_longer_fit_are_counted() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let too_many = i64::try_from(ROWS_MAX).unwrap() + 3;
    (0..too_many).for_each(|start| journal.note(gap(start, None)));
    assert_eq!((journal.waiting(), journal.dropped()), (ROWS_MAX, 3));
}
