//! OPC UA with asyncua.

use super::support::process::ServerProcess;
use super::support::programs::make_certificate;
use super::support::{Platform, assert_fails, free_port, mapping, now, password, read_one, settings, shown, time};
use chrono::TimeDelta;
use domain::plant::{ConnectorError, ConnectorKind, ConnectorSettings, Quality, TagValue};
use domain::ports::PlantConnector;
use fakes::{eventually, eventually_within};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tempfile::TempDir;

const PRESSURE: &str = "nsu=http://plant.example/area1;s=PIT-1001";
const AT: &str = "2026-11-22T11:05:48.607123Z";

struct Server {
    port: u16,
    thumbprint: String,
    dir: TempDir,
    process: ServerProcess,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let thumbprint = make_certificate("opcua", dir.path(), None);
        let port = free_port();
        let process = spawn(port, &dir, &[]).await;
        Self { port, thumbprint, dir, process }
    }

    /// Ends the server and starts it again, with further namespaces before the plant's.
    async fn restart(self, namespaces: &[&str]) -> Self {
        self.process.kill().await;
        let process = spawn(self.port, &self.dir, namespaces).await;
        Self { process, ..self }
    }

    fn settings(&self, config: Value) -> ConnectorSettings {
        let endpoint = format!("opc.tcp://127.0.0.1:{}", self.port);
        ConnectorSettings {
            credential: password("reader", "correct horse"),
            ..settings(ConnectorKind::OpcUa, endpoint, config)
        }
    }

    fn trusted(&self) -> ConnectorSettings {
        self.settings(json!({ "trusted_thumbprint": self.thumbprint, "timeout_s": 10 }))
    }

    async fn set(&mut self, name: &str, value: Value, status: u32, at: &str) {
        self.process.ask(json!({ "do": "set", "name": name, "value": value, "status": status, "at": at })).await;
    }

    /// Names of the services that it was asked for.
    async fn services(&mut self) -> BTreeSet<String> {
        let services = self.process.ask(json!({ "do": "services" })).await;
        services.as_object().expect("counts").keys().cloned().collect()
    }
}

async fn spawn(port: u16, dir: &TempDir, namespaces: &[&str]) -> ServerProcess {
    let mut arguments = vec![port.to_string(), dir.path().display().to_string()];
    arguments.extend(namespaces.iter().map(|namespace| (*namespace).to_owned()));
    ServerProcess::start("opcua_server.py", &arguments).await
}

/// What the connector may ask for.
fn read_services() -> BTreeSet<String> {
    [
        "GetEndpoints",
        "CreateSession",
        "ActivateSession",
        "CloseSession",
        "CloseSecureChannel",
        "Read",
        "Browse",
        "BrowseNext",
        "HistoryRead",
    ]
    .map(str::to_owned)
    .into()
}

#[tokio::test]
async fn values_units_qualities_and_times_are_the_servers() {
    let mut server = Server::start().await;
    server.set("PIT-1001", json!(5.5), 0, AT).await;
    server.set("TIT-1001", json!(61.25), 0x4090_0000, AT).await;
    server.set("P-101.Running", json!(false), 0x8031_0000, AT).await;
    let platform = Platform::new();
    let connector = platform.open(&server.trusted()).await;
    let names = ["PIT-1001", "TIT-1001", "P-101.Running", "P-101.State", "P-101.Starts", "P-101.Curve", "nobody"];
    let tags = names.map(|name| mapping(&format!("nsu=http://plant.example/area1;s={name}")));
    let samples = connector.read(&tags).await.unwrap();
    let shown: Vec<_> = samples.iter().map(shown).collect();
    assert_eq!(shown[0], json!([5.5, "bar", "good", "OPCUA:0x00000000", AT]));
    assert_eq!(shown[1], json!([61.25, "°C", "uncertain", "OPCUA:0x40900000", AT]));
    // The server sends no value with a bad status.
    assert_eq!(shown[2], json!([null, null, "bad", "OPCUA:0x80310000", AT]));
    assert_eq!(
        shown[3].as_array().unwrap()[..4],
        json!(["Running", null, "good", "OPCUA:0x00000000"]).as_array().unwrap()[..]
    );
    assert_eq!(samples[4].value, Some(TagValue::Number(1234.0)));
    assert_eq!((&samples[5].value, samples[5].quality), (&None, Quality::Bad));
    assert_eq!(shown[6], json!([null, null, "bad", "OPCUA:0x80340000", null]));
    assert!(samples.iter().all(|sample| sample.received_at == now()));
    let unknown = mapping("nsu=http://elsewhere/;s=PIT-1001");
    assert_eq!(super::support::shown(&read_one(&*connector, &unknown).await.unwrap())[3], "OPCUA:0x80340000");
    assert_fails(&connector.check(Some(&unknown)).await, "namespace http://elsewhere/");
}

#[tokio::test]
async fn each_secure_policy_connects_and_none_does_not() {
    let server = Server::start().await;
    let platform = Platform::new();
    for policy in ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"] {
        let config = json!({
            "security_policy": policy, "security_mode": "SignAndEncrypt",
            "server_certificate": std::fs::read_to_string(server.dir.path().join("certificate.pem")).unwrap(),
            "timeout_s": 10,
        });
        let connector = platform.open(&server.settings(config)).await;
        let check = connector.check(Some(&mapping(PRESSURE))).await;
        assert!(check.ok && check.detail.contains("with SignAndEncrypt"), "{policy}: {check:?}");
    }
    let none = json!({ "security_policy": "None", "security_mode": "None" });
    let refused = domain::ports::PlantConnectors::open(&platform.connectors, &server.settings(none.clone())).await;
    assert!(matches!(refused.err(), Some(ConnectorError::Configuration { .. })));
    let mut allowed = none;
    allowed["allow_insecure"] = json!(true);
    let connector = platform.open(&server.settings(allowed)).await;
    let check = connector.check(Some(&mapping(PRESSURE))).await;
    assert!(check.ok, "{check:?}");
}

#[tokio::test]
async fn an_unknown_certificate_is_named_and_a_changed_one_is_noticed() {
    let mut server = Server::start().await;
    let platform = Platform::new();
    let untrusting = platform.open(&server.settings(json!({}))).await;
    let check = untrusting.check(Some(&mapping(PRESSURE))).await;
    assert_eq!(check.untrusted_certificate.unwrap().0, server.thumbprint);
    let services = server.services().await;
    assert!(!services.contains("CreateSession"), "nothing is told to a server that is not trusted: {services:?}");

    let connector = platform.open(&server.trusted()).await;
    assert!(read_one(&*connector, &mapping(PRESSURE)).await.is_ok());
    let changed = make_certificate("opcua", server.dir.path(), None);
    let _server = server.restart(&[]).await;
    let error = eventually("the change is noticed", || async {
        match read_one(&*connector, &mapping(PRESSURE)).await {
            Err(ConnectorError::UntrustedCertificate { thumbprint }) => Some(thumbprint),
            _ => None,
        }
    });
    assert_eq!(error.await.0, changed);
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_repeated() {
    let server = Server::start().await;
    let platform = Platform::new();
    let settings = ConnectorSettings { credential: password("reader", "hunter2"), ..server.trusted() };
    let check = platform.open(&settings).await.check(None).await;
    assert_fails(&check, "refused access");
    assert!(!check.detail.contains("hunter2"));
}

#[tokio::test]
async fn a_certificate_signs_in_as_well() {
    let server = Server::start().await;
    let user = tempfile::tempdir().unwrap();
    make_certificate("opcua", user.path(), None);
    let read = |name: &str| std::fs::read_to_string(user.path().join(name)).unwrap();
    let token = format!("{}{}", read("certificate.pem"), read("key.pem"));
    let credential = Some(domain::plant::ConnectorCredential::Token { token });
    let platform = Platform::new();
    let connector = platform.open(&ConnectorSettings { credential, ..server.trusted() }).await;
    let check = connector.check(Some(&mapping(PRESSURE))).await;
    assert!(check.ok, "{check:?}");
}

#[tokio::test]
async fn a_namespace_may_move_at_a_restart_and_while_it_runs() {
    let mut server = Server::start().await;
    server.set("PIT-1001", json!(1.5), 0, AT).await;
    let platform = Platform::new();
    let connector = platform.open(&server.trusted()).await;
    let tag = mapping(PRESSURE);
    assert_eq!(read_one(&*connector, &tag).await.unwrap().value, Some(TagValue::Number(1.5)));
    let before = server.process.greeting["namespace"].clone();
    server.process.ask(json!({ "do": "namespace", "uri": "urn:added:late" })).await;
    assert_eq!(read_one(&*connector, &tag).await.unwrap().value, Some(TagValue::Number(1.5)));
    let mut server = server.restart(&["urn:first", "urn:second"]).await;
    assert_ne!(server.process.greeting["namespace"], before);
    server.set("PIT-1001", json!(2.5), 0, AT).await;
    let sample = eventually("it is read again", || async { read_one(&*connector, &tag).await.ok() }).await;
    assert_eq!(shown(&sample), json!([2.5, "bar", "good", "OPCUA:0x00000000", AT]));
}

#[tokio::test]
async fn outage_hang_and_reconnect() {
    let server = Server::start().await;
    let platform = Platform::new();
    let settings = server.settings(json!({ "trusted_thumbprint": server.thumbprint, "timeout_s": 3 }));
    let connector = platform.open(&settings).await;
    let tag = mapping(PRESSURE);
    eventually("the first connection", || async { read_one(&*connector, &tag).await.ok() }).await;
    server.process.suspend();
    assert_eq!(read_one(&*connector, &tag).await.unwrap_err(), ConnectorError::TimedOut { seconds: 3 });
    assert_fails(&connector.check(None).await, "did not answer within 3 s");
    server.process.resume();
    let limit = Duration::from_secs(40);
    eventually_within(limit, "it reads again", || async { read_one(&*connector, &tag).await.ok() }).await;
    let (port, thumbprint, dir) = (server.port, server.thumbprint, server.dir);
    server.process.kill().await;
    let error = read_one(&*connector, &tag).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unreachable { .. }), "{error:?}");
    assert_fails(&connector.check(None).await, "cannot be reached");
    let process = spawn(port, &dir, &[]).await;
    let _server = Server { port, thumbprint, dir, process };
    eventually_within(limit, "it reads again", || async { read_one(&*connector, &tag).await.ok() }).await;
}

#[tokio::test]
async fn a_server_whose_clock_is_wrong_is_read_with_its_own_times() {
    let mut server = Server::start().await;
    let platform = Platform::new();
    let connector = platform.open(&server.trusted()).await;
    for at in ["2026-11-22T14:00:00Z", "2019-01-01T00:00:00Z"] {
        server.set("PIT-1001", json!(5.5), 0, at).await;
        let sample = read_one(&*connector, &mapping(PRESSURE)).await.unwrap();
        assert_eq!((sample.source_timestamp, sample.received_at), (Some(time(at)), now()));
    }
}

#[tokio::test]
async fn history_is_followed_page_by_page() {
    let mut server = Server::start().await;
    let start = time("2026-11-22T00:00:00Z");
    server.process.ask(json!({ "do": "history", "name": "PIT-1001", "count": 40, "start": start })).await;
    let platform = Platform::new();
    let connector = platform.open(&server.trusted()).await;
    let tag = mapping(PRESSURE);
    let period = start..start + TimeDelta::seconds(30);
    let samples = connector.history(&tag, period.clone(), 1_000).await.unwrap().unwrap();
    let numbers: Vec<_> = samples.iter().map(|sample| sample.value.as_ref().unwrap().as_number().unwrap()).collect();
    assert_eq!(numbers, (0..30).map(f64::from).collect::<Vec<_>>(), "30 samples in pages of 7, the end excluded");
    let bad = samples.iter().filter(|sample| sample.quality == Quality::Bad).count();
    assert_eq!(bad, 3);
    assert_eq!(samples[7].source_timestamp, Some(start + TimeDelta::seconds(7)));
    let first = connector.history(&tag, period.clone(), 10).await.unwrap().unwrap();
    assert_eq!(first[..], samples[..10]);
    let none = connector.history(&mapping("nsu=http://plant.example/area1;s=TIT-1001"), period, 10).await.unwrap();
    assert_eq!(none, None, "of this node no history is kept");
}

#[tokio::test]
async fn what_the_server_offers_is_listed() {
    let server = Server::start().await;
    let platform = Platform::new();
    let connector = platform.open(&server.trusted()).await;
    let tags = connector.browse(100).await.unwrap().unwrap();
    let pressure = tags.iter().find(|tag| tag.name == "PIT-1001").expect("a tag");
    assert_eq!(pressure.mapping.address.0, PRESSURE);
    assert_eq!((pressure.unit.as_deref(), pressure.description.as_deref()), (Some("bar"), Some("Discharge pressure")));
    assert_eq!(tags.len(), 6, "{tags:?}");
    assert_eq!(connector.browse(2).await.unwrap().unwrap().len(), 2);
}

#[tokio::test]
async fn a_day_of_everything_asks_for_no_service_that_writes() {
    let mut server = Server::start().await;
    let platform = Platform::new();
    let connector = platform.open(&server.trusted()).await;
    everything(&*connector).await;
    drop(connector);
    platform.shut_down().await;
    let services = server.services().await;
    assert!(services.contains("Read") && services.contains("CloseSession"), "{services:?}");
    let allowed = read_services();
    let others: Vec<_> = services.difference(&allowed).collect();
    assert!(others.is_empty(), "{others:?}");
}

async fn everything(connector: &dyn PlantConnector) {
    let tag = mapping(PRESSURE);
    let check = connector.check(Some(&tag)).await;
    assert!(check.ok, "{check:?}");
    connector.read(&vec![tag.clone(); 50]).await.expect("values");
    connector.browse(100).await.expect("tags");
    connector.history(&tag, now() - TimeDelta::days(1)..now(), 100).await.expect("a history, or none");
}
