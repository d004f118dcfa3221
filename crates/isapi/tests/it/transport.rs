//! Answers that are late, endless, broken or lead elsewhere; and secrets, which no error or log shows.

use crate::support::{Scripted, Step, challenge, ok, reply, wrong_password};
use domain::ports::{Gateway, PortError};
use isapi::{Client, Config, ConfigError, Fingerprint, IsapiError, Tls};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

fn in_a_blink(config: &mut Config) {
    config.request_timeout = Duration::from_millis(300);
}

#[tokio::test]
async fn an_answer_that_never_comes_or_never_ends_is_a_time_out() {
    let head = || Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec());
    let drip = move || {
        let drops = (0..50).flat_map(|_| [Step::Wait(Duration::from_millis(50)), Step::Send(b" ".to_vec())]);
        std::iter::once(head()).chain(drops).collect()
    };
    let scripts: [Box<dyn Fn() -> Vec<Step> + Send + Sync>; 3] = [
        Box::new(|| vec![Step::Hang]),
        Box::new(move || vec![head(), Step::Hang]),
        Box::new(drip),
    ];
    for script in scripts {
        let gateway = Scripted::start(move |_| script()).await;
        let result = gateway.client(in_a_blink).check_login().await;
        assert!(matches!(result, Err(IsapiError::TimedOut { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_hanging_gateway_holds_each_waiting_call_for_its_own_time_only() {
    let gateway = Scripted::start(|_| vec![Step::Hang]).await;
    let client = gateway.client(in_a_blink);
    let (first, second) = tokio::join!(client.check_login(), client.check_login());
    assert!(matches!(
        (first, second),
        (Err(IsapiError::TimedOut { .. }), Err(IsapiError::TimedOut { .. }))
    ));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_not_read_to_its_end() {
    let stated = || reply("200 OK", &[], &"x".repeat(2000));
    let endless = || {
        let head = Step::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec());
        let chunk = || {
            Step::Send(
                b"100\r\n"
                    .iter()
                    .copied()
                    .chain([b' '; 256])
                    .chain(*b"\r\n")
                    .collect(),
            )
        };
        std::iter::once(head)
            .chain((0..100).map(|_| chunk()))
            .chain([Step::Hang])
            .collect()
    };
    let scripts: [Box<dyn Fn() -> Vec<Step> + Send + Sync>; 2] = [Box::new(stated), Box::new(endless)];
    for script in scripts {
        let gateway = Scripted::start(move |_| script()).await;
        let result = gateway
            .client(|config| config.body_max_bytes = 1000)
            .check_login()
            .await;
        assert!(
            matches!(
                result,
                Err(IsapiError::TooLarge {
                    limit_bytes: 1000,
                    ..
                })
            ),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_cut_off_or_garbled_is_no_answer() {
    let cut = || {
        vec![Step::Send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}".to_vec(),
        )]
    };
    let scripts: [Box<dyn Fn() -> Vec<Step> + Send + Sync>; 5] = [
        Box::new(cut),
        Box::new(Vec::new),
        Box::new(|| vec![Step::Send(b"\x00\xff garbage".to_vec())]),
        Box::new(|| ok("<xml/>")),
        Box::new(|| ok(r#"{"SearchResult":{"numOfMatches":1,"#)),
    ];
    for script in scripts {
        let gateway = Scripted::start(move |_| script()).await;
        let result = Gateway::devices(&gateway.client(|_| {})).await;
        assert!(matches!(result, Err(PortError::Unknown { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_unreachable() {
    let gateway = Scripted::start(|_| Vec::new()).await;
    let client = gateway.client(|_| {});
    drop(gateway);
    // The port may be taken over by another test at once; only then is there somebody.
    let result = client.check_login().await;
    assert!(
        matches!(
            result,
            Err(IsapiError::Unreachable { .. } | IsapiError::Broken { .. })
        ),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let elsewhere = Scripted::start(|_| ok("{}")).await;
    let target = format!("Location: {}/", elsewhere.url);
    let gateway = Scripted::start(move |_| reply("302 Found", &[&target], "")).await;
    let result = gateway.client(|_| {}).check_login().await;
    assert!(
        matches!(result, Err(IsapiError::Refused { http_status: 302, .. })),
        "{result:?}"
    );
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_base_url_with_a_path_keeps_it() {
    let gateway = Scripted::start(|_| ok("{}")).await;
    let url = format!("{}/gw1/", gateway.url).parse().unwrap();
    let client = Client::new(Config::new(url, "admin", "x".into())).unwrap();
    client.check_login().await.unwrap();
    client.channels(&"A B/?&=".into()).await.unwrap_err();
    let targets: Vec<_> = gateway.seen().into_iter().map(|request| request.target).collect();
    assert_eq!(targets[0], "/gw1/ISAPI/Security/userCheck?format=json");
    assert_eq!(
        targets[1],
        "/gw1/ISAPI/ContentMgmt/DeviceMgmt/channelInfo?format=json&devIndex=A+B%2F%3F%26%3D"
    );
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused() {
    let config = |url: &str| Config::new(url.parse().unwrap(), "admin", "x".into());
    let refused = |config: Config| Client::new(config).unwrap_err();
    assert!(matches!(
        refused(config("http://admin:x@gw/")),
        ConfigError::CredentialsInUrl
    ));
    for url in ["ftp://gw/", "http://gw/?a=b", "data:x"] {
        assert!(
            matches!(refused(config(url)), ConfigError::NotABaseUrl(_)),
            "{url}"
        );
    }
    let pinned = Config {
        tls: Tls::PinnedFingerprint(Fingerprint([0; 32])),
        ..config("http://gw/")
    };
    assert!(matches!(refused(pinned), ConfigError::TrustWithoutHttps));
    for concurrency_max in [0, 65] {
        let config = Config {
            concurrency_max,
            ..config("http://gw/")
        };
        assert!(matches!(refused(config), ConfigError::Concurrency(_)));
    }
    for size in [0, 101] {
        let config = Config {
            devices_per_page: size,
            ..config("http://gw/")
        };
        assert!(matches!(refused(config), ConfigError::PageSize(_)));
    }
}

/// Keeps every log line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_shows_in_debug_errors_or_logs() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    // It repeats whatever it was told, headers and body, wherever it can.
    let gateway = Scripted::start(
        |request| match (&request.authorization, request.method.as_str()) {
            (None, _) => challenge("n1", "", ""),
            (Some(_), "PUT") => ok(&format!(
                r#"{{"statusCode":6,"subStatusCode":"x","errorMsg":{:?}}}"#,
                request.body
            )),
            (Some(_), "POST") => reply("500 Oops", &[], &request.body),
            (Some(_), _) => challenge("n2", "", &wrong_password(1)),
        },
    )
    .await;
    let mut config = Config::new(gateway.url.parse().unwrap(), "admin", "the-secret".into());
    config.request_timeout = Duration::from_secs(5);
    let mut text = format!("{config:?}");
    let client = Client::new(config).unwrap();
    let errors = [
        client
            .change_password(&"brand-new-secret".into())
            .await
            .unwrap_err(),
        client.devices().await.unwrap_err(),
        client.check_login().await.unwrap_err(),
    ];
    text += &format!("{client:?} {errors:?}");
    for error in errors {
        text += &error.to_string();
        text += &error.into_port("trying").chain();
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("gateway answered"),
        "the log is captured: {logged}"
    );
    let answers = gateway
        .seen()
        .iter()
        .filter_map(|request| request.digest("response"))
        .collect::<Vec<_>>();
    assert_eq!(answers.len(), 3);
    for secret in ["the-secret", "brand-new-secret"]
        .into_iter()
        .chain(answers.iter().map(String::as_str))
    {
        assert!(
            !text.contains(secret) && !logged.contains(secret),
            "{secret} shows in {text} or {logged}"
        );
    }
}
