//! Tests the tool gateway: who may call which tool, and the audit rows of each call.

use super::support::TestContext;
use async_trait::async_trait;
use domain::audit::AuditRecord;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::decision::RefusalCode;
use domain::ledger::CallOrigin;
use domain::ports::{Clock as _, MockStore, Store, StoreError, TenantDirectory, TenantPatch};
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource, Role};
use domain::scope::Actor;
use domain::tool::{ToolCall, ToolName, ToolResult, ToolSpec};
use domain::user::UserPatch;
use serde::Deserialize;
use serde_json::{Value, json};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;
use tools::error::ToolError;
use tools::gateway::{AuditedToolGateway, ToolGateway};
use tools::registry::Registry;
use tools::tool::{Tool, ToolContext};

fn gateway(context: &TestContext, store: Arc<dyn Store>, registry: Registry) -> AuditedToolGateway {
    AuditedToolGateway::new(registry, context.tool_parts(store))
}

fn builtin_gateway(context: &TestContext) -> AuditedToolGateway {
    let store: Arc<dyn Store> = Arc::new(context.store.clone());
    let registry = Registry::builtin(&store, context.search()).expect("a registry");
    gateway(context, store, registry)
}

fn gateway_with_tool(context: &TestContext, tool: Probe) -> AuditedToolGateway {
    let mut registry = Registry::default();
    registry.register(tool).expect("a tool");
    gateway(context, Arc::new(context.store.clone()), registry)
}

/// The tools that are listed for this permit.
async fn manifest(context: &TestContext, tools: &AuditedToolGateway, permit: &Permit) -> Vec<ToolSpec> {
    let mut tx = context.store.begin(permit.scope()).await.expect("a transaction");
    tools.manifest(&mut *tx, permit.rights()).await.expect("a manifest")
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

/// Returns intent and outcome of the only call.
async fn intent_and_outcome(context: &TestContext) -> (AuditRecord, AuditRecord) {
    let rows = context.audit_rows().await;
    let [intent, outcome] = rows.as_slice() else { panic!("{} rows: {rows:?}", rows.len()) };
    assert_eq!(intent.event_type, "tool.invocation");
    assert_eq!(outcome.event_type, "tool.invocation");
    assert_eq!(intent.result_status.as_deref().unwrap_or("pending"), "pending");
    assert_eq!(outcome.correlation_id, intent.id.as_uuid());
    (intent.clone(), outcome.clone())
}

/// Returns the only audit row, which must be a refusal.
async fn refusal(context: &TestContext) -> AuditRecord {
    let rows = context.audit_rows().await;
    let [refusal] = rows.as_slice() else { panic!("{} rows: {rows:?}", rows.len()) };
    assert_eq!(refusal.event_type, "policy.denied");
    assert_eq!(refusal.result_status.as_deref(), Some("denied"));
    refusal.clone()
}

/// What a [`Probe`] does when it is called.
#[derive(Clone, Copy)]
enum Behavior {
    Answer,
    Fail,
    Panic,
    Hang,
}

const READ_MEMORIES: Permission = Permission::new(Resource::Memories, Operation::List);
const LIST_USERS: Permission = Permission::new(Resource::Users, Operation::List);

/// A tool that reports whether it ran and when it started.
struct Probe {
    behavior: Behavior,
    required_permission: Permission,
    has_run: Arc<AtomicBool>,
    started: Arc<Notify>,
}

impl Probe {
    fn new(behavior: Behavior) -> Self {
        Self { behavior, required_permission: READ_MEMORIES, has_run: Arc::default(), started: Arc::default() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

#[async_trait]
impl Tool for Probe {
    type Arguments = NoArguments;

    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: ToolName::MemoryRead.into(),
            description: "A probe.".into(),
            required_permission: self.required_permission,
            writes_to_plant: false,
            parameters: json!({"type": "object", "properties": {}, "additionalProperties": false}),
        }
    }

    async fn run(&self, _: ToolContext, _: NoArguments) -> Result<Classified<ToolResult>, ToolError> {
        self.has_run.store(true, Ordering::Relaxed);
        self.started.notify_one();
        match self.behavior {
            Behavior::Answer => Ok(Classified::from_content(ToolResult::Memories(vec![]))),
            Behavior::Fail => Err(ToolError::NotFound),
            Behavior::Panic => panic!("a bug"),
            Behavior::Hang => pending().await,
        }
    }
}

#[tokio::test]
async fn a_search_records_intent_and_outcome_with_document_ids_and_without_text() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::Viewer).await;
    let document =
        context.create_document(&permit, "manual.pdf", Classification::Internal, &["Tighten the casing bolts."]).await;
    let result = builtin_gateway(&context)
        .invoke(&permit, call("rag_search", json!({"query": "casing bolts", "top_k": 3})))
        .await
        .expect("a result");
    let ToolResult::Retrieval(found) = result.into_parts().0 else { panic!("no retrieval") };
    assert_eq!(found.hits.len(), 1);

    let (intent, outcome) = intent_and_outcome(&context).await;
    assert_eq!(intent.user_id, permit.scope().user());
    assert_eq!(intent.metadata["parent"], permit.receipt().intent_id().to_string());
    assert_eq!(outcome.result_status.as_deref(), Some("success"));
    assert_eq!(outcome.resource_type.as_deref(), Some("search"));
    assert_eq!(outcome.tools_used, ["rag_search"]);
    assert_eq!(outcome.metadata["documents"], json!([document.id]));
    assert_eq!(outcome.metadata["hits"], 1);
    for row in [&intent, &outcome] {
        let text = format!("{row:?}").to_lowercase();
        assert!(!text.contains("casing") && !text.contains("manual"), "{text}");
    }
}

#[tokio::test]
async fn reading_a_document_is_recorded_and_can_be_continued() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::Viewer).await;
    let texts: Vec<String> = (0..25).map(|n| format!("passage {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let document = context.create_document(&permit, "long.pdf", Classification::Internal, &texts).await;
    let tools = builtin_gateway(&context);
    let mut read_texts = Vec::new();
    for (from, expect_more) in [(0, true), (20, false)] {
        let arguments = json!({"document_id": document.id, "from": from});
        let result = tools.invoke(&permit, call("document_read", arguments)).await.expect("text");
        let ToolResult::DocumentText { passages, truncated, .. } = result.into_parts().0 else { panic!("no text") };
        assert_eq!(truncated, expect_more);
        read_texts.extend(passages.into_iter().map(|passage| passage.content));
    }
    assert_eq!(read_texts, texts);
    assert!(context.audit_rows().await.iter().all(|row| row.resource_id == Some(document.id.as_uuid())));
}

#[tokio::test]
async fn no_tool_shows_a_document_above_the_clearance() {
    let context = TestContext::new().await;
    let admin = context.sign_in(Role::Admin).await;
    let viewer = context.sign_in(Role::Viewer).await;
    let document =
        context.create_document(&admin, "bypass.pdf", Classification::Restricted, &["The bypass key."]).await;
    let tools = builtin_gateway(&context);
    let read_call = || call("document_read", json!({"document_id": document.id}));
    assert!(tools.invoke(&admin, read_call()).await.is_ok(), "an admin may see it");
    assert!(matches!(tools.invoke(&viewer, read_call()).await, Err(ToolError::NotFound)));
    let listed = tools.invoke(&viewer, call("document_list", json!({}))).await;
    assert_eq!(listed.expect("a list").into_parts().0, ToolResult::Documents(vec![]));
    let found = tools.invoke(&viewer, call("rag_search", json!({"query": "bypass key"}))).await;
    let found = found.map(|found| found.into_parts().0);
    assert!(matches!(found, Ok(ToolResult::Retrieval(found)) if found.hits.is_empty() && !found.answerable));
}

#[tokio::test]
async fn a_lowered_role_applies_to_permits_issued_before() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::Admin).await;
    let document =
        context.create_document(&permit, "bypass.pdf", Classification::Restricted, &["The bypass key."]).await;
    let tools = builtin_gateway(&context);
    let read_call = || call("document_read", json!({"document_id": document.id}));
    assert!(tools.invoke(&permit, read_call()).await.is_ok());
    update_user(&context, &permit, UserPatch { role: Some(Role::Viewer), ..UserPatch::default() }).await;
    assert!(matches!(tools.invoke(&permit, read_call()).await, Err(ToolError::NotFound)));
}

async fn update_user(context: &TestContext, permit: &Permit, patch: UserPatch) {
    let mut tx = context.store.begin(&context.scope(Actor::System)).await.expect("a transaction");
    tx.users().update(permit.scope().user().expect("a user"), patch, context.clock.now()).await.expect("a change");
    tx.commit().await.expect("a commit");
}

#[tokio::test]
async fn a_user_suspended_after_the_permit_cannot_call_tools() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::Admin).await;
    update_user(&context, &permit, UserPatch { is_active: Some(false), ..UserPatch::default() }).await;
    let probe = Probe::new(Behavior::Answer);
    let has_run = Arc::clone(&probe.has_run);
    let refused = gateway_with_tool(&context, probe).invoke(&permit, call("memory_read", json!({}))).await;
    assert!(matches!(refused, Err(ToolError::Denied { reason: RefusalCode::UserDisabled })));
    assert!(!has_run.load(Ordering::Relaxed));
    assert_eq!(refusal(&context).await.metadata["reason"], "user_disabled");
}

#[tokio::test]
async fn a_tenant_suspended_after_the_permit_cannot_call_tools() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::Admin).await;
    let suspension = TenantPatch { name: None, is_active: Some(false) };
    context
        .store
        .update_tenant(context.tenant, suspension, &domain::tenant_change::ChangedBy::default())
        .await
        .expect("a change");
    let refused = builtin_gateway(&context).invoke(&permit, call("memory_read", json!({}))).await;
    assert!(matches!(refused, Err(ToolError::Denied { reason: RefusalCode::TenantSuspended })));
    refusal(&context).await;
}

#[tokio::test]
async fn a_role_without_the_required_right_is_not_offered_the_tool_and_cannot_call_it() {
    let context = TestContext::new().await;
    let (viewer, admin) = (context.sign_in(Role::Viewer).await, context.sign_in(Role::Admin).await);
    let probe = Probe { required_permission: LIST_USERS, ..Probe::new(Behavior::Answer) };
    let has_run = Arc::clone(&probe.has_run);
    let tools = gateway_with_tool(&context, probe);
    assert_eq!(manifest(&context, &tools, &viewer).await, vec![]);
    let refused = tools.invoke(&viewer, call("memory_read", json!({}))).await;
    assert!(matches!(refused, Err(ToolError::Denied { reason: RefusalCode::InsufficientRights })));
    assert!(!has_run.load(Ordering::Relaxed));
    refusal(&context).await;
    assert!(tools.invoke(&admin, call("memory_read", json!({}))).await.is_ok());
}

#[tokio::test]
async fn an_unknown_tool_is_refused_and_its_name_cannot_break_the_log() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::Admin).await;
    let name = format!("open_valve\n{}", "x".repeat(500));
    let refused = builtin_gateway(&context).invoke(&permit, call(&name, json!({}))).await;
    assert!(matches!(refused, Err(ToolError::UnknownTool)));
    let recorded = refusal(&context).await.metadata["tool"].as_str().expect("a name").to_owned();
    assert!(recorded.starts_with("open_valve_x") && recorded.len() == 64, "{recorded}");
}

#[tokio::test]
async fn tenant_and_user_and_unknown_arguments_are_refused() {
    for argument in ["tenant_id", "user_id", "clearance", "anything"] {
        for (tool, mut arguments) in [
            ("rag_search", json!({"query": "pump"})),
            ("document_read", json!({"document_id": uuid::Uuid::nil()})),
            ("document_list", json!({})),
            ("memory_read", json!({})),
            ("calculator", json!({ "expression": "1 + 1" })),
        ] {
            let context = TestContext::new().await;
            let permit = context.sign_in(Role::Admin).await;
            arguments[argument] = json!("x");
            let refused = builtin_gateway(&context).invoke(&permit, call(tool, arguments)).await;
            assert!(matches!(refused, Err(ToolError::InvalidArguments { .. })), "{tool} {argument}");
            let (_, outcome) = intent_and_outcome(&context).await;
            assert_eq!(outcome.result_status.as_deref(), Some("error"));
            assert_eq!(outcome.metadata["reason"], "invalid_arguments");
        }
    }
}

#[tokio::test]
async fn arguments_out_of_bounds_are_refused() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let tools = builtin_gateway(&context);
    for (tool, arguments) in [
        ("rag_search", json!({"query": "  "})),
        ("rag_search", json!({"query": "x".repeat(2001)})),
        ("rag_search", json!({"query": "pump", "top_k": 0})),
        ("rag_search", json!({"query": "pump", "top_k": 51})),
        ("rag_search", json!({"query": "pump", "document_ids": ["x"]})),
        ("document_list", json!({"limit": 201})),
        ("document_read", json!({})),
        ("memory_read", json!([])),
        ("calculator", json!({ "expression": "1".repeat(301) })),
        ("calculator", json!({ "expression": r"(\x. x x)(\x. x x)" })),
        ("memory_read", json!("text")),
    ] {
        let arguments_json = arguments.to_string();
        let refused = tools.invoke(&permit, call(tool, arguments)).await;
        assert!(matches!(refused, Err(ToolError::InvalidArguments { .. })), "{tool} {arguments_json:.60}");
    }
    assert!(tools.invoke(&permit, call("memory_read", Value::Null)).await.is_ok(), "null means no arguments");
}

#[tokio::test]
async fn a_tool_that_fails_or_panics_leaves_one_outcome() {
    for (behavior, status, reason) in [(Behavior::Fail, "denied", "not_found"), (Behavior::Panic, "error", "panicked")]
    {
        let context = TestContext::new().await;
        let permit = context.sign_in(Role::User).await;
        let failed =
            gateway_with_tool(&context, Probe::new(behavior)).invoke(&permit, call("memory_read", json!({}))).await;
        assert!(failed.is_err());
        let (_, outcome) = intent_and_outcome(&context).await;
        assert_eq!(outcome.result_status.as_deref(), Some(status));
        assert_eq!(outcome.metadata["reason"], reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_hangs_is_stopped_at_its_time_limit() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let failed =
        gateway_with_tool(&context, Probe::new(Behavior::Hang)).invoke(&permit, call("memory_read", json!({}))).await;
    assert!(matches!(failed, Err(ToolError::TimedOut { .. })));
    assert_eq!(intent_and_outcome(&context).await.1.metadata["reason"], "timeout");
}

#[tokio::test]
async fn a_caller_who_disconnects_stops_the_tool_and_the_outcome_is_cancelled() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let probe = Probe::new(Behavior::Hang);
    let started = Arc::clone(&probe.started);
    let tools = gateway_with_tool(&context, probe);
    {
        let invocation = tools.invoke(&permit, call("memory_read", json!({})));
        tokio::select! {
            _ = invocation => panic!("the call returned although its tool hangs"),
            () = started.notified() => {}
        }
    }
    context.wait_for_background_tasks().await;
    let (_, outcome) = intent_and_outcome(&context).await;
    assert_eq!(outcome.result_status.as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn a_permit_without_a_user_cannot_call_tools() {
    let context = TestContext::new().await;
    let user = context.sign_in(Role::Admin).await;
    let mut tx = context.store.begin(user.scope()).await.expect("a transaction");
    let membership = tx.users().membership(user.scope().user().expect("a user")).await.expect("an answer");
    let worker = context.grant(Actor::Worker, &membership.expect("a member"));
    let refused = builtin_gateway(&context).invoke(&worker, call("memory_read", json!({}))).await;
    assert!(matches!(refused, Err(ToolError::Denied { reason: RefusalCode::NoUser })));
    refusal(&context).await;
}

#[tokio::test]
async fn no_tool_runs_if_the_intent_cannot_be_recorded() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::Admin).await;
    let mut store = MockStore::new();
    store
        .expect_begin()
        .returning(|_| Err(StoreError::Unavailable { activity: "connecting", source: "refused".into() }));
    let probe = Probe::new(Behavior::Answer);
    let has_run = Arc::clone(&probe.has_run);
    let mut registry = Registry::default();
    registry.register(probe).expect("a tool");
    let failed = gateway(&context, Arc::new(store), registry).invoke(&permit, call("memory_read", json!({}))).await;
    assert!(matches!(failed, Err(ToolError::AuditUnavailable(_))));
    assert!(!has_run.load(Ordering::Relaxed));
}

#[tokio::test]
async fn the_manifest_contains_the_four_read_only_tools_for_every_role() {
    let context = TestContext::new().await;
    let viewer = context.sign_in(Role::Viewer).await;
    let manifest = manifest(&context, &builtin_gateway(&context), &viewer).await;
    let names: Vec<&str> = manifest.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["rag_search", "document_read", "document_list", "memory_read", "calculator"]);
    assert!(
        manifest.iter().all(|spec| !spec.writes_to_plant && spec.parameters["additionalProperties"] == json!(false))
    );
}
