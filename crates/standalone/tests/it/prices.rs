//! Prices of a Region that is not built in: a person's own table, made from the one that is printed.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn millrace(arguments: &[&str], folder: &Path) -> Output {
    let mut millrace = Command::new(env!("CARGO_BIN_EXE_millrace"));
    millrace.current_dir(folder).env_remove("AWS_REGION");
    millrace.args(arguments).output().unwrap()
}

#[test]
fn a_table_of_ones_own_is_the_printed_one_with_other_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = millrace(
        &["cost", "--channels", "10", "--region", "eu-central-1"],
        folder.path(),
    );
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(!unknown.status.success());
    assert!(
        said.contains("`--prices`") && said.contains("`millrace prices`"),
        "{said}"
    );

    let printed = millrace(&["prices"], folder.path());
    let table = String::from_utf8(printed.stdout).unwrap();
    let mine = table
        .replace("region = \"us-east-1\"", "region = \"eu-central-1\"")
        .replace("write-million = 0.625", "write-million = 62.5");
    assert_ne!(table, mine);
    std::fs::write(folder.path().join("mine.toml"), mine).unwrap();
    let bill = |flags: &[&str]| {
        let bill = millrace(
            &[&["cost", "--channels", "10", "--json"], flags].concat(),
            folder.path(),
        );
        let bill: Value = serde_json::from_slice(&bill.stdout).unwrap();
        (bill["region"].clone(), bill["total"].as_f64().unwrap())
    };
    let (built_in, mine) = (bill(&[]), bill(&["--prices", "mine.toml"]));
    assert_eq!((built_in.0, mine.0), ("us-east-1".into(), "eu-central-1".into()));
    assert!(mine.1 > built_in.1 + 50.0, "{} {}", mine.1, built_in.1);
}
