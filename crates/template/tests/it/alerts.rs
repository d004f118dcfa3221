//! Whatever people are told of is explained to them.

use crate::{between, source};
use std::collections::BTreeSet;

/// Where alerts are made.
const MADE_IN: [&str; 3] = ["crates/domain/src", "container/src", "functions"];

/// What stands before the subject of an alert, where it is one text in the code. White space counts as one space.
const BEFORE: [&str; 3] = ["subject: \"", "SUBJECT: &str = \"", "trouble( \""];

/// Its texts are subjects, all of them.
const UPLOADER: &str = "container/src/uploader.rs";

/// Subjects that are put together, as the documentation writes them.
const PUT_TOGETHER: [&str; 6] = [
    "recorder ID",
    "gateway HOST",
    "channel …",
    "transform of channel …",
    "replacement",
    "drill",
];

fn subjects(code: &str) -> BTreeSet<&str> {
    BEFORE
        .iter()
        .flat_map(|before| between(code, before, "\""))
        .collect()
}

#[test]
fn every_alert_is_explained_with_what_to_do() {
    let code: String = MADE_IN.iter().map(|folder| source(folder)).collect();
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let uploader = source(UPLOADER);
    let mut subjects = subjects(&code);
    subjects.extend(between(&uploader, ": &str = \"", "\""));
    assert!(
        subjects.len() >= 18,
        "alerts are made in some other way now: {subjects:?}"
    );
    let documented = source("docs/operations.md");
    for subject in subjects.into_iter().chain(PUT_TOGETHER) {
        let row = documented
            .lines()
            .find(|line| line.starts_with(&format!("| `{subject}`")));
        let cells = row
            .unwrap_or_else(|| panic!("docs/operations.md lacks `{subject}`"))
            .split('|');
        let told = cells.skip(2).filter(|cell| !cell.trim().is_empty()).count();
        assert_eq!(told, 2, "`{subject}`: what it means, and what to do");
    }
}
