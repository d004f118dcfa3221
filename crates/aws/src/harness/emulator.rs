//! A running emulator, and the way to it.

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

const REGION: &str = "us-east-1";

/// Key and secret alike: emulators take any.
const CREDENTIALS: &str = "test";

/// Looks for an answer, 0.1 s apart: the slowest emulator takes three seconds on an idle machine.
const START_TRIES: u32 = 600;

/// An emulator of AWS.
#[derive(Debug)]
pub struct Emulator {
    endpoint: String,
    /// Its input is a pipe, which closes when this process ends, however it does; the emulator goes with it.
    _process: Option<Child>,
}

impl Emulator {
    /// MiniStack, which the emulated deployment runs on too: the one at `MILLRACE_TEST_AWS_ENDPOINT`, or this process's.
    pub fn ministack() -> &'static Self {
        static SHARED: OnceLock<Emulator> = OnceLock::new();
        SHARED.get_or_init(|| Self::at_or_start("MILLRACE_TEST_AWS_ENDPOINT", "ministack.sh"))
    }

    /// Amazon's DynamoDB Local: the one at `MILLRACE_TEST_DYNAMODB_ENDPOINT`, or this process's.
    pub fn dynamodb_local() -> &'static Self {
        static SHARED: OnceLock<Emulator> = OnceLock::new();
        SHARED.get_or_init(|| Self::at_or_start("MILLRACE_TEST_DYNAMODB_ENDPOINT", "dynamodb.sh"))
    }

    /// moto, for what MiniStack lacks of EC2: the one at `MILLRACE_TEST_EC2_ENDPOINT`, or this process's.
    pub fn moto() -> &'static Self {
        static SHARED: OnceLock<Emulator> = OnceLock::new();
        SHARED.get_or_init(|| Self::at_or_start("MILLRACE_TEST_EC2_ENDPOINT", "moto.sh"))
    }

    /// The server at the address in the variable `endpoint_env`, for example `http://127.0.0.1:4566`; without it a new
    /// one by `script` of the folder `scripts`, which answers already.
    pub fn at_or_start(endpoint_env: &str, script: &str) -> Self {
        match std::env::var(endpoint_env) {
            Ok(endpoint) => Self {
                endpoint,
                _process: None,
            },
            Err(_) => Self::start(script),
        }
    }

    fn start(script: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../scripts")
            .join(script);
        let port = free_port();
        let mut process = Command::new(&path)
            .args(["run", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} starts: {error}", path.display()));
        for _ in 0..START_TRIES {
            if answers(port).unwrap_or(false) {
                return Self {
                    endpoint: format!("http://127.0.0.1:{port}"),
                    _process: Some(process),
                };
            }
            if !matches!(process.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no emulator answers; has `scripts/{script} install` been run?");
    }

    /// Where it serves, for example `http://127.0.0.1:4566`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What clients of it are made from.
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config(&self.endpoint)
    }

    /// The environment of a program that is to take it for AWS.
    pub fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", CREDENTIALS),
            ("AWS_SECRET_ACCESS_KEY", CREDENTIALS),
        ]
    }
}

/// What clients of the server at this address are made from, for all services. They try once.
pub fn sdk_config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new(CREDENTIALS, CREDENTIALS, None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    free.local_addr().expect("it is bound").port()
}

/// Whether an HTTP server is there: any answer will do.
fn answers(port: u16) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    connection.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    Ok(connection.read(&mut [0])? == 1)
}
