//! The gate: what it refuses, what it records, and that nothing runs unrecorded.

use crate::support::no_audit::NoAudit;
use crate::support::{World, committed_rows, conversation, forbidden};
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::command::{
    Command, CreateConversation, DeleteConversation, DeleteDocument, GetConversation, GetDocument, ListConversations,
    ListUsers, SearchDocuments, SendMessage, UpdateConversation,
};
use domain::conversation::Conversation;
use domain::error::{Classify as _, ErrorKind};
use domain::page::PageRequest;
use domain::ports::{Clock as _, Directory as _, TenantPatch};
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

fn create() -> CreateConversation {
    CreateConversation { title: None, model: None, metadata: json!({}) }
}

fn list_users() -> ListUsers {
    ListUsers { page: PageRequest::default() }
}

/// Use cases that answer one kind of command.
fn answering<C: Command>(
    handler: impl Fn(Authorized<C>) -> Result<C::Output, RuntimeError> + Send + Sync + 'static,
) -> UseCases {
    let mut use_cases = MockUseCases::new();
    use_cases.on(handler);
    UseCases::of(use_cases)
}

/// The refusal stands in the log as the only row, with its reason; the use cases would have panicked.
fn assert_refused<T>(world: &World, result: Result<T, GateError>, kind: ErrorKind, reason: &str) {
    let error = result.err().expect("a refusal");
    assert_eq!(error.kind(), kind, "{error}");
    let rows = world.audit();
    let rows: Vec<_> = rows.iter().map(|row| (row.event_type.as_str(), row.result_status.as_deref())).collect();
    assert_eq!(rows, [("policy.denied", Some("denied"))], "{reason}");
    assert_eq!(world.audit()[0].metadata["reason"], reason);
}

#[tokio::test]
async fn the_intent_is_committed_before_the_use_case_runs_and_one_outcome_follows() {
    let world = World::new().await;
    let ada = world.user("ada", Role::User).await;
    let made = conversation(&ada, uuid::Uuid::from_u128(77).into(), world.clock.now());
    let (store, answer) = (world.store.clone(), made.clone());
    let use_cases = answering(move |granted: Authorized<CreateConversation>| {
        let rows = committed_rows(&store, granted.scope());
        assert_eq!(rows.len(), 1, "the intent and nothing else is committed");
        assert_eq!(rows[0].result_status.as_deref(), Some("pending"));
        assert_eq!(rows[0].id, granted.permit().receipt().intent());
        Ok(answer.clone())
    });
    let gate = world.gate(use_cases);
    assert_eq!(gate.execute(&ada, create()).await.expect("allowed"), made);

    let rows = world.audit();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[1].result_status.as_deref(), Some("success"));
    assert_eq!(rows[1].correlation_id, rows[0].id.as_uuid());
    assert_eq!(rows[1].resource_id, Some(made.id.as_uuid()), "the outcome names what was made");
    assert!(rows.iter().all(|row| row.request_hash.as_ref().is_some_and(|hash| hash.len() == 64)));
}

#[tokio::test]
async fn what_the_matrix_does_not_give_is_refused() {
    let world = World::new().await;
    let ada = world.user("ada", Role::User).await;
    let result = world.gate(forbidden()).execute(&ada, list_users()).await;
    assert_refused(&world, result, ErrorKind::Forbidden, "matrix");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_a_colleagues_look_the_same() {
    for is_there in [false, true] {
        let world = World::new().await;
        let (ada, bob) = (world.user("ada", Role::Admin).await, world.user("bob", Role::User).await);
        let id = if is_there { world.conversation(&bob).await } else { uuid::Uuid::from_u128(404).into() };
        let result = world.gate(forbidden()).execute(&ada, GetConversation { id }).await;
        assert_refused(&world, result, ErrorKind::NotFound, "not_found");
    }
}

#[tokio::test]
async fn a_user_deletes_no_document_of_a_colleague() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", Role::User).await, world.user("bob", Role::User).await);
    let id = world.document(&bob, Classification::Internal).await.id;
    let result = world.gate(forbidden()).execute(&ada, DeleteDocument { id }).await;
    assert_refused(&world, result, ErrorKind::Forbidden, "not_owner");
}

#[tokio::test]
async fn a_document_above_the_clearance_is_not_there() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", Role::Viewer).await, world.user("bob", Role::User).await);
    let id = world.document(&bob, Classification::Confidential).await.id;
    let result = world.gate(forbidden()).execute(&ada, GetDocument { id }).await;
    assert_refused(&world, result, ErrorKind::NotFound, "not_found");
}

#[tokio::test]
async fn a_search_names_no_document_above_the_clearance() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", Role::Viewer).await, world.user("bob", Role::User).await);
    let hidden = world.document(&bob, Classification::Confidential).await.id;
    let filters = SearchFilters { document_ids: vec![hidden], ..SearchFilters::default() };
    let command = SearchDocuments { query: QueryText::parse("valve").expect("a query"), top_k: 5, filters };
    let result = world.gate(forbidden()).execute(&ada, command).await;
    assert_refused(&world, result, ErrorKind::NotFound, "not_found");
}

#[tokio::test]
async fn a_user_who_was_switched_off_is_refused_at_the_next_decision() {
    let world = World::new().await;
    let ada = world.user("ada", Role::Admin).await;
    world.switch_off(ada.user()).await;
    let result = world.gate(forbidden()).execute(&ada, create()).await;
    assert_refused(&world, result, ErrorKind::Forbidden, "user_disabled");
}

#[tokio::test]
async fn a_tenant_that_was_switched_off_is_refused_at_the_next_decision() {
    let world = World::new().await;
    let ada = world.user("ada", Role::Admin).await;
    let off = TenantPatch { name: None, is_active: Some(false) };
    world
        .store
        .update_tenant(world.tenant, off, &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in memory");
    let result = world.gate(forbidden()).execute(&ada, create()).await;
    assert_refused(&world, result, ErrorKind::Forbidden, "tenant_suspended");
}

#[tokio::test]
async fn a_role_that_was_lowered_counts_at_once_whatever_the_caller_holds() {
    let world = World::new().await;
    let was_admin = world.user("ada", Role::Admin).await;
    world.user("ada", Role::User).await;
    let result = world.gate(forbidden()).execute(&was_admin, list_users()).await;
    assert_refused(&world, result, ErrorKind::Forbidden, "matrix");
}

#[tokio::test]
async fn where_the_audit_log_cannot_be_written_nothing_runs_and_no_refusal_is_told() {
    let world = World::new().await;
    let ada = world.user("ada", Role::User).await;
    let gate = world.gate_over(Arc::new(NoAudit(world.store.clone())), forbidden());
    let allowed = gate.execute(&ada, create()).await.map(drop);
    let refused = gate.execute(&ada, list_users()).await.map(drop);
    for result in [allowed, refused] {
        let error = result.expect_err("fail closed");
        assert!(matches!(error, GateError::Audit(_)), "{error:?}");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "audit_unavailable"));
    }
    assert!(world.audit().is_empty());
}

/// The results of the rows: an intent and one outcome.
async fn recorded(gate: &PolicyGate, world: &World, by: &Caller) -> (GateError, Vec<String>) {
    let error = gate.execute(by, create()).await.expect_err("it fails");
    (error, world.audit().into_iter().filter_map(|row| row.result_status).collect())
}

#[tokio::test]
async fn a_use_case_that_fails_leaves_an_outcome_that_says_so() {
    let failures = [
        (RuntimeError::Conflict { detail: "x" }, ErrorKind::Conflict, "error"),
        (RuntimeError::NotFound { what: "x" }, ErrorKind::NotFound, "denied"),
    ];
    for (failure, kind, status) in failures {
        let world = World::new().await;
        let ada = world.user("ada", Role::User).await;
        let failure = Mutex::new(Some(failure));
        let use_cases = answering(move |_: Authorized<CreateConversation>| {
            Err(failure.lock().expect("a lock").take().expect("called once"))
        });
        let (error, rows) = recorded(&world.gate(use_cases), &world, &ada).await;
        assert_eq!(error.kind(), kind);
        assert_eq!(rows, ["pending", status]);
    }
}

#[tokio::test]
async fn a_use_case_that_panics_leaves_an_error_outcome_and_is_our_defect() {
    let world = World::new().await;
    let ada = world.user("ada", Role::User).await;
    let use_cases = answering(|_: Authorized<CreateConversation>| panic!("a defect"));
    let (error, rows) = recorded(&world.gate(use_cases), &world, &ada).await;
    assert_eq!((error.kind(), error.public_detail()), (ErrorKind::Internal, None));
    assert_eq!(rows, ["pending", "error"]);
}

#[tokio::test]
async fn a_chat_turn_closes_itself_and_only_a_failure_to_start_is_closed_by_the_gate() {
    for (starts, expected) in [(true, vec!["chat.request"]), (false, vec!["chat.request", "chat.response"])] {
        let world = World::new().await;
        let ada = world.user("ada", Role::User).await;
        let conversation = world.conversation(&ada).await;
        let gate =
            world.gate(answering(
                move |_: Authorized<SendMessage>| {
                    if starts { Ok(futures::stream::empty().boxed()) } else { Err(RuntimeError::Busy) }
                },
            ));
        let command = SendMessage {
            conversation,
            message: domain::text::MessageText::parse("hi").expect("a message"),
            model: None,
            retrieval: domain::command::RetrievalMode::Never,
            filters: SearchFilters::default(),
        };
        assert_eq!(gate.execute(&ada, command).await.is_ok(), starts);
        let events: Vec<_> = world.audit().into_iter().map(|row| row.event_type).collect();
        assert_eq!(events, expected);
    }
}

#[tokio::test]
async fn an_admin_deletes_a_colleagues_document() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", Role::Admin).await, world.user("bob", Role::User).await);
    let id = world.document(&bob, Classification::Internal).await.id;
    let gate = world.gate(answering(|_: Authorized<DeleteDocument>| Ok(())));
    gate.execute(&ada, DeleteDocument { id }).await.expect("an admin may");
}

/// A use case that says when it runs, and ends when it is told to.
#[derive(Default)]
struct Slow {
    runs: Notify,
    may_end: Notify,
}

struct SlowCreation(Arc<Slow>, Conversation);

#[async_trait]
impl UseCase<CreateConversation> for SlowCreation {
    async fn execute(&self, _: Authorized<CreateConversation>) -> Result<Conversation, RuntimeError> {
        self.0.runs.notify_one();
        self.0.may_end.notified().await;
        Ok(self.1.clone())
    }
}

/// The rest of its group.
macro_rules! not_asked_for {
    ($($command:ty)+) => {$(
        #[async_trait]
        impl UseCase<$command> for SlowCreation {
            async fn execute(&self, _: Authorized<$command>) -> Result<<$command as Command>::Output, RuntimeError> {
                unreachable!("not asked for")
            }
        }
    )+};
}
not_asked_for!(ListConversations GetConversation UpdateConversation DeleteConversation);

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_cut_the_work_off_from_its_outcome() {
    let world = World::new().await;
    let ada = world.user("ada", Role::User).await;
    let slow = Arc::new(Slow::default());
    let made = conversation(&ada, uuid::Uuid::from_u128(77).into(), world.clock.now());
    let creation = Arc::new(SlowCreation(Arc::clone(&slow), made));
    let gate = world.gate(UseCases { conversations: creation, ..forbidden() });
    tokio::select! {
        _ = gate.execute(&ada, create()) => panic!("it was not told to end"),
        () = slow.runs.notified() => {}
    }
    assert_eq!(world.audit().len(), 1, "only the intent so far");
    slow.may_end.notify_one();
    world.drained().await;
    let rows: Vec<_> = world.audit().into_iter().filter_map(|row| row.result_status).collect();
    assert_eq!(rows, ["pending", "success"]);
}
