//! Tests the tools that read plant systems, with a fake reader behind the real tool gateway.

use super::support::TestContext;
use domain::authorized::Permit;
use domain::ledger::CallOrigin;
use domain::plant::{HistoryPoint, Quality, TagValue};
use domain::ports::{PlantReadError, PlantReader, Store};
use domain::role::{Classification, Role};
use domain::time::Timestamp;
use domain::tool::{ToolCall, ToolResult};
use fakes::FakePlantReader;
use fakes::plant::reading;
use serde_json::{Value, json};
use std::sync::Arc;
use tools::error::ToolError;
use tools::gateway::{AuditedToolGateway, ToolGateway};
use tools::registry::Registry;

fn plant() -> FakePlantReader {
    let point = HistoryPoint { at: Timestamp::UNIX_EPOCH, value: TagValue::number(4.5), quality: Quality::Good };
    FakePlantReader::default()
        .with(reading("PIT-1001", Classification::Internal), Some("Northfield/Area 100/P-101"))
        .with(reading("SIS-9", Classification::Restricted), Some("Northfield/SIS"))
        .with_points(vec![point])
}

fn gateway(context: &TestContext, reader: &FakePlantReader) -> AuditedToolGateway {
    let store: Arc<dyn Store> = Arc::new(context.store.clone());
    let mut registry = Registry::builtin(&store, context.search()).expect("a registry");
    let reader: Arc<dyn PlantReader> = Arc::new(reader.clone());
    registry.register_plant_reads(&reader).expect("closed schemas");
    AuditedToolGateway::new(registry, context.tool_parts(store))
}

fn call(name: &str, arguments: Value) -> ToolCall {
    ToolCall {
        call_id: "call-1".into(),
        name: name.into(),
        arguments,
        arguments_classification: Classification::Public,
        origin: CallOrigin::default(),
    }
}

fn history_arguments() -> Value {
    json!({"tag": "PIT-1001", "from": "2026-11-30T00:00:00Z", "to": "2026-11-30T08:00:00Z", "aggregate": "avg"})
}

#[tokio::test]
async fn viewers_find_tags_and_only_users_read_their_values() {
    let context = TestContext::new().await;
    let (viewer, user) = (context.sign_in(Role::Viewer).await, context.sign_in(Role::User).await);
    let tools = gateway(&context, &plant());
    let names = async |permit: &Permit| {
        let mut tx = context.store.begin(permit.scope()).await.expect("in memory");
        let specs = tools.manifest(&mut *tx, permit.rights()).await.expect("a manifest");
        let names = specs.into_iter().map(|spec| spec.name.to_string());
        names.filter(|name| name.starts_with("plant_")).collect::<Vec<_>>()
    };
    assert_eq!(names(&viewer).await, ["plant_tag_search"]);
    assert_eq!(names(&user).await, ["plant_tag_search", "plant_system_read", "plant_history_read"]);
    assert!(tools.invoke(&viewer, call("plant_tag_search", json!({"query": "P-101"}))).await.is_ok());
    for (name, arguments) in
        [("plant_system_read", json!({"tags": ["PIT-1001"]})), ("plant_history_read", history_arguments())]
    {
        let refused = tools.invoke(&viewer, call(name, arguments.clone())).await;
        assert!(matches!(refused, Err(ToolError::Denied { .. })), "{name}");
        assert!(tools.invoke(&user, call(name, arguments)).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_tag_above_the_clearance_is_as_if_it_did_not_exist() {
    let context = TestContext::new().await;
    context.set_user_clearance(Classification::Internal).await;
    let permit = context.sign_in(Role::User).await;
    let tools = gateway(&context, &plant());
    let found = tools.invoke(&permit, call("plant_tag_search", json!({"query": "SIS-9 pressure"}))).await;
    let ToolResult::Tags(tags) = found.expect("a result").into_parts().0 else { panic!("no tags") };
    assert_eq!(tags.iter().map(|tag| tag.tag.as_str()).collect::<Vec<_>>(), ["PIT-1001"]);
    for name in ["SIS-9", "no-such-tag"] {
        let read = tools.invoke(&permit, call("plant_system_read", json!({"tags": [name]}))).await;
        assert!(matches!(read, Err(ToolError::Plant(PlantReadError::UnknownTags { .. }))), "{name}");
    }
    let admin = context.sign_in(Role::Admin).await;
    let read = tools.invoke(&admin, call("plant_system_read", json!({"tags": ["SIS-9"]}))).await.expect("a reading");
    assert_eq!(read.classification(), Classification::Restricted, "a reading has the class of its connector");
}

#[tokio::test]
async fn the_audit_log_names_tags_and_sources_but_no_value() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let tools = gateway(&context, &plant());
    tools.invoke(&permit, call("plant_system_read", json!({"tags": ["PIT-1001", "PIT-1001"]}))).await.expect("read");
    tools.invoke(&permit, call("plant_history_read", history_arguments())).await.expect("a history");
    let denied = tools.invoke(&permit, call("plant_system_read", json!({"tags": ["secret word"]}))).await;
    assert!(denied.is_err());
    let rows = context.audit_rows().await;
    assert_eq!(rows.len(), 6, "an intent and an outcome each");
    let outcomes: Vec<&Value> = rows.iter().map(|row| &row.metadata).filter(|row| row["hits"].is_u64()).collect();
    assert_eq!(outcomes[0]["tags"], json!(["PIT-1001"]), "a tag that is named twice is read once");
    assert_eq!(outcomes[1]["sources"], json!(["simulator:demo"]));
    let statuses: Vec<_> = rows.iter().filter_map(|row| row.result_status.as_deref()).collect();
    assert!(statuses.contains(&"denied"), "{statuses:?}");
    for row in &rows {
        let text = row.metadata.to_string();
        assert!(!text.contains("4.6") && !text.contains("4.5") && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn arguments_are_bounded_and_unknown_ones_refused() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let reader = plant();
    let tools = gateway(&context, &reader);
    let history = |name: &str, value: Value| {
        let mut arguments = history_arguments();
        arguments[name] = value;
        arguments
    };
    for (name, arguments) in [
        ("plant_tag_search", json!({"query": " "})),
        ("plant_tag_search", json!({"query": "x", "limit": 51})),
        ("plant_tag_search", json!({"query": "x", "tenant_id": "x"})),
        ("plant_system_read", json!({"tags": []})),
        ("plant_system_read", json!({"tags": vec!["x"; 51]})),
        ("plant_system_read", json!({"tags": ["x".repeat(129)]})),
        ("plant_system_read", json!({"tags": ["x"], "clearance": "restricted"})),
        ("plant_history_read", history("to", json!("2026-11-30T00:00:00Z"))),
        ("plant_history_read", history("to", json!("2028-11-30T00:00:00Z"))),
        ("plant_history_read", history("from", json!("yesterday"))),
        ("plant_history_read", history("aggregate", json!("median"))),
        ("plant_history_read", history("interval_s", json!(0))),
        ("plant_history_read", history("user_id", json!("x"))),
    ] {
        let shown = arguments.to_string();
        let refused = tools.invoke(&permit, call(name, arguments)).await;
        assert!(matches!(refused, Err(ToolError::InvalidArguments { .. })), "{name} {shown:.80}");
    }
    assert_eq!(reader.calls(), Vec::<&str>::new(), "nothing was read");
}

#[tokio::test]
async fn nothing_is_read_while_the_plant_mode_is_off() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let reader = plant();
    let tools = gateway(&context, &reader);
    reader.set_off(true);
    let refused = tools.invoke(&permit, call("plant_system_read", json!({"tags": ["PIT-1001"]}))).await;
    let Err(error) = refused else { panic!("it was read") };
    assert_eq!(domain::error::Classify::code(&error), "plant_mode");
    assert!(domain::error::Classify::retry_after(&error).is_some());
    reader.set_off(false);
    assert!(tools.invoke(&permit, call("plant_system_read", json!({"tags": ["PIT-1001"]}))).await.is_ok());
}
