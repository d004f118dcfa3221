//! Bills against sums made by hand, against the template and the documents, and how they move with each parameter.

#![allow(clippy::unwrap_used)]

use clap::{Args, Command, FromArgMatches};
use cost::{Bill, Deployment, Dollars, Item, Neighbour, Prices, bill, kept_per_month, neighbours, restore};
use domain::{RestoreTier, StorageClass};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn prices() -> Prices {
    Prices::of("us-east-1").unwrap()
}

fn command() -> Command {
    Deployment::augment_args(Command::new("cost").no_binary_name(true))
}

fn deployment(flags: &str) -> Deployment {
    let matches = command().try_get_matches_from(flags.split_whitespace()).unwrap();
    Deployment::from_arg_matches(&matches).unwrap()
}

fn billed(flags: &str) -> Bill {
    bill(&prices(), &deployment(flags)).unwrap()
}

fn assert_costs(bill: &Bill, item: Item, expected: f64) {
    let Dollars(found) = bill.of(item);
    assert!(
        (found - expected).abs() < 0.005,
        "{item}: {found}, by hand {expected}"
    );
}

#[test]
fn a_channel_at_the_defaults_costs_what_it_does_by_hand() {
    let bill = billed("--channels 1");
    // 730 h of a quarter of $0.03238 and half of $0.00356.
    assert_costs(&bill, Item::Recorders, 7.2087);
    // 730 h of $0.005.
    assert_costs(&bill, Item::RecorderAddresses, 3.65);
    // 2,628,000 s: a heartbeat of two write units every 30 s, at $0.625 a million.
    assert_costs(&bill, Item::Heartbeats, 0.1095);
    // 262,800 pulls of half a read unit, 4,380 looks of one, at $0.125 a million.
    assert_costs(&bill, Item::Pulls, 0.0170);
    // 87,600 segments: $0.005 a thousand to put, $0.03 to move.
    assert_costs(&bill, Item::Puts, 0.438);
    assert_costs(&bill, Item::Transitions, 2.628);
    // 2 Mbit/s are 21.6 GB a day: 7 days at $0.023 a GB.
    assert_costs(&bill, Item::Storage, 151.2 * 0.023);
    // 358 days at $0.0036; 358 * 2,880 objects of 32 KiB at that price, and of 8 KiB at $0.023.
    let objects = 358.0 * 2_880.0;
    let index = objects * 32_768.0 * 0.0036 / 1e9 + objects * 8_192.0 * 0.023 / 1e9;
    assert_costs(&bill, Item::MovedStorage, 358.0 * 21.6 * 0.0036 + index);
}

#[test]
fn what_the_stack_has_anyway_costs_what_it_does_by_hand() {
    let bill = billed("--channels 1");
    assert_costs(&bill, Item::FunctionEndpoints, 21.90);
    assert_costs(&bill, Item::Gateway, 258.42);
    assert_costs(&bill, Item::GatewayDisk, 4.0);
    assert_costs(&bill, Item::GatewayAddress, 3.65);
    assert_costs(&bill, Item::Images, 2.5);
    // 140,160 runs of a quarter of a GB-second.
    assert_costs(&bill, Item::Functions, 0.4952);
    assert_costs(&bill, Item::Monitoring, 16.90);
    assert_costs(&bill, Item::Logs, 0.15);
    let unmanaged = billed("--channels 1 --gateway none --function-network Internet");
    assert_costs(&unmanaged, Item::Gateway, 0.0);
    // 96,360 runs: without those of snapshot-recovery.
    assert!((unmanaged.fixed() - Dollars(13.00 + 0.3405 + 0.10)).0.abs() < 0.005);
    let peered = billed("--channels 1 --gateway none");
    assert_costs(&peered, Item::FunctionEndpoints, 14.60);
}

#[test]
fn tasks_are_shared_put_on_spot_and_reached_through_endpoints() {
    let bill = billed(
        "--channels 101 --channels-per-task 10 --spot-percent 50 --on-demand-base 1 --recorder-network private \
         --architecture x86_64",
    );
    // 11 tasks, of which 10 are beyond the base, half of them with 70 % off.
    let task = 730.0 * (0.25 * 0.04048 + 0.5 * 0.004445);
    assert_costs(&bill, Item::Recorders, task * (11.0 - 5.0 * 0.7));
    assert_costs(&bill, Item::RecorderAddresses, 0.0);
    assert_costs(&bill, Item::RecorderEndpoints, 21.90);
    // Ten rows of a pull take two halves of a read unit.
    assert_costs(
        &bill,
        Item::Pulls,
        (11.0 * 262_800.0 + 101.0 * 4_380.0) * 0.125e-6,
    );
}

#[test]
fn a_short_retention_pays_the_days_a_class_bills_at_least() {
    let thirty = billed("--channels 1 --retention-days 30 --transition-storage-class GLACIER_IR");
    // 23 days there, 90 billed.
    assert_costs(&thirty, Item::MovedStorage, 90.0 * 21.6 * 0.004);
    assert_costs(&thirty, Item::Storage, 151.2 * 0.023);
    let seven = billed("--channels 1 --retention-days 7");
    assert_costs(&seven, Item::Transitions, 0.0);
    assert_costs(&seven, Item::MovedStorage, 0.0);
    let never = billed("--channels 1 --retention-days 30 --bucket-transition 0");
    assert_costs(&never, Item::Storage, 14.904);
    // 2 s of 0.4 Mbit/s are 100 KB.
    let tiny = billed("--channels 1 --bit-rate 400 --segment 2");
    assert_costs(&tiny, Item::Transitions, 0.0);
}

#[test]
fn a_restore_costs_requests_bytes_and_the_copies() {
    let (prices, gb) = (prices(), 1_000_000_000);
    let of = |class, tier| restore(&prices, class, tier, 2_000, 10 * gb, 3).unwrap();
    // Three of a month's 30.42 days of 10 GB at $0.023.
    let copies = 0.23 * 72.0 / 730.0;
    let close = |restore: Option<cost::Restore>, expected: f64| {
        let found = restore.unwrap().cost.0;
        assert!((found - expected).abs() < 1e-6, "{found}, by hand {expected}");
    };
    close(
        of(StorageClass::Glacier, RestoreTier::Expedited),
        0.30 + 20.0 + copies,
    );
    close(
        of(StorageClass::Glacier, RestoreTier::Standard),
        0.10 + 0.10 + copies,
    );
    close(of(StorageClass::Glacier, RestoreTier::Bulk), copies);
    close(
        of(StorageClass::DeepArchive, RestoreTier::Standard),
        0.20 + 0.20 + copies,
    );
    assert_eq!(of(StorageClass::DeepArchive, RestoreTier::Expedited), None);
    assert_eq!(of(StorageClass::GlacierIr, RestoreTier::Standard), None);
    let kept = kept_per_month(&prices, StorageClass::Standard, 10 * gb).unwrap();
    assert_eq!(kept.to_string(), "$0.23");
    assert!(kept_per_month(&prices, StorageClass::Other, gb).is_err());
}

#[test]
fn what_has_no_price_is_told_with_what_has_one() {
    let unknown = Prices::of("eu-north-7").unwrap_err().to_string();
    assert!(
        unknown.contains("eu-north-7") && unknown.contains("us-east-1") && unknown.contains("--prices"),
        "{unknown}"
    );
    let machine = bill(&prices(), &deployment("--channels 1 --machine-type z9.huge")).unwrap_err();
    let machine = machine.to_string();
    assert!(
        machine.contains("z9.huge") && machine.contains("c5.xlarge"),
        "{machine}"
    );
    assert!(Prices::parse("region = 'us-east-1'").is_err());
}

/// Parameters the template has are here under its names, with its defaults.
#[test]
fn the_defaults_are_the_template_s() {
    // What is asked of people, and what the template leaves to the instance's image.
    const NOT_OF_THE_TEMPLATE: [&str; 5] = ["ArchiveAge", "BitRate", "Channels", "Gateway", "GatewayDisk"];
    let template = template::Template::of_this_workspace().unwrap();
    let parameters = template.section("Parameters");
    for argument in command().get_arguments() {
        let name = pascal(argument.get_long().unwrap());
        let Some(parameter) = parameters.get(name.as_str()) else {
            assert!(
                NOT_OF_THE_TEMPLATE.contains(&name.as_str()) || name == "RetentionDays",
                "{name}"
            );
            continue;
        };
        let theirs = match &parameter["Default"] {
            text if text.is_string() => text.as_str().unwrap().to_owned(),
            number => number.to_string(),
        };
        let ours: Vec<_> = argument
            .get_default_values()
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(ours, [theirs.as_str()], "{name}");
    }
}

fn pascal(flag: &str) -> String {
    let mut name = String::new();
    for word in flag.split('-') {
        let (first, rest) = word.split_at(1);
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name
}

/// The table of docs/deployment.md is what the code computes.
#[test]
fn the_documented_prices_per_channel_are_these() {
    let (defaults, packed) = (
        billed("--channels 1000 --function-network Internet"),
        billed("--channels 1000 --channels-per-task 50 --heartbeat-interval 60s --segment 60"),
    );
    let a_channel = |bill: &Bill, item| (bill.of(item) * 1e-3).to_string().replace('$', "");
    for (what, item) in [
        ("Fargate ARM 0.25 vCPU, 0.5 GB", Item::Recorders),
        ("public address", Item::RecorderAddresses),
        ("heartbeats (two write units each)", Item::Heartbeats),
        ("pulls and looks at gaps", Item::Pulls),
        ("PUT of segments", Item::Puts),
        ("transition to Glacier", Item::Transitions),
        ("reads of polls, checks, dispatches", Item::RowReads),
        ("storage, 7 days Standard", Item::Storage),
    ] {
        let cells = documented(what);
        let computed = [&defaults, &packed].map(|bill| a_channel(bill, item));
        assert_eq!(cells[cells.len() - 2..], computed, "{what}");
    }
    let year = billed("--channels 1000 --archive-age 365");
    let longer = billed("--channels 1000 --archive-age 395");
    let a_month = (longer.of(Item::MovedStorage) - year.of(Item::MovedStorage)) * 1e-3;
    let cells = documented("storage after it, per further 30 days in Glacier");
    assert_eq!(cells[2], a_month.to_string().replace('$', ""));
}

#[test]
fn the_documented_fixed_prices_are_these() {
    let windows = billed("--channels 1 --recorder-network Private");
    let linux = billed("--channels 1 --gateway linux");
    let cents = |bill: &Bill, item| bill.of(item).to_string().replace('$', "");
    for (what, expected) in [
        (
            "interface endpoints SSM, SNS, EC2 in one zone",
            cents(&windows, Item::FunctionEndpoints),
        ),
        (
            "interface endpoints ECR (two), Logs",
            cents(&windows, Item::RecorderEndpoints),
        ),
        (
            "gateway instance c5.xlarge, on demand",
            format!(
                "{:.0} (Linux), {:.0} (Windows)",
                linux.of(Item::Gateway).0,
                windows.of(Item::Gateway).0
            ),
        ),
        ("its disk, 50 GB", cents(&windows, Item::GatewayDisk)),
        ("its images, 50 GB once", cents(&windows, Item::Images)),
        ("its Elastic IP", cents(&windows, Item::GatewayAddress)),
        ("their logs, 0.3 GB", cents(&windows, Item::Logs)),
    ] {
        let cell = &documented(what)[1];
        assert!(cell.ends_with(&expected), "{what}: {cell} is not {expected}");
    }
}

/// The cells of a row of docs/deployment.md.
fn documented(what: &str) -> Vec<String> {
    let document = include_str!("../../../docs/deployment.md");
    let row = document
        .lines()
        .find(|line| line.starts_with(&format!("| {what} |")));
    let row = row.unwrap_or_else(|| panic!("no row `{what}`"));
    row.trim_matches('|')
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

fn saving(neighbours: &[Neighbour], change: &str) -> Option<f64> {
    let found = neighbours.iter().find(|neighbour| neighbour.change == change);
    found.map(|neighbour| neighbour.saves.0)
}

#[test]
fn endpoints_pay_from_the_seventh_task_on() {
    let of = |flags| {
        let deployment = deployment(&format!("{flags} --channels-per-task 1"));
        neighbours(&prices(), &deployment).unwrap()
    };
    assert_eq!(saving(&of("--channels 6"), "RecorderNetwork=Private"), None);
    assert!(saving(&of("--channels 7"), "RecorderNetwork=Private").unwrap() > 3.64);
    let back = of("--channels 5 --recorder-network Private");
    assert!(saving(&back, "RecorderNetwork=Public").unwrap() > 3.64);
    let private = of("--channels 7");
    let why = private
        .iter()
        .find(|neighbour| neighbour.change == "RecorderNetwork=Private");
    assert!(why.unwrap().gives_up.contains("from 7 tasks on"));
}

#[test]
fn a_neighbour_saves_what_its_own_bill_is_less() {
    let here = billed("--channels 100").total();
    let found = neighbours(&prices(), &deployment("--channels 100")).unwrap();
    for (change, flags) in [
        ("ChannelsPerTask=50", "--channels 100 --channels-per-task 50"),
        ("Segment=60", "--channels 100 --segment 60"),
        ("SpotPercent=100", "--channels 100 --spot-percent 100"),
        ("HeartbeatInterval=60s", "--channels 100 --heartbeat-interval 60s"),
        (
            "TransitionStorageClass=DEEP_ARCHIVE",
            "--channels 100 --transition-storage-class DEEP_ARCHIVE",
        ),
    ] {
        let expected = (here - billed(flags).total()).0;
        assert!(
            (saving(&found, change).unwrap() - expected).abs() < 1e-6,
            "{change}"
        );
    }
    assert!(found.windows(2).all(|pair| pair[0].saves >= pair[1].saves));
    let week = billed("--channels 100 --channels-per-task 1 --retention-days 7");
    let dominant: Vec<_> = week.dominant().iter().map(|line| line.item).collect();
    assert_eq!(dominant, [Item::Recorders, Item::RecorderAddresses]);
}

fn any_deployment() -> impl Strategy<Value = BTreeMap<&'static str, u32>> {
    (
        (1_u32..5_000, 1_u32..=100, 2_u32..3_600, 0_u32..400, 0_u32..400),
        (
            1_u32..=60,
            0_u32..=100,
            100_u32..20_000,
            1_u32..2_000,
            0_u32..=1_000,
        ),
    )
        .prop_map(
            |((channels, packed, segment, retention, transition), (heartbeat, spot, rate, age, base))| {
                BTreeMap::from([
                    ("channels", channels),
                    ("channels-per-task", packed),
                    ("segment", segment),
                    ("retention-days", retention),
                    ("bucket-transition", transition),
                    ("heartbeat-interval", heartbeat),
                    ("spot-percent", spot),
                    ("bit-rate", rate),
                    ("archive-age", age),
                    ("on-demand-base", base),
                ])
            },
        )
}

fn total(parameters: &BTreeMap<&str, u32>) -> f64 {
    let flags = parameters.iter().map(|(name, value)| match *name {
        "heartbeat-interval" => format!("--{name} {value}s "),
        _ => format!("--{name} {value} "),
    });
    billed(&flags.collect::<String>()).total().0
}

proptest! {
    #[test]
    fn more_of_what_costs_never_costs_less(parameters in any_deployment(), more in 1_u32..500) {
        let here = total(&parameters);
        prop_assert!(here.is_finite() && here > 0.0);
        for (name, sign) in [("channels", 1.0), ("bit-rate", 1.0), ("spot-percent", -1.0), ("heartbeat-interval", -1.0),
            ("on-demand-base", 1.0)]
        {
            let mut there = parameters.clone();
            let max = match name { "spot-percent" => 100, "heartbeat-interval" => 60, "on-demand-base" => 1_000, _ => u32::MAX };
            there.entry(name).and_modify(|value| *value = value.saturating_add(more).min(max));
            // Objects so small that they are not moved may cost more than larger ones that are.
            if name == "bit-rate" && is_tiny(&parameters) {
                continue;
            }
            prop_assert!((total(&there) - here) * sign >= -1e-6, "{name}: {here}, then {}", total(&there));
        }
    }

    #[test]
    fn keeping_longer_never_costs_less_where_nothing_is_moved(parameters in any_deployment(), more in 1_u32..500) {
        let mut here = parameters;
        here.insert("bucket-transition", 0);
        here.entry("retention-days").and_modify(|days| *days = (*days).max(1));
        let mut there = here.clone();
        there.entry("retention-days").and_modify(|days| *days += more);
        prop_assert!(total(&there) >= total(&here));
    }
}

fn is_tiny(parameters: &BTreeMap<&str, u32>) -> bool {
    u64::from(parameters["bit-rate"]) * 125 * u64::from(parameters["segment"]) < 128 * 1_024
}
