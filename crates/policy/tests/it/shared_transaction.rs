//! Commands that share the transaction of their decision: intent, work and outcome are committed together or not at
//! all, and a failure is still recorded.

use crate::support::unwritable_audit::UnwritableAuditStore;
use crate::support::{Fixture, committed_rows, conversation};
use domain::authorized::Authorized;
use domain::command::CreateConversation;
use domain::conversation::Conversation;
use domain::error::{Classify as _, ErrorKind};
use domain::ids::ConversationId;
use domain::ports::{Clock as _, Store};
use domain::role::Role;
use fakes::InMemoryStore;
use futures::FutureExt as _;
use policy::caller::Caller;
use policy::error::GateError;
use policy::gate::{Execute as _, UseCases};
use runtime::error::RuntimeError;
use runtime::use_case::MockUseCases;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// How the use case ends after it has stored the conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// Lets the gate commit.
    Finish,
    /// Drops its transaction and fails.
    Fail,
    /// Commits and succeeds.
    Commit,
    /// Commits and then fails.
    CommitAndFail,
    /// Fails without touching the transaction.
    FailBeforeBegin,
    /// Drops its transaction and succeeds, as if there was nothing to change.
    RollBack,
}

/// Result of an execution, and what it stored.
struct ExecutionResult {
    result: Result<Conversation, GateError>,
    /// Results of the audit rows, oldest first.
    audit_statuses: Vec<String>,
    is_stored: bool,
}

fn create(
    store: &InMemoryStore,
    conversation: &Conversation,
    ending: Ending,
    command: &Authorized<CreateConversation>,
) {
    let mut tx = command.begin(store).now_or_never().expect("ready").expect("in memory");
    let second_tx = command.begin(store).now_or_never().expect("ready");
    assert!(second_tx.is_err(), "no second transaction while the first is open");
    tx.conversations().insert(conversation).now_or_never().expect("ready").expect("a new conversation");
    assert!(committed_rows(store, command.scope()).is_empty(), "nothing is committed while it works");
    match ending {
        Ending::Finish => tx.defer_commit(),
        Ending::Commit | Ending::CommitAndFail => {
            tx.commit().now_or_never().expect("ready").expect("in memory");
            assert_eq!(committed_rows(store, command.scope()).len(), 1, "the intent is committed with the work");
        }
        Ending::Fail | Ending::FailBeforeBegin | Ending::RollBack => {
            drop(tx);
            let second_tx = command.begin(store).now_or_never().expect("ready");
            assert!(second_tx.is_err(), "a new transaction would not contain the intent");
        }
    }
}

async fn execute(fixture: &Fixture, caller: &Caller, ending: Ending) -> ExecutionResult {
    execute_with(Arc::new(fixture.store.clone()), fixture, caller, ending).await
}

/// Executes the command with a gate that uses `gate_store`.
async fn execute_with(
    gate_store: Arc<dyn Store>,
    fixture: &Fixture,
    caller: &Caller,
    ending: Ending,
) -> ExecutionResult {
    let id = ConversationId::from_uuid(Uuid::from_u128(77));
    let new_conversation = conversation(caller, id, fixture.clock.now());
    let store = fixture.store.clone();
    let mut use_cases = MockUseCases::new();
    use_cases.on(move |command: Authorized<CreateConversation>| {
        if ending != Ending::FailBeforeBegin {
            create(&store, &new_conversation, ending, &command);
        }
        match ending {
            Ending::Finish | Ending::Commit | Ending::RollBack => Ok(new_conversation.clone()),
            _ => Err(RuntimeError::Conflict { detail: "requested by the test" }),
        }
    });
    let gate = fixture.gate_with_store(gate_store, UseCases::new(use_cases));
    let command = CreateConversation { title: None, model: None, metadata: json!({}), team: None };
    let result = gate.execute(caller, command).await;
    let mut tx = fixture.store.begin(caller.scope()).await.expect("in memory");
    let is_stored = tx.conversations().get(id).await.expect("in memory").is_some();
    let audit_statuses = fixture.audit_rows().into_iter().filter_map(|row| row.result_status).collect();
    ExecutionResult { result, audit_statuses, is_stored }
}

#[tokio::test]
async fn successful_work_is_committed_with_its_intent_and_outcome() {
    for ending in [Ending::Finish, Ending::Commit, Ending::RollBack] {
        let fixture = Fixture::new().await;
        let ada = fixture.user("ada", Role::User).await;
        let executed = execute(&fixture, &ada, ending).await;
        let created = executed.result.expect("allowed");
        assert_eq!(executed.is_stored, ending != Ending::RollBack, "{ending:?}");
        assert_eq!(executed.audit_statuses, ["pending", "success"], "{ending:?}");
        let rows = fixture.audit_rows();
        assert_eq!(rows[1].correlation_id, rows[0].id.as_uuid());
        assert_eq!(rows[1].resource_id, Some(created.id.as_uuid()), "the outcome has the id of the new conversation");
    }
}

#[tokio::test]
async fn a_failure_rolls_the_work_back_and_is_recorded_with_its_intent() {
    for ending in [Ending::Fail, Ending::FailBeforeBegin, Ending::CommitAndFail] {
        let fixture = Fixture::new().await;
        let ada = fixture.user("ada", Role::User).await;
        let executed = execute(&fixture, &ada, ending).await;
        assert!(matches!(executed.result, Err(GateError::Runtime(RuntimeError::Conflict { .. }))), "{ending:?}");
        assert_eq!(executed.is_stored, ending == Ending::CommitAndFail, "{ending:?}");
        assert_eq!(executed.audit_statuses, ["pending", "error"], "{ending:?}");
        let rows = fixture.audit_rows();
        assert_eq!(rows[1].correlation_id, rows[0].id.as_uuid(), "{ending:?}");
    }
}

#[tokio::test]
async fn nothing_is_done_or_returned_if_the_audit_rows_cannot_be_committed() {
    for ending in [Ending::Finish, Ending::RollBack] {
        let fixture = Fixture::new().await;
        let ada = fixture.user("ada", Role::User).await;
        let store = Arc::new(UnwritableAuditStore { store: fixture.store.clone(), accepts_intents: true });
        let executed = execute_with(store, &fixture, &ada, ending).await;
        let error = executed.result.expect_err("the outcome cannot be written");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{ending:?}: {error:?}");
        assert!(!executed.is_stored, "{ending:?}");
        assert!(executed.audit_statuses.is_empty(), "{ending:?}: {:?}", executed.audit_statuses);
    }
}
