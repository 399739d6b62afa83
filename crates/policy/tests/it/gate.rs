//! The gate refuses what is not allowed, records intents and outcomes, and runs no use case without a recorded intent.

use crate::support::unwritable_audit::UnwritableAuditStore;
use crate::support::{Fixture, committed_rows, conversation, unreachable_use_cases};
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::command::{
    Command, CreateConversation, DeleteConversation, DeleteDocument, ExportConversation, GetConversation, GetDocument,
    ListConversations, ListUsers, SearchDocuments, SendMessage, UpdateConversation,
};
use domain::conversation::Conversation;
use domain::error::{Classify as _, ErrorKind};
use domain::page::PageRequest;
use domain::ports::{Clock as _, TenantDirectory as _, TenantPatch};
use domain::role::{Classification, Role};
use domain::search::SearchFilters;
use domain::text::QueryText;
use futures::StreamExt as _;
use policy::caller::Caller;
use policy::error::GateError;
use policy::gate::{Execute as _, PolicyGate, UseCases};
use runtime::error::RuntimeError;
use runtime::use_case::{MockUseCases, UseCase};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

fn create_conversation() -> CreateConversation {
    CreateConversation { title: None, model: None, metadata: json!({}), team: None }
}

fn list_users() -> ListUsers {
    ListUsers { page: PageRequest::default() }
}

/// Use cases that only handle commands of type `C`.
fn use_cases_for<C: Command>(
    handler: impl Fn(Authorized<C>) -> Result<C::Output, RuntimeError> + Send + Sync + 'static,
) -> UseCases {
    let mut use_cases = MockUseCases::new();
    use_cases.on(handler);
    UseCases::new(use_cases)
}

/// Asserts that `result` is a refusal and that the audit log has exactly one row, with its reason. No use case was
/// called, since it would have panicked.
fn assert_refused<T>(fixture: &Fixture, result: Result<T, GateError>, kind: ErrorKind, reason: &str) {
    let error = result.err().expect("a refusal");
    assert_eq!(error.kind(), kind, "{error}");
    let rows = fixture.audit_rows();
    let rows: Vec<_> = rows.iter().map(|row| (row.event_type.as_str(), row.result_status.as_deref())).collect();
    assert_eq!(rows, [("policy.denied", Some("denied"))], "{reason}");
    assert_eq!(fixture.audit_rows()[0].metadata["reason"], reason);
}

#[tokio::test]
async fn the_intent_is_committed_before_the_use_case_runs_and_one_outcome_follows() {
    let fixture = Fixture::new().await;
    let ada = fixture.user("ada", Role::User).await;
    let id = fixture.document(&ada, Classification::Internal).await.id;
    let store = fixture.store.clone();
    let use_cases = use_cases_for(move |authorized: Authorized<DeleteDocument>| {
        let rows = committed_rows(&store, authorized.scope());
        assert_eq!(rows.len(), 1, "the intent and nothing else is committed");
        assert_eq!(rows[0].result_status.as_deref(), Some("pending"));
        assert_eq!(rows[0].id, authorized.permit().receipt().intent_id());
        Ok(())
    });
    fixture.gate(use_cases).execute(&ada, DeleteDocument { id }).await.expect("allowed");

    let rows = fixture.audit_rows();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[1].result_status.as_deref(), Some("success"));
    assert_eq!(rows[1].correlation_id, rows[0].id.as_uuid());
    assert_eq!(rows[1].resource_id, Some(id.as_uuid()));
    assert!(rows.iter().all(|row| row.request_hash.as_ref().is_some_and(|hash| hash.len() == 64)));
}

#[tokio::test]
async fn an_operation_that_the_matrix_does_not_allow_is_refused() {
    let fixture = Fixture::new().await;
    let ada = fixture.user("ada", Role::User).await;
    let result = fixture.gate(unreachable_use_cases()).execute(&ada, list_users()).await;
    assert_refused(&fixture, result, ErrorKind::Forbidden, "matrix");
}

#[tokio::test]
async fn a_conversation_of_another_user_is_refused_like_an_absent_one() {
    for exists in [false, true] {
        let fixture = Fixture::new().await;
        let (ada, bob) = (fixture.user("ada", Role::Admin).await, fixture.user("bob", Role::User).await);
        let id = if exists { fixture.conversation(&bob).await } else { uuid::Uuid::from_u128(404).into() };
        let result = fixture
            .gate(unreachable_use_cases())
            .execute(&ada, GetConversation { id, branches: domain::command::Branches::Active })
            .await;
        assert_refused(&fixture, result, ErrorKind::NotFound, "not_found");
    }
}

#[tokio::test]
async fn a_user_cannot_delete_a_document_of_another_user() {
    let fixture = Fixture::new().await;
    let (ada, bob) = (fixture.user("ada", Role::User).await, fixture.user("bob", Role::User).await);
    let id = fixture.document(&bob, Classification::Internal).await.id;
    let result = fixture.gate(unreachable_use_cases()).execute(&ada, DeleteDocument { id }).await;
    assert_refused(&fixture, result, ErrorKind::Forbidden, "not_owner");
}

#[tokio::test]
async fn a_document_above_the_clearance_is_not_found() {
    let fixture = Fixture::new().await;
    let (ada, bob) = (fixture.user("ada", Role::Viewer).await, fixture.user("bob", Role::User).await);
    let id = fixture.document(&bob, Classification::Confidential).await.id;
    let result = fixture.gate(unreachable_use_cases()).execute(&ada, GetDocument { id }).await;
    assert_refused(&fixture, result, ErrorKind::NotFound, "not_found");
}

#[tokio::test]
async fn a_search_cannot_reference_a_document_above_the_clearance() {
    let fixture = Fixture::new().await;
    let (ada, bob) = (fixture.user("ada", Role::Viewer).await, fixture.user("bob", Role::User).await);
    let hidden = fixture.document(&bob, Classification::Confidential).await.id;
    let filters = SearchFilters { document_ids: vec![hidden], ..SearchFilters::default() };
    let command = SearchDocuments {
        query: QueryText::parse("valve").expect("a query"),
        top_k: 5,
        filters,
        explain: false,
        team: None,
    };
    let result = fixture.gate(unreachable_use_cases()).execute(&ada, command).await;
    assert_refused(&fixture, result, ErrorKind::NotFound, "not_found");
}

#[tokio::test]
async fn a_deactivated_user_is_refused_at_the_next_decision() {
    let fixture = Fixture::new().await;
    let ada = fixture.user("ada", Role::Admin).await;
    fixture.deactivate(ada.user()).await;
    let result = fixture.gate(unreachable_use_cases()).execute(&ada, create_conversation()).await;
    assert_refused(&fixture, result, ErrorKind::Forbidden, "user_disabled");
}

#[tokio::test]
async fn the_users_of_a_deactivated_tenant_are_refused_at_the_next_decision() {
    let fixture = Fixture::new().await;
    let ada = fixture.user("ada", Role::Admin).await;
    let deactivation = TenantPatch { name: None, is_active: Some(false) };
    fixture
        .store
        .update_tenant(fixture.tenant, deactivation, &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in-memory store");
    let result = fixture.gate(unreachable_use_cases()).execute(&ada, create_conversation()).await;
    assert_refused(&fixture, result, ErrorKind::Forbidden, "tenant_suspended");
}

#[tokio::test]
async fn a_lowered_role_takes_effect_at_once() {
    let fixture = Fixture::new().await;
    let stale_admin = fixture.user("ada", Role::Admin).await;
    fixture.user("ada", Role::User).await;
    let result = fixture.gate(unreachable_use_cases()).execute(&stale_admin, list_users()).await;
    assert_refused(&fixture, result, ErrorKind::Forbidden, "matrix");
}

#[tokio::test]
async fn if_the_audit_log_cannot_be_written_nothing_runs_and_no_refusal_is_returned() {
    let fixture = Fixture::new().await;
    let ada = fixture.user("ada", Role::User).await;
    let gate = fixture.gate_with_store(
        Arc::new(UnwritableAuditStore { store: fixture.store.clone(), accepts_intents: false }),
        unreachable_use_cases(),
    );
    let allowed = gate.execute(&ada, create_conversation()).await.map(drop);
    let refused = gate.execute(&ada, list_users()).await.map(drop);
    for result in [allowed, refused] {
        let error = result.expect_err("fail closed");
        assert!(matches!(error, GateError::Audit(_)), "{error:?}");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "audit_unavailable"));
    }
    assert!(fixture.audit_rows().is_empty());
}

/// Returns the error and the results in the audit rows: of the intent and the outcome.
async fn fail_to_create(gate: &PolicyGate, fixture: &Fixture, caller: &Caller) -> (GateError, Vec<String>) {
    let error = gate.execute(caller, create_conversation()).await.expect_err("the use case fails");
    (error, fixture.audit_rows().into_iter().filter_map(|row| row.result_status).collect())
}

#[tokio::test]
async fn a_failed_use_case_is_recorded_with_its_status() {
    let failures = [
        (RuntimeError::Conflict { detail: "x" }, ErrorKind::Conflict, "error"),
        (RuntimeError::NotFound { target: "x" }, ErrorKind::NotFound, "denied"),
    ];
    for (failure, kind, status) in failures {
        let fixture = Fixture::new().await;
        let ada = fixture.user("ada", Role::User).await;
        let failure = Mutex::new(Some(failure));
        let use_cases = use_cases_for(move |_: Authorized<CreateConversation>| {
            Err(failure.lock().expect("a lock").take().expect("called once"))
        });
        let (error, rows) = fail_to_create(&fixture.gate(use_cases), &fixture, &ada).await;
        assert_eq!(error.kind(), kind);
        assert_eq!(rows, ["pending", status]);
    }
}

#[tokio::test]
async fn a_panic_in_a_use_case_is_recorded_as_an_error_and_returned_as_internal() {
    let fixture = Fixture::new().await;
    let ada = fixture.user("ada", Role::User).await;
    let use_cases = use_cases_for(|_: Authorized<CreateConversation>| panic!("a bug"));
    let (error, rows) = fail_to_create(&fixture.gate(use_cases), &fixture, &ada).await;
    assert_eq!((error.kind(), error.public_detail()), (ErrorKind::Internal, None));
    assert_eq!(rows, ["pending", "error"]);
}

#[tokio::test]
async fn the_gate_records_the_outcome_of_a_chat_turn_only_if_it_fails_to_start() {
    for (run_starts, expected) in [(true, vec!["chat.request"]), (false, vec!["chat.request", "chat.response"])] {
        let fixture = Fixture::new().await;
        let ada = fixture.user("ada", Role::User).await;
        let conversation = fixture.conversation(&ada).await;
        let gate = fixture.gate(use_cases_for(move |_: Authorized<SendMessage>| {
            if run_starts { Ok(futures::stream::empty().boxed()) } else { Err(RuntimeError::Busy) }
        }));
        let command = SendMessage {
            conversation,
            question: domain::command::TurnQuestion::New {
                message: domain::text::MessageText::parse("hi").expect("a message"),
                at: domain::command::BranchPoint::ActiveBranch,
            },
            model: None,
            retrieval: domain::command::RetrievalMode::Never,
            filters: SearchFilters::default(),
            teams: Vec::new(),
            agent: None,
        };
        assert_eq!(gate.execute(&ada, command).await.is_ok(), run_starts);
        let events: Vec<_> = fixture.audit_rows().into_iter().map(|row| row.event_type).collect();
        assert_eq!(events, expected);
    }
}

#[tokio::test]
async fn an_admin_can_delete_a_document_of_another_user() {
    let fixture = Fixture::new().await;
    let (ada, bob) = (fixture.user("ada", Role::Admin).await, fixture.user("bob", Role::User).await);
    let id = fixture.document(&bob, Classification::Internal).await.id;
    let gate = fixture.gate(use_cases_for(|_: Authorized<DeleteDocument>| Ok(())));
    gate.execute(&ada, DeleteDocument { id }).await.expect("an admin may");
}

/// Signals to synchronize a use case with the test.
#[derive(Default)]
struct Signals {
    started: Notify,
    finish: Notify,
}

struct SlowCreation(Arc<Signals>, Conversation);

#[async_trait]
impl UseCase<CreateConversation> for SlowCreation {
    async fn execute(&self, _: Authorized<CreateConversation>) -> Result<Conversation, RuntimeError> {
        self.0.started.notify_one();
        self.0.finish.notified().await;
        Ok(self.1.clone())
    }
}

/// Implements the other commands of the group, which must not be called.
macro_rules! not_called {
    ($($command:ty)+) => {$(
        #[async_trait]
        impl UseCase<$command> for SlowCreation {
            async fn execute(&self, _: Authorized<$command>) -> Result<<$command as Command>::Output, RuntimeError> {
                unreachable!("not called by the test")
            }
        }
    )+};
}
not_called!(ListConversations GetConversation ExportConversation UpdateConversation DeleteConversation);

#[tokio::test]
async fn the_outcome_is_recorded_even_if_the_caller_disconnects() {
    let fixture = Fixture::new().await;
    let ada = fixture.user("ada", Role::User).await;
    let signals = Arc::new(Signals::default());
    let created = conversation(&ada, uuid::Uuid::from_u128(77).into(), fixture.clock.now());
    let creation = Arc::new(SlowCreation(Arc::clone(&signals), created));
    let gate = fixture.gate(UseCases { conversations: creation, ..unreachable_use_cases() });
    tokio::select! {
        _ = gate.execute(&ada, create_conversation()) => panic!("the use case ended before the test let it finish"),
        () = signals.started.notified() => {}
    }
    assert!(fixture.audit_rows().is_empty(), "the intent is committed with the outcome");
    signals.finish.notify_one();
    fixture.wait_for_commands().await;
    let rows: Vec<_> = fixture.audit_rows().into_iter().filter_map(|row| row.result_status).collect();
    assert_eq!(rows, ["pending", "success"]);
}
