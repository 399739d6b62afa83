//! Modbus TCP with pymodbus.

use super::support::process::ServerProcess;
use super::support::{Platform, assert_fails, free_port, mapping, read_one, settings, shown, typed};
use domain::plant::{ConnectorError, ConnectorKind, ConnectorSettings, DataType, Quality, TagMapping, TagValue};
use fakes::eventually;
use serde_json::{Value, json};

struct Device {
    port: u16,
    process: ServerProcess,
}

impl Device {
    async fn start() -> Self {
        Self::start_at(free_port()).await
    }

    async fn start_at(port: u16) -> Self {
        Self { port, process: ServerProcess::start("modbus_server.py", &[port.to_string()]).await }
    }

    async fn set(&mut self, table: &str, address: u16, values: &[u16]) {
        self.process.ask(json!({ "do": "set", "table": table, "address": address, "values": values })).await;
    }

    async fn functions(&mut self) -> Value {
        self.process.ask(json!({ "do": "functions" })).await
    }

    fn settings(&self, config: Value) -> ConnectorSettings {
        settings(ConnectorKind::Modbus, format!("modbus://127.0.0.1:{}", self.port), config)
    }
}

#[tokio::test]
async fn every_table_and_type_is_read_in_few_requests() {
    let mut device = Device::start().await;
    device.set("holding", 10, &[0xFFFE, 0x4020, 0x0000, 0xFFFF, 0xFFFE]).await;
    device.set("input", 250, &[465]).await;
    device.set("coils", 17, &[1]).await;
    device.set("discrete", 3, &[1]).await;
    let platform = Platform::new();
    let connector = platform.open(&device.settings(json!({}))).await;
    let tags = [
        typed("holding:10", DataType::Int16),
        typed("holding:11", DataType::Float32),
        typed("holding:13", DataType::Int32),
        TagMapping { scale: Some(0.01), ..mapping("input:250") },
        mapping("coil:17"),
        mapping("coil:18"),
        mapping("discrete:3"),
    ];
    assert_eq!(connector.request_count(&tags), 4, "one per table and block");
    let samples = connector.read(&tags).await.unwrap();
    let values: Vec<_> = samples.iter().map(|sample| sample.value.clone().unwrap()).collect();
    let number = TagValue::Number;
    assert_eq!(
        values,
        [
            number(-2.0),
            number(2.5),
            number(-2.0),
            number(4.65),
            TagValue::Bool(true),
            TagValue::Bool(false),
            TagValue::Bool(true)
        ]
    );
    assert!(samples.iter().all(|sample| sample.quality == Quality::Good && sample.source_timestamp.is_none()));
    assert_eq!(device.functions().await, json!({ "1": 1, "2": 1, "3": 1, "4": 1 }));
}

#[tokio::test]
async fn orders_of_bytes_and_words_are_the_devices() {
    let mut device = Device::start().await;
    device.set("holding", 0, &[0x0000, 0x2040]).await;
    let platform = Platform::new();
    let config = json!({ "unit_id": 1, "byte_order": "little", "word_order": "little" });
    let connector = platform.open(&device.settings(config)).await;
    let sample = read_one(&*connector, &typed("holding:0", DataType::Float32)).await.unwrap();
    assert_eq!(sample.value, Some(TagValue::Number(2.5)));
}

#[tokio::test]
async fn a_register_that_does_not_exist_spoils_only_itself() {
    let mut device = Device::start().await;
    device.set("holding", 99, &[7]).await;
    let platform = Platform::new();
    let connector = platform.open(&device.settings(json!({}))).await;
    let samples = connector.read(&[mapping("holding:99"), mapping("holding:100")]).await.unwrap();
    assert_eq!(shown(&samples[0]), json!([7.0, null, "good", null, null]));
    assert_eq!(shown(&samples[1]), json!([null, null, "bad", "modbus:2:illegal_data_address", null]));
    let check = connector.check(Some(&mapping("holding:150"))).await;
    assert_fails(&check, "modbus:2:illegal_data_address");
    assert!(connector.check(Some(&mapping("holding:99"))).await.ok);
    assert!(
        connector
            .history(&mapping("holding:0"), super::support::now()..super::support::now(), 1)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn exceptions_are_bad_with_their_code() {
    let mut device = Device::start().await;
    let platform = Platform::new();
    let connector = platform.open(&device.settings(json!({}))).await;
    device.process.ask(json!({ "do": "busy", "functions": [4] })).await;
    let sample = read_one(&*connector, &mapping("input:1")).await.unwrap();
    assert_eq!(shown(&sample), json!([null, null, "bad", "modbus:6:device_busy", null]));
    device.process.ask(json!({ "do": "busy", "functions": [4] })).await;
    assert_eq!(read_one(&*connector, &mapping("input:1")).await.unwrap().quality, Quality::Good);
}

#[tokio::test]
async fn outage_hang_and_restart() {
    let device = Device::start().await;
    let port = device.port;
    let platform = Platform::new();
    let connector = platform.open(&device.settings(json!({ "timeout_s": 1 }))).await;
    let tag = mapping("holding:1");
    assert!(read_one(&*connector, &tag).await.is_ok());
    device.process.suspend();
    assert_eq!(read_one(&*connector, &tag).await.unwrap_err(), ConnectorError::TimedOut { seconds: 1 });
    device.process.resume();
    eventually("the connector reads again", || async { read_one(&*connector, &tag).await.ok() }).await;
    device.process.kill().await;
    let error = read_one(&*connector, &tag).await.unwrap_err();
    assert!(matches!(&error, ConnectorError::Unreachable { detail } if detail.contains("refused")), "{error:?}");
    assert_fails(&connector.check(None).await, "refused");
    let mut device = Device::start_at(port).await;
    device.set("holding", 1, &[42]).await;
    let sample = eventually("the connector reads again", || async { read_one(&*connector, &tag).await.ok() }).await;
    assert_eq!(sample.value, Some(TagValue::Number(42.0)));
    drop(connector);
    platform.shut_down().await;
    let functions = device.functions().await;
    let written = functions.as_object().unwrap().keys().any(|code| !["1", "2", "3", "4"].contains(&code.as_str()));
    assert!(!written, "{functions}");
}
