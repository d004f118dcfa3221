//! `millrace gateway setup` as people call it, against the simulated gateway.

use serde_json::Value;
use simulator::scenario::{DeviceSpec, GatewaySpec, Lockout};
use simulator::{Operation, Scenario, Simulator};
use std::process::Output;
use tempfile::TempDir;
use tokio::process::Command;

const MILLRACE: &str = env!("CARGO_BIN_EXE_millrace");

/// What the gateway's password shall be; at its first boot it has the simulator's.
const WANTED: &str = "xyzzy-Wanted-47";

/// A simulated gateway, and a folder to set it up from.
struct Bench {
    gateway: Simulator,
    folder: TempDir,
}

impl Bench {
    async fn new(spec: GatewaySpec) -> Self {
        let scenario = Scenario {
            gateway: spec,
            ..Scenario::with_devices([DeviceSpec::camera("A", "A")])
        };
        let folder = tempfile::tempdir().unwrap();
        let file = "gateway-name = 'Gate 門'\ngateway-timezone = 5.5\ngateway-address = '203.0.113.7'\n";
        std::fs::write(folder.path().join("millrace.toml"), file).unwrap();
        Self {
            gateway: Simulator::start(scenario.api_only()).await.unwrap(),
            folder,
        }
    }

    /// How often anything was written at the gateway.
    fn writes(&self) -> u64 {
        let calls = self.gateway.requests().calls;
        let writes = calls.iter().filter(|(call, _)| call.starts_with("PUT "));
        writes.map(|(_, count)| count).sum()
    }

    /// `millrace gateway setup` with the wanted password and that of the first boot.
    async fn setup(&self, arguments: &[&str]) -> Output {
        self.setup_with(WANTED, arguments).await
    }

    async fn setup_with(&self, password: &str, arguments: &[&str]) -> Output {
        let mut millrace = Command::new(MILLRACE);
        millrace
            .args(["gateway", "setup", "--restart-wait", "2s"])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("MILLRACE_GATEWAY_URL", self.gateway.api_url())
            .env("MILLRACE_GATEWAY_PASSWORD", password)
            .env("MILLRACE_GATEWAY_INITIAL_PASSWORD", self.gateway.password());
        if let Some(certificate) = self.gateway.certificate() {
            millrace.env("MILLRACE_GATEWAY_FINGERPRINT", &certificate.fingerprint);
        }
        let output = millrace.output().await.unwrap();
        let said = format!("{}{}", out(&output), err(&output));
        for secret in [WANTED, self.gateway.password()] {
            assert!(!said.contains(secret), "{said}");
        }
        output
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", err(output)))
}

fn dry_run_differs(output: &Output) {
    assert_eq!(output.status.code(), Some(3), "{}{}", out(output), err(output));
}

fn succeeds(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}{}", out(output), err(output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_boot_over_https_is_shown_by_a_dry_run_then_set_up_then_left_alone() {
    let bench = Bench::new(GatewaySpec {
        tls: true,
        reboot_seconds: 1.0,
        utc_offset_minutes: 480,
        ..GatewaySpec::default()
    })
    .await;
    let shown = bench.setup(&["--dry-run"]).await;
    dry_run_differs(&shown);
    for line in [
        "`Simulated gateway`, DS-GWAS0101 V1.8.0\n",
        "replace the initial password\n",
        "name the gateway `Gate 門`: it is named `Simulated gateway`\n",
        "set the clock to UTC+05:30, kept by a time server: its clock: UTC+08",
        "map the gateway's own ports to 203.0.113.7 (restart): its own ports: not mapped",
        "map the devices' ports (restart): the devices' ports: not mapped\n",
    ] {
        assert!(out(&shown).contains(line), "{line}\n{}", out(&shown));
    }
    assert_eq!(bench.gateway.control().state().gateway_name, "Simulated gateway");

    let done = bench.setup(&[]).await;
    succeeds(&done);
    assert!(
        out(&done).contains("done: replace the initial password\n"),
        "{}",
        out(&done)
    );
    assert!(
        out(&done).ends_with("in order: `Gate 門`, DS-GWAS0101 V1.8.0\n"),
        "{}",
        out(&done)
    );
    assert_eq!(bench.gateway.control().state().gateway_name, "Gate 門");

    let before = bench.writes();
    let again = json(&bench.setup(&["--json"]).await);
    assert_eq!(
        (&again["inOrder"], again["changed"].as_array().unwrap().len()),
        (&Value::Bool(true), 0)
    );
    succeeds(&bench.setup(&["--dry-run"]).await);
    assert_eq!(bench.writes(), before, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_are_tried_a_few_times_however_often_it_is_called_until_a_person_says_so() {
    let bench = Bench::new(GatewaySpec::default()).await;
    bench
        .gateway
        .control()
        .apply(Operation::SetPassword {
            password: "Somebody-else-1".into(),
        })
        .unwrap();
    for arguments in [&["--dry-run"][..], &[], &["--dry-run"], &["--json"]] {
        let refused = bench.setup(arguments).await;
        assert_eq!(refused.status.code(), Some(1), "{}", err(&refused));
        assert!(
            err(&refused).contains("refuses the passwords"),
            "{}",
            err(&refused)
        );
    }
    assert_eq!(
        bench.gateway.requests().rejected,
        2,
        "the wanted and the initial one, once each"
    );
    let right = bench.setup_with("Somebody-else-1", &["--dry-run"]).await;
    assert!(err(&right).contains("--try-again"), "{}", err(&right));
    let right = bench
        .setup_with("Somebody-else-1", &["--dry-run", "--try-again"])
        .await;
    dry_run_differs(&right);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_is_said_and_left_alone() {
    let bench = Bench::new(GatewaySpec {
        lockout: Lockout {
            tries: 5,
            seconds: 600,
        },
        ..GatewaySpec::default()
    })
    .await;
    bench
        .gateway
        .control()
        .apply(Operation::Lock { seconds: 600 })
        .unwrap();
    for _ in 0..3 {
        let locked = bench.setup(&[]).await;
        assert_eq!(locked.status.code(), Some(1));
        assert!(
            err(&locked).contains("the account is locked until"),
            "{}",
            err(&locked)
        );
    }
    assert_eq!(bench.gateway.requests().locked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_takes_longer_than_expected_is_waited_for() {
    let bench = Bench::new(GatewaySpec {
        reboot_seconds: 6.0,
        ..GatewaySpec::default()
    })
    .await;
    let done = json(&bench.setup(&["--json"]).await);
    assert_eq!(done["inOrder"], true, "{done}");
    assert_eq!(done["changed"].as_array().unwrap().len(), 5, "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_person_can_change_is_said() {
    let bench = Bench::new(GatewaySpec {
        alarm_forwarding: false,
        reboot_seconds: 1.0,
        ..GatewaySpec::default()
    })
    .await;
    let done = bench.setup(&[]).await;
    succeeds(&done);
    assert!(
        out(&done).contains("by hand: alarm forwarding is off"),
        "{}",
        out(&done)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_at_the_address_learns_no_password() {
    let bench = Bench::new(GatewaySpec {
        tls: true,
        ..GatewaySpec::default()
    })
    .await;
    let other = "00".repeat(32);
    let refused = bench.setup(&["--gateway-fingerprint", &other]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("certificate"), "{}", err(&refused));
    assert_eq!(bench.gateway.requests().total(), 0);
}
