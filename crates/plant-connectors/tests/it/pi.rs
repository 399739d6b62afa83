//! PI Web API, against a server with its contract.

use super::support::pi_server::PiServer;
use super::support::{Platform, assert_fails, mapping, now, password, read_one, settings, shown, time};
use chrono::TimeDelta;
use domain::plant::{ConnectorCredential, ConnectorError, ConnectorKind, ConnectorSettings, Quality};
use domain::ports::PlantConnectors as _;
use fakes::eventually;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout;

const AT: &str = "2026-11-22T11:05:48.607123Z";

fn good(value: Value) -> Value {
    json!({ "Timestamp": "2026-11-22T11:05:48.6071234Z", "Value": value, "UnitsAbbreviation": "bar", "Good": true,
        "Questionable": false, "Substituted": false })
}

fn pi_settings(port: u16) -> ConnectorSettings {
    let endpoint = format!("http://127.0.0.1:{port}/piwebapi");
    let config = json!({ "allow_insecure": true, "timeout_s": 1 });
    ConnectorSettings {
        credential: password("reader", "correct horse"),
        ..settings(ConnectorKind::PiWebApi, endpoint, config)
    }
}

#[tokio::test]
async fn values_units_and_qualities_are_the_servers() {
    let server = PiServer::start().await;
    server.hold("P1", good(json!(4.6)));
    server.hold("P2", good(json!({ "Name": "Running", "Value": 1, "IsSystem": false })));
    server.hold("P3", json!({ "Timestamp": AT, "Value": 4.0, "Good": true, "Questionable": true }));
    server.hold("P4", json!({ "Errors": ["PI Point not found"] }));
    let platform = Platform::new();
    let connector = platform.open(&pi_settings(server.port)).await;
    let tags = ["P1", "P2", "P3", "P4", "P5"].map(mapping);
    let expected = [
        json!([4.6, "bar", "good", "PI:Good", AT]),
        json!(["Running", "bar", "good", "PI:Good", AT]),
        json!([4.0, null, "uncertain", "PI:Questionable", AT]),
        json!([null, null, "bad", "PI:error:PI Point not found", null]),
        json!([null, null, "bad", "PI:error:The specified WebId was not found.", null]),
    ];
    let samples = connector.read(&tags).await.unwrap();
    assert_eq!(samples.iter().map(shown).collect::<Vec<_>>(), expected);
    assert!(samples.iter().all(|sample| sample.received_at == now()));
    assert_eq!(server.requests().iter().filter(|request| request.starts_with("POST")).count(), 1);

    server.plant.without_batches.store(true, Ordering::Relaxed);
    let single = connector.read(&tags).await.unwrap();
    assert_eq!(single.iter().map(shown).collect::<Vec<_>>()[..4], expected[..4]);
    assert_eq!(single[4].quality_code.as_deref(), Some("PI:http:404"));
    let requests = server.requests();
    assert!(
        requests.iter().all(|request| request.starts_with("GET ") || request == "POST /piwebapi/batch"),
        "{requests:?}"
    );
}

#[tokio::test]
async fn history_is_what_was_recorded() {
    let server = PiServer::start().await;
    let start = time("2026-11-22T00:00:00Z");
    let items = (0..20).map(|n| json!({ "Timestamp": start + TimeDelta::minutes(n), "Value": n, "Good": n != 3 }));
    server.plant.recorded.lock().unwrap().insert("P1".to_owned(), items.collect());
    let platform = Platform::new();
    let connector = platform.open(&pi_settings(server.port)).await;
    let period = start..start + TimeDelta::minutes(10);
    let samples = connector.history(&mapping("P1"), period.clone(), 100).await.unwrap().unwrap();
    assert_eq!(samples.len(), 10, "the end is not part of the period");
    assert_eq!((samples[3].quality, samples[4].quality), (Quality::Bad, Quality::Good));
    assert_eq!(connector.history(&mapping("P1"), period.clone(), 4).await.unwrap().unwrap().len(), 4);
    assert_eq!(connector.history(&mapping("P9"), period, 4).await.unwrap(), None);
    let tags = connector.browse(1).await.unwrap().unwrap();
    assert_eq!((tags[0].name.as_str(), tags[0].unit.as_deref(), tags.len()), ("PIT-1001", Some("bar"), 1));
}

#[tokio::test]
async fn a_history_may_take_longer_than_a_read() {
    let server = PiServer::start().await;
    server.plant.hangs.store(true, Ordering::Relaxed);
    let platform = Platform::new();
    let connector = platform.open(&pi_settings(server.port)).await;
    let period = now() - TimeDelta::hours(1)..now();
    let history = timeout(Duration::from_millis(2_500), connector.history(&mapping("P1"), period, 10)).await;
    assert!(history.is_err(), "its caller bounds the time: {history:?}");
}

#[tokio::test]
async fn refusals_say_what_to_do_and_hold_no_secret() {
    let server = PiServer::start().await;
    let platform = Platform::new();
    let wrong = ConnectorSettings { credential: password("reader", "hunter2"), ..pi_settings(server.port) };
    let check = platform.open(&wrong).await.check(None).await;
    assert_fails(&check, "401");
    assert!(!check.detail.contains("hunter2"));
    let token = |token: &str| ConnectorSettings {
        credential: Some(ConnectorCredential::Token { token: token.to_owned() }),
        ..pi_settings(server.port)
    };
    assert_fails(&platform.open(&token("forbidden")).await.check(None).await, "403");
    assert!(platform.open(&token("a-token")).await.check(None).await.ok);
    let moved = ConnectorSettings {
        endpoint: format!("http://127.0.0.1:{}/moved/piwebapi", server.port),
        ..pi_settings(server.port)
    };
    assert_fails(&platform.open(&moved).await.check(None).await, "redirects");
    for endpoint in ["http://10.0.0.5/piwebapi", "ftp://127.0.0.1/"] {
        let settings = ConnectorSettings { endpoint: endpoint.to_owned(), ..pi_settings(server.port) };
        assert!(matches!(platform.connectors.open(&settings).await.err(), Some(ConnectorError::Configuration { .. })));
    }
}

#[tokio::test]
async fn outage_hang_and_restart() {
    let server = PiServer::start().await;
    server.hold("P1", good(json!(4.6)));
    let platform = Platform::new();
    let connector = platform.open(&pi_settings(server.port)).await;
    let tag = mapping("P1");
    read_one(&*connector, &tag).await.unwrap();
    server.plant.hangs.store(true, Ordering::Relaxed);
    assert_eq!(read_one(&*connector, &tag).await.unwrap_err(), ConnectorError::TimedOut { seconds: 1 });
    server.plant.hangs.store(false, Ordering::Relaxed);
    let (port, plant) = server.stop();
    let refused = eventually("it is gone", || async {
        match read_one(&*connector, &tag).await {
            Err(ConnectorError::Unreachable { detail }) => Some(detail),
            _ => None,
        }
    });
    assert!(!refused.await.is_empty());
    let _server = PiServer::start_at(port, plant).await;
    eventually("it reads again", || async { read_one(&*connector, &tag).await.ok() }).await;
}

#[tokio::test]
async fn https_trusts_only_what_is_configured() {
    let Some(broker) = super::support::broker::Broker::start().await else { return };
    // Whatever speaks TLS will do to see whose certificate is refused.
    let endpoint = format!("https://127.0.0.1:{}/piwebapi", broker.tls_port);
    let platform = Platform::new();
    let untrusting = ConnectorSettings { endpoint, config: json!({}), ..pi_settings(1) };
    let check = platform.open(&untrusting).await.check(None).await;
    assert_eq!(check.untrusted_certificate.unwrap().0, broker.thumbprint);
    let trusting =
        ConnectorSettings { config: json!({ "ca_certificate": broker.authority(), "timeout_s": 1 }), ..untrusting };
    let check = platform.open(&trusting).await.check(None).await;
    assert!(
        !check.ok && check.untrusted_certificate.is_none(),
        "the handshake succeeds, what follows is no HTTP: {check:?}"
    );
}
