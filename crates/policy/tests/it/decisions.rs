//! Decisions with their grounds: each refusal is recorded with them, and a simulation says what the gate does.

use crate::support::{World, forbidden};
use domain::command::{DeleteDocument, GetConversation, GetDocument, ListUsers, SimulateDecision};
use domain::decision::{RefusalCode, Rule, Verdict};
use domain::page::PageRequest;
use domain::role::{Classification, Grant, Operation, Resource, Role};
use policy::caller::Caller;
use policy::error::GateError;
use policy::gate::{Execute as _, PolicyGate, UseCases};
use runtime::error::RuntimeError;
use runtime::use_case::MockUseCases;
use serde_json::{Value, json};
use uuid::Uuid;

/// Use cases that only report that they were reached, as a conflict.
fn reached() -> UseCases {
    let conflict = || RuntimeError::Conflict { detail: "reached" };
    let mut use_cases = MockUseCases::new();
    use_cases.on::<GetDocument>(move |_| Err(conflict()));
    use_cases.on::<DeleteDocument>(move |_| Err(conflict()));
    use_cases.on::<GetConversation>(move |_| Err(conflict()));
    use_cases.on::<ListUsers>(move |_| Err(conflict()));
    UseCases::of(use_cases)
}

/// What the gate did, in a simulation's words.
fn did(result: Result<(), GateError>) -> Result<(), RefusalCode> {
    match result.expect_err("the use cases only say that they were reached") {
        GateError::Runtime(_) => Ok(()),
        GateError::Denied { reason, .. } => Err(reason),
        GateError::Refused { code, .. } => Err(code),
        GateError::NotFound => Err(RefusalCode::NotFound),
        other => panic!("no decision: {other:?}"),
    }
}

async fn attempt(gate: &PolicyGate, by: &Caller, resource: Resource, operation: Operation, id: Uuid) -> GateError {
    let result = match (resource, operation) {
        (Resource::Documents, Operation::Read) => gate.execute(by, GetDocument { id: id.into() }).await.map(drop),
        (Resource::Documents, _) => gate.execute(by, DeleteDocument { id: id.into() }).await,
        (Resource::Conversations, _) => gate.execute(by, GetConversation { id: id.into() }).await.map(drop),
        _ => gate.execute(by, ListUsers { page: PageRequest::default() }).await.map(drop),
    };
    result.expect_err("refused, or the use case's word that it was reached")
}

#[tokio::test]
async fn a_simulation_says_what_the_gate_then_does_and_changes_nothing() {
    let world = World::new().await;
    let admin = world.user("admin", Role::Admin).await;
    let (viewer, user, off) = (
        world.user("viewer", Role::Viewer).await,
        world.user("user", Role::User).await,
        world.user("off", Role::Admin).await,
    );
    world.switch_off(off.user()).await;
    let open = world.document(&user, Classification::Internal).await.id.as_uuid();
    let closed = world.document(&admin, Classification::Confidential).await.id.as_uuid();
    let talk = world.conversation(&user).await.as_uuid();
    let absent = Uuid::from_u128(404);
    let gate = world.gate(reached());
    let (mut yes, mut no) = (0, 0);
    for who in [&viewer, &user, &admin, &off] {
        for (resource, operation, id) in [
            (Resource::Documents, Operation::Read, open),
            (Resource::Documents, Operation::Read, closed),
            (Resource::Documents, Operation::Read, absent),
            (Resource::Documents, Operation::Delete, open),
            (Resource::Documents, Operation::Delete, closed),
            (Resource::Conversations, Operation::Read, talk),
            (Resource::Conversations, Operation::Read, absent),
            (Resource::Users, Operation::List, Uuid::nil()),
        ] {
            let resource_id = (id != Uuid::nil()).then_some(id);
            let command = SimulateDecision { user: who.user().id, resource, operation, resource_id };
            let before = world.audit().len();
            let told = gate.execute(&admin, command).await.expect("an admin may ask");
            assert_eq!(world.audit().len(), before + 2, "intent and outcome of the asking, nothing of what was asked");
            let simulated = told.verdict.reason().map_or(Ok(()), Err);
            assert_eq!(simulated.is_err(), told.rule().is_some());
            let done = did(Err(attempt(&gate, who, resource, operation, id).await));
            assert_eq!(simulated, done, "{:?} {resource}.{operation} {id}: {told:?}", who.entitlements());
            if done.is_ok() { yes += 1 } else { no += 1 }
        }
    }
    assert!(yes > 5 && no > 10, "both answers occur: {yes}, {no}");
}

#[tokio::test]
async fn a_simulation_tells_hidden_from_absent_and_only_those_who_may_ask() {
    let world = World::new().await;
    let (admin, viewer) = (world.user("admin", Role::Admin).await, world.user("viewer", Role::Viewer).await);
    let hidden = world.document(&admin, Classification::Confidential).await.id.as_uuid();
    let gate = world.gate(forbidden());
    let asked = |id| SimulateDecision {
        user: viewer.user().id,
        resource: Resource::Documents,
        operation: Operation::Read,
        resource_id: Some(id),
    };
    let told = gate.execute(&admin, asked(hidden)).await.expect("told");
    assert_eq!((told.verdict, told.rule()), (Verdict::NotFound, Some(Rule::Clearance)));
    let told = gate.execute(&admin, asked(Uuid::from_u128(404))).await.expect("told");
    assert_eq!((told.verdict, told.rule()), (Verdict::NotFound, Some(Rule::Target)));
    let refused = gate.execute(&viewer, asked(hidden)).await.expect_err("a viewer may not");
    assert!(refused.decision().is_some(), "{refused:?}");
    let nobody = SimulateDecision { user: Uuid::from_u128(404).into(), ..asked(hidden) };
    assert!(matches!(gate.execute(&admin, nobody).await, Err(GateError::NotFound)));
}

#[tokio::test]
async fn a_refusal_is_recorded_with_rule_steps_and_standing_under_the_id_that_is_told() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", Role::User).await, world.user("bob", Role::User).await);
    let id = world.document(&bob, Classification::Internal).await.id;
    let error = world.gate(forbidden()).execute(&ada, DeleteDocument { id }).await.expect_err("not hers");
    let row = world.audit().pop().expect("a row");
    assert_eq!(error.decision(), Some(row.id));
    assert_eq!(row.metadata["rule"], "ownership");
    assert_eq!(row.metadata["operation"], "delete");
    assert_eq!(row.metadata["standing"], json!({"role": "user", "grants": [], "clearance": "restricted"}));
    let steps = row.metadata["steps"].as_array().expect("steps");
    let names: Vec<_> = steps.iter().map(|step| (step["rule"].as_str(), step["passed"].as_bool())).collect();
    let passed = |rule| (Some(rule), Some(true));
    let expected = ["tenant_active", "user_active", "matrix", "target", "clearance"].map(passed);
    assert_eq!(names, [&expected[..], &[(Some("ownership"), Some(false))]].concat());
}

#[tokio::test]
async fn what_is_not_there_is_recorded_alike_whatever_hides_it() {
    let mut rows: Vec<Value> = Vec::new();
    for hidden in [false, true] {
        let world = World::new().await;
        let (ada, bob) = (world.user("ada", Role::Viewer).await, world.user("bob", Role::User).await);
        let there = world.document(&bob, Classification::Confidential).await.id;
        let id = if hidden { there } else { Uuid::from_u128(404).into() };
        let error = world.gate(forbidden()).execute(&ada, GetDocument { id }).await.expect_err("hidden");
        assert_eq!(error.decision(), None, "what is absent has no decision to ask about");
        rows.push(world.audit().pop().expect("a row").metadata);
    }
    assert_eq!(rows[0]["rule"], "target");
    assert_eq!(rows[0], rows[1], "users read their own rows");
}

#[tokio::test]
async fn a_refusal_by_the_use_case_is_asked_about_by_its_outcome() {
    let world = World::new().await;
    let ada = world.user("ada", Role::User).await;
    let id = world.document(&ada, Classification::Internal).await.id;
    let mut use_cases = MockUseCases::new();
    use_cases.on::<DeleteDocument>(|_| Err(tools::error::IngestError::NotYours.into()));
    let gate = world.gate(UseCases::of(use_cases));
    let error = gate.execute(&ada, DeleteDocument { id }).await.expect_err("refused");
    let row = world.audit().pop().expect("a row");
    assert_eq!((error.decision(), row.result_status.as_deref()), (Some(row.id), Some("denied")));
}

#[tokio::test]
async fn grants_show_in_the_grounds() {
    let world = World::new().await;
    let ada = world.user("ada", Role::Viewer).await;
    world.grant(ada.user(), vec![Grant::Auditor]).await;
    let asked = SimulateDecision {
        user: ada.user().id,
        resource: Resource::AuditLogs,
        operation: Operation::List,
        resource_id: None,
    };
    let told = world.gate(forbidden()).execute(&ada, asked).await.expect("an auditor may ask");
    assert_eq!(told.verdict, Verdict::Allowed);
    assert!(told.steps.iter().any(|step| step.detail.contains("with auditor on audit_logs.list: tenant")), "{told:?}");
}
