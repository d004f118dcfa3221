//! Secrets as they are kept, changed and kept secret.

use aws::harness::Emulator;
use aws::ssm::Parameters;
use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::ParameterType;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use domain::ports::PortError;
use secrecy::ExposeSecret;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

const SECRET: &str = "ünly-ƒor-the-gateway";

async fn put(sdk: &SdkConfig, name: &str, kind: ParameterType, value: &str) {
    let client = Client::new(sdk);
    let put = client.put_parameter().name(name).r#type(kind);
    let put = put.value(value).overwrite(true).send().await;
    put.expect("the emulator keeps a parameter");
}

#[tokio::test]
async fn a_changed_secret_has_a_later_version() {
    let sdk = Emulator::ministack().sdk_config();
    let name = "/changes/password";
    let parameters = Parameters::new(&sdk);
    put(&sdk, name, ParameterType::SecureString, "the first").await;
    let (first, first_version) = parameters.secret(name).await.unwrap();
    put(&sdk, name, ParameterType::SecureString, SECRET).await;
    let (second, second_version) = parameters.secret(name).await.unwrap();
    assert_eq!(
        (first.expose_secret(), second.expose_secret()),
        ("the first", SECRET)
    );
    assert!(second_version > first_version);
}

#[tokio::test]
async fn a_password_that_everybody_can_read_is_refused() {
    let sdk = Emulator::ministack().sdk_config();
    put(&sdk, "/plain/password", ParameterType::String, SECRET).await;
    let read = Parameters::new(&sdk).secret("/plain/password").await;
    let error = read.map(|(_, version)| version).unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
    assert!(error.chain().contains("not a SecureString"), "{error:?}");
    assert!(!format!("{error:?} {}", error.chain()).contains(SECRET));
}

#[tokio::test]
async fn a_secret_that_does_not_exist_is_refused_by_name() {
    let sdk = Emulator::ministack().sdk_config();
    put(&sdk, "/another/password", ParameterType::SecureString, SECRET).await;
    let read = Parameters::new(&sdk).secret("/no/password").await;
    let error = read.map(|(_, version)| version).unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
    assert!(error.chain().contains("/no/password"), "{error:?}");
}

/// Answers every call with a parameter whose JSON is cut off after its value.
#[derive(Debug)]
struct CutOff;

impl HttpConnector for CutOff {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        let body = format!(r#"{{"Parameter":{{"Type":"SecureString","Value":"{SECRET}","Ver"#);
        let status = 200.try_into().expect("it is a status code");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}

#[tokio::test]
async fn a_secret_in_an_answer_that_cannot_be_read_is_in_no_error() {
    let cut_off = SharedHttpConnector::new(CutOff);
    let sdk = Emulator::ministack().sdk_config().into_builder();
    let sdk = sdk
        .http_client(http_client_fn(move |_, _| cut_off.clone()))
        .build();
    let read = Parameters::new(&sdk).secret("/cut/off").await;
    let error = read.map(|(_, version)| version).unwrap_err();
    assert!(matches!(error, PortError::Unknown { .. }), "{error:?}");
    let told = format!("{error:?} {}", error.chain());
    assert!(!told.contains("gateway"), "{told}");
}

/// Takes the log lines of the thread.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_secret_is_in_no_log_even_when_everything_is_logged() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let sdk = Emulator::ministack().sdk_config();
    runtime.block_on(put(&sdk, "/logged/password", ParameterType::SecureString, SECRET));
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let read = runtime.block_on(Parameters::new(&sdk).secret("/logged/password"));
        assert_eq!(read.unwrap().0.expose_secret(), SECRET);
    });
    let logged = log.0.lock().unwrap_or_else(PoisonError::into_inner);
    let logged = String::from_utf8_lossy(&logged);
    assert!(logged.contains("GetParameter"), "the call is logged: {logged}");
    assert!(!logged.contains(SECRET));
}
