//! One chat turn over the in-memory store, with a scripted model and tool gateway. Prints the events as they arrive,
//! and then the audit rows. Run it with `cargo run -p runtime --example chat`.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use async_trait::async_trait;
use domain::audit::{AuditFilter, AuditedOperation};
use domain::authorized::{Authorized, Permit};
use domain::classified::Classified;
use domain::command::{BranchPoint, Command as _, RetrievalMode, SendMessage, TurnQuestion};
use domain::conversation::Conversation;
use domain::model::{ChatDelta, ChatRequest, ChatStream, ModelError};
use domain::model_call::{MicroCost, ServedBy};
use domain::page::PageRequest;
use domain::ports::{
    AuditReader as _, ChatModel, Clock as _, IdGen as _, NewTenant, PrivacyScanner, Store as _, StoreError,
    TenantDirectory as _, TenantTx,
};
use domain::privacy::{PatternCounts, PrivacyRules};
use domain::rights::Rights;
use domain::role::{Classification, Role};
use domain::run::{FinishReason, TokenUsage};
use domain::scope::{Actor, TenantScope};
use domain::search::{Hit, Passage, Retrieval, SearchFilters, SurroundingText};
use domain::text::MessageText;
use domain::tool::{ToolCall, ToolResult, ToolSpec};
use fakes::access;
use fakes::access::FakeAccessRules;
use fakes::store_contract::{identity, scope};
use fakes::{InMemoryStore, ManualClock, SequentialIds};
use futures::{StreamExt as _, stream};
use runtime::chat::{ChatPorts, ChatService, ChatSettings};
use runtime::use_case::UseCase as _;
use serde_json::json;
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tools::error::ToolError;
use tools::gateway::{AdmittedCall, CallAdmission, ToolGateway};
use uuid::Uuid;

type ExampleResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct ScriptedBackend;

#[async_trait]
impl ChatModel for ScriptedBackend {
    async fn stream(&self, _request: ChatRequest) -> Result<ChatStream, ModelError> {
        let words = ["Close FV-2003 ", "before the pump stops ", "[1]."];
        let usage = TokenUsage { input_tokens: 200, output_tokens: 9 };
        let finished =
            ChatDelta::Finished { reason: FinishReason::Stop, usage, tokens_estimated: false, cost: MicroCost(9) };
        let deltas = words.map(|text| ChatDelta::Text(text.to_owned())).into_iter().chain([finished]).map(Ok);
        let served_by = ServedBy::embedded("script", "script-1");
        Ok(ChatStream { served_by, deltas: stream::iter(deltas.collect::<Vec<_>>()).boxed() })
    }

    fn is_language_model(&self) -> bool {
        true
    }
}

#[async_trait]
impl ToolGateway for ScriptedBackend {
    async fn manifest(&self, _: &mut dyn TenantTx, _: &Rights) -> Result<Vec<ToolSpec>, StoreError> {
        Ok(Vec::new())
    }

    async fn invoke(&self, _permit: &Permit, _call: ToolCall) -> Result<Classified<ToolResult>, ToolError> {
        self.run().await
    }

    async fn admit(&self, _: &mut dyn TenantTx, _: &Permit, _: ToolCall) -> Result<CallAdmission, StoreError> {
        Ok(CallAdmission::Admitted(Arc::new(Self)))
    }
}

#[async_trait]
impl AdmittedCall for ScriptedBackend {
    async fn run(&self) -> Result<Classified<ToolResult>, ToolError> {
        let passage = Passage {
            chunk_id: Uuid::from_u128(101).into(),
            document_id: Uuid::from_u128(100).into(),
            chunk_index: 0,
            file_name: "SOP-12.pdf".to_owned(),
            title: "Pump shutdown".to_owned(),
            page: Some(4),
            section: Some("3 Sequence".to_owned()),
            content: "Close FV-2003 before the pump stops.".to_owned(),
            classification: Classification::Internal,
        };
        let surrounding_text = SurroundingText::default();
        let hit = Hit {
            passage,
            score: 0.9,
            similarity: Some(0.8),
            bm25: None,
            rerank_score: None,
            surrounding_text,
            explanation: None,
        };
        let retrieval = Retrieval { hits: vec![hit], confidence: 0.9, answerable: true, ..Retrieval::default() };
        Ok(Classified::from_content(ToolResult::Retrieval(retrieval)))
    }

    async fn record(&self, _: &mut dyn TenantTx) -> Result<(), StoreError> {
        Ok(())
    }

    async fn record_in_own_transaction(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The example's tenant has no privacy rules.
struct NoRules;

impl PrivacyScanner for NoRules {
    fn count_matches(&self, _: &Arc<PrivacyRules>, _: &str) -> Result<PatternCounts, ModelError> {
        Ok(PatternCounts::default())
    }
}

#[tokio::main]
async fn main() -> ExampleResult<()> {
    let (clock, ids) = (Arc::new(ManualClock::default()), Arc::new(SequentialIds::default()));
    let store = InMemoryStore::new(clock.clone());
    let (ada, command) = create_user_and_question(&store, &ids, &clock).await?;
    let authorized = authorize(&store, &ids, &clock, &ada, command).await?;
    let chat = ChatService::new(
        ChatPorts {
            store: Arc::new(store.clone()),
            tools: Arc::new(ScriptedBackend),
            model: Arc::new(ScriptedBackend),
            privacy: Arc::new(NoRules),
            rules: Arc::new(FakeAccessRules),
            clock,
            ids,
            tasks: TaskTracker::new(),
        },
        ChatSettings::default(),
    );

    let mut events = chat.execute(authorized).await?;
    while let Some(numbered) = events.next().await {
        println!("{:>2} {:?}", numbered.seq, numbered.event);
    }
    for row in store.read(&ada, &AuditFilter::default(), &PageRequest::default()).await?.items.iter().rev() {
        println!("audit {} {:?} {:?} {:?}", row.event_type, row.result_status, row.model, row.tools_used);
    }
    Ok(())
}

async fn create_user_and_question(
    store: &InMemoryStore,
    ids: &SequentialIds,
    clock: &ManualClock,
) -> ExampleResult<(TenantScope, SendMessage)> {
    let new_tenant = NewTenant { id: ids.uuid().into(), name: "Plant A".to_owned(), slug: "plant-a".to_owned() };
    let tenant = store.create_tenant(new_tenant).await?.id;
    let now = clock.now();
    let mut tx = store.begin(&scope(tenant, Actor::System)).await?;
    let user = tx.users().sign_in(ids.uuid().into(), &identity("ada", Some(Role::User)), now).await?;
    tx.commit().await?;

    let ada = scope(tenant, Actor::User(user.id));
    let conversation = Conversation {
        id: ids.uuid().into(),
        user_id: user.id,
        title: None,
        model: None,
        metadata: json!({}),
        classification: Classification::Public,
        archived: false,
        active_message_id: None,
        is_busy: false,
        team_id: None,
        created_at: now,
        updated_at: now,
    };
    let mut tx = store.begin(&ada).await?;
    tx.conversations().insert(&conversation).await?;
    tx.commit().await?;
    let command = SendMessage {
        conversation: conversation.id,
        question: TurnQuestion::New {
            message: MessageText::parse("Which valve closes first?")?,
            at: BranchPoint::ActiveBranch,
        },
        model: None,
        retrieval: RetrievalMode::Auto,
        filters: SearchFilters::default(),
        teams: Vec::new(),
        agent: None,
    };
    Ok((ada, command))
}

/// Stands in for the policy gate: inserts the intent row and then authorizes the command.
async fn authorize(
    store: &InMemoryStore,
    ids: &SequentialIds,
    clock: &ManualClock,
    user_scope: &TenantScope,
    command: SendMessage,
) -> ExampleResult<Authorized<SendMessage>> {
    let operation = AuditedOperation {
        event: SendMessage::EVENT,
        resource: Some(SendMessage::RESOURCE),
        resource_id: Some(command.conversation.as_uuid()),
        conversation_id: Some(command.conversation),
        request_hash: None,
        metadata: json!({}),
    };
    let mut tx = store.begin(user_scope).await?;
    let receipt = tx.audit().record_intent(ids.uuid().into(), &operation, clock.now()).await?;
    tx.commit().await?;
    let access_grant = access::access_grant(access::rights(Role::User, Classification::Restricted));
    Ok(access::authorized(user_scope.clone(), access_grant, receipt, command))
}
