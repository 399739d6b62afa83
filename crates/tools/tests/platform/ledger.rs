//! Tests the usage ledger entries of calls to embedding and reranking models.

use super::support::{TestContext, timeout_error, upload};
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::ids::{ConversationId, RunId, UserId};
use domain::ledger::{CallOrigin, LedgerEntry};
use domain::model::{EmbedPurpose, EmbedRequest};
use domain::model_call::{CallStatus, MicroCost, ModelCaller, ModelOperation};
use domain::ports::{Embedder, JobQueue, RequeueOptions, Store, TenantDirectory};
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource, Role};
use domain::tenant::TenantSettings;
use domain::tool::{ToolCall, ToolName, ToolResult, ToolSpec};
use futures::future::{FutureExt, pending};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tools::error::ToolError;
use tools::gateway::{AuditedToolGateway, ToolGateway};
use tools::ingest::IngestSettings;
use tools::ingest::interface::{Ingest, JobOutcome};
use tools::registry::Registry;
use tools::tool::{Tool, ToolContext};

fn ledger(context: &TestContext) -> Vec<(Option<UserId>, LedgerEntry)> {
    context.store.ledger(context.tenant)
}

fn call_origin() -> CallOrigin {
    let id = uuid::Uuid::from_u128;
    CallOrigin { conversation: Some(ConversationId::from_uuid(id(1))), run: Some(RunId::from_uuid(id(2))) }
}

fn call(name: &str, arguments: Value) -> ToolCall {
    ToolCall {
        call_id: "1".into(),
        name: name.into(),
        arguments,
        arguments_classification: Classification::Public,
        origin: call_origin(),
    }
}

fn gateway(context: &TestContext, registry: Registry) -> AuditedToolGateway {
    let store: Arc<dyn Store> = Arc::new(context.store.clone());
    AuditedToolGateway::new(registry, context.tool_parts(store))
}

/// A document with several batches of chunks.
fn long_document() -> Vec<u8> {
    let section =
        |n| format!("# Section {n}\n\n{}\n\n", format!("The strainer number {n} is cleaned weekly. ").repeat(40));
    (0..8).map(section).collect::<String>().into_bytes()
}

async fn upload_long_document(context: &TestContext) {
    let permit = context.sign_in(Role::User).await;
    let ingest = context.ingest_service(IngestSettings::default());
    ingest.accept(&permit, upload("long.md", &long_document())).await.expect("accepted");
}

#[tokio::test]
async fn the_batches_of_an_attempt_are_one_ledger_entry() {
    let context = TestContext::new().await;
    upload_long_document(&context).await;
    let ingest = context.ingest_service(IngestSettings { embed_batch_size: 2, ..IngestSettings::default() });
    context
        .embedder
        .before_batch(|batch| async move { if batch == 1 { Err(timeout_error()) } else { Ok(()) } }.boxed());
    let job = context.claim().await;
    let retry = ingest.process(&job).await.expect_err("a retry");
    let rows = ledger(&context);
    assert_eq!(rows.len(), 1);
    let (user, LedgerEntry { call, counts_towards_budget, .. }) = &rows[0];
    assert_eq!((call.status, call.error.as_deref(), *user), (CallStatus::Error, Some("timeout"), None));
    assert_eq!(
        (call.usage.input_tokens, call.cost, *counts_towards_budget),
        (2, MicroCost(2), false),
        "only the first batch is counted"
    );

    context.embedder.before_batch(|_| async { Ok(()) }.boxed());
    context
        .store
        .requeue(job.lease, &RequeueOptions { counts_as_attempt: retry.counts_as_attempt, ..RequeueOptions::default() })
        .await
        .expect("requeued");
    assert_eq!(ingest.process(&context.claim().await).await.expect("processed"), JobOutcome::Ready);
    let rows = ledger(&context);
    assert_eq!(rows.len(), 2);
    let call = &rows[1].1.call;
    assert_eq!((call.operation, call.status, call.error.as_ref()), (ModelOperation::Embeddings, CallStatus::Ok, None));
    assert!(call.usage.input_tokens > 4 && call.cost.0 == u64::from(call.usage.input_tokens), "{call:?}");
    assert_eq!(call.served_by.backend, "words");
}

#[tokio::test]
async fn an_attempt_without_model_calls_leaves_no_entry() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let ingest = context.ingest_service(IngestSettings::default());
    ingest.accept(&permit, upload("broken.pdf", b"%PDF-1.7\nnothing of a PDF")).await.expect("accepted");
    assert_eq!(ingest.process(&context.claim().await).await.expect("processed"), JobOutcome::Failed);
    assert_eq!(ledger(&context), []);
}

#[tokio::test]
async fn ingestion_passes_on_the_tenants_cloud_limit() {
    for (configured, limit) in
        [(None, Classification::Internal), (Some(Classification::Public), Classification::Public)]
    {
        let context = TestContext::new().await;
        let settings = TenantSettings { cloud_classification: configured, ..TenantSettings::default() };
        context
            .store
            .replace_settings(context.tenant, &settings, 1, &domain::tenant_change::ChangedBy::default())
            .await
            .expect("the in-memory store does not fail")
            .expect("configured");
        upload_long_document(&context).await;
        context.ingest_service(IngestSettings::default()).process(&context.claim().await).await.expect("processed");
        let callers = context.embedder.callers();
        assert!(
            !callers.is_empty() && callers.iter().all(|caller| caller.max_cloud_classification == limit),
            "{callers:?}"
        );
    }
}

#[tokio::test]
async fn a_search_is_recorded_even_if_its_model_fails() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context
        .create_document(&permit, "manual.pdf", Classification::Internal, &["The strainer is cleaned weekly."])
        .await;
    let store: Arc<dyn Store> = Arc::new(context.store.clone());
    let tools = gateway(&context, Registry::builtin(&store, context.search()).expect("a registry"));
    for down in [false, true] {
        context.embedder.is_down.store(down, Ordering::Relaxed);
        let found = tools.invoke(&permit, call("rag_search", json!({"query": "strainer"}))).await.expect("a search");
        assert!(matches!(found.into_parts().0, ToolResult::Retrieval(found) if found.degraded == down));
    }
    let rows = ledger(&context);
    let statuses: Vec<_> = rows.iter().map(|(_, entry)| (entry.call.status, entry.call.error.as_deref())).collect();
    assert_eq!(statuses, [(CallStatus::Ok, None), (CallStatus::Error, Some("timeout"))]);
    for (user, entry) in &rows {
        assert_eq!((*user, entry.origin, entry.counts_towards_budget), (permit.scope().user(), call_origin(), false));
        assert_eq!(entry.call.operation, ModelOperation::Embeddings);
    }
    let mut tx = context.store.begin(permit.scope()).await.expect("the in-memory store does not fail");
    let spent = tx
        .usage()
        .spending(domain::ports::Clock::now(&*context.clock))
        .await
        .expect("the in-memory store does not fail")
        .user;
    assert_eq!((spent.tokens, spent.cost), (0, MicroCost(1)), "cost counts, tokens do not");
}

/// A tool that calls a model and then ends in the given way.
struct ModelTool {
    embedder: Arc<dyn Embedder>,
    ending: Ending,
}

#[derive(Clone, Copy)]
enum Ending {
    Fail,
    Panic,
    Hang,
}

#[async_trait]
impl Tool for ModelTool {
    type Arguments = serde_json::Map<String, Value>;

    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: ToolName::MemoryRead.into(),
            description: "Calls a model.".into(),
            required_permission: Permission::new(Resource::Search, Operation::Read),
            writes_to_plant: false,
            parameters: json!({"type": "object", "properties": {}, "additionalProperties": false}),
        }
    }

    async fn run(&self, context: ToolContext, _: Self::Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let caller =
            ModelCaller::without_privacy_rules(context.tenant_scope.tenant(), context.max_cloud_classification);
        let (purpose, texts, classification) = (EmbedPurpose::Query, vec!["a".to_owned()], Classification::Public);
        let request = EmbedRequest { caller, purpose, texts, classification };
        context.model_call_recorder.embed(&*self.embedder, request).await.expect("an answer");
        match self.ending {
            Ending::Fail => Err(ToolError::NotFound),
            Ending::Panic => panic!("a bug"),
            Ending::Hang => pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn model_calls_of_a_tool_are_recorded_regardless_of_how_it_ends() {
    for ending in [Ending::Fail, Ending::Panic, Ending::Hang] {
        let context = TestContext::new().await;
        let permit: Permit = context.sign_in(Role::User).await;
        let mut registry = Registry::default();
        registry.register(ModelTool { embedder: context.embedder.clone(), ending }).expect("a tool");
        let tools = gateway(&context, registry);
        assert!(tools.invoke(&permit, call("memory_read", json!({}))).await.is_err());
        let rows = ledger(&context);
        assert_eq!((rows.len(), rows[0].1.call.status), (1, CallStatus::Ok));
    }
}
