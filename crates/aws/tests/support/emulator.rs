//! Emulators of AWS that the scripts of this repository install and run.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// An emulator of this test run.
pub(crate) struct Emulator {
    /// Where it serves, or will in a moment.
    pub(crate) endpoint: String,
    /// Its input is a pipe, which closes when this process ends, however it does; the emulator goes with it.
    _process: Option<Child>,
}

impl Emulator {
    /// The server at the address in the variable `endpoint_env`, for example `http://127.0.0.1:4566`; without it a
    /// new one by `script` of the folder `scripts`.
    pub(crate) fn at_or_start(endpoint_env: &str, script: &str) -> Self {
        match std::env::var(endpoint_env) {
            Ok(endpoint) => Self {
                endpoint,
                _process: None,
            },
            Err(_) => Self::start(script),
        }
    }

    fn start(script: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../scripts")
            .join(script);
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let process = Command::new(&script)
            .args(["run", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} starts: {error}", script.display()));
        Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            _process: Some(process),
        }
    }
}
