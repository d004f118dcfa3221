use super::{client_of, world};
use domain::ports::{Gateway, PortError};
use isapi::{Client, Config, ConfigError, Fingerprint, IsapiError, Tls};
use simulator::Simulator;
use simulator::scenario::GatewaySpec;

async fn https_gateway() -> Simulator {
    Simulator::start(world(GatewaySpec {
        tls: true,
        ..GatewaySpec::default()
    }))
    .await
    .unwrap()
}

fn pin(gateway: &Simulator) -> Fingerprint {
    gateway.certificate().unwrap().fingerprint.parse().unwrap()
}

#[tokio::test]
async fn a_pinned_certificate_or_its_authority_opens_the_way() {
    let gateway = https_gateway().await;
    let ca = gateway.certificate().unwrap().pem.clone();
    for tls in [Tls::PinnedFingerprint(pin(&gateway)), Tls::Ca(ca)] {
        let client = client_of(&gateway, |config| config.tls = tls.clone());
        assert_eq!(client.devices().await.unwrap().len(), 4, "{tls:?}");
    }
}

#[tokio::test]
async fn another_certificate_is_refused_before_anything_is_said() {
    let gateway = https_gateway().await;
    let other = https_gateway().await;
    let wrong_ca = other.certificate().unwrap().pem.clone();
    for tls in [Tls::PinnedFingerprint(pin(&other)), Tls::Ca(wrong_ca)] {
        let client = client_of(&gateway, |config| config.tls = tls.clone());
        let error = client.devices().await.unwrap_err();
        assert!(
            matches!(error, IsapiError::Certificate { .. }),
            "{tls:?}: {error:?}"
        );
        let port = Gateway::devices(&client).await.unwrap_err();
        assert!(matches!(port, PortError::Refused { .. }), "{tls:?}: {port:?}");
    }
    assert_eq!(gateway.requests().total(), 0);
}

#[tokio::test]
async fn a_pin_mismatch_shows_both_fingerprints() {
    let gateway = https_gateway().await;
    let wrong = Fingerprint([7; 32]);
    let client = client_of(&gateway, |config| config.tls = Tls::PinnedFingerprint(wrong));
    let text = client.check_login().await.unwrap_err().to_string();
    assert!(
        text.contains(&wrong.to_string()) && text.contains(&pin(&gateway).to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn a_self_signed_certificate_is_not_trusted_by_itself() {
    let gateway = https_gateway().await;
    let config = Config::new(gateway.api_url().parse().unwrap(), "admin", "x".into());
    match Client::new(config) {
        Ok(client) => {
            let error = client.check_login().await.unwrap_err();
            assert!(matches!(error, IsapiError::Certificate { .. }), "{error:?}");
        }
        // A machine without any certificate store trusts nobody either.
        Err(error) => assert!(matches!(error, ConfigError::Tls(_)), "{error:?}"),
    }
    assert_eq!(gateway.requests().total(), 0);
}
