//! Decisions are recorded with the evaluated rules, and a simulation returns the decision that the gate would make.

use crate::support::{Fixture, unreachable_use_cases};
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

/// Use cases that fail with a conflict, which shows that they were reached.
fn conflicting_use_cases() -> UseCases {
    let conflict = || RuntimeError::Conflict { detail: "reached" };
    let mut use_cases = MockUseCases::new();
    use_cases.on::<GetDocument>(move |_| Err(conflict()));
    use_cases.on::<DeleteDocument>(move |_| Err(conflict()));
    use_cases.on::<GetConversation>(move |_| Err(conflict()));
    use_cases.on::<ListUsers>(move |_| Err(conflict()));
    UseCases::new(use_cases)
}

/// The gate's decision, in the form that a simulation returns.
fn decision_of(error: GateError) -> Result<(), RefusalCode> {
    match error {
        GateError::Runtime(_) => Ok(()),
        GateError::OperationDenied { reason, .. } => Err(reason),
        GateError::CallerRefused { code, .. } => Err(code),
        GateError::NotFound => Err(RefusalCode::NotFound),
        other => panic!("not a decision: {other:?}"),
    }
}

async fn attempt(gate: &PolicyGate, caller: &Caller, resource: Resource, operation: Operation, id: Uuid) -> GateError {
    let result = match (resource, operation) {
        (Resource::Documents, Operation::Read) => gate.execute(caller, GetDocument { id: id.into() }).await.map(drop),
        (Resource::Documents, _) => gate.execute(caller, DeleteDocument { id: id.into() }).await,
        (Resource::Conversations, _) => gate
            .execute(caller, GetConversation { id: id.into(), branches: domain::command::Branches::Active })
            .await
            .map(drop),
        _ => gate.execute(caller, ListUsers { page: PageRequest::default() }).await.map(drop),
    };
    result.expect_err("a refusal or the conflict of the use case")
}

#[tokio::test]
async fn a_simulation_returns_the_decision_of_the_gate_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let admin = fixture.user("admin", Role::Admin).await;
    let (viewer, user, inactive) = (
        fixture.user("viewer", Role::Viewer).await,
        fixture.user("user", Role::User).await,
        fixture.user("off", Role::Admin).await,
    );
    fixture.deactivate(inactive.user()).await;
    let internal = fixture.document(&user, Classification::Internal).await.id.as_uuid();
    let confidential = fixture.document(&admin, Classification::Confidential).await.id.as_uuid();
    let conversation = fixture.conversation(&user).await.as_uuid();
    let absent = Uuid::from_u128(404);
    let gate = fixture.gate(conflicting_use_cases());
    let (mut allowed_count, mut refused_count) = (0, 0);
    for caller in [&viewer, &user, &admin, &inactive] {
        for (resource, operation, id) in [
            (Resource::Documents, Operation::Read, internal),
            (Resource::Documents, Operation::Read, confidential),
            (Resource::Documents, Operation::Read, absent),
            (Resource::Documents, Operation::Delete, internal),
            (Resource::Documents, Operation::Delete, confidential),
            (Resource::Conversations, Operation::Read, conversation),
            (Resource::Conversations, Operation::Read, absent),
            (Resource::Users, Operation::List, Uuid::nil()),
        ] {
            let resource_id = (id != Uuid::nil()).then_some(id);
            let command = SimulateDecision { user: caller.user().id, resource, operation, resource_id };
            let before = fixture.audit_rows().len();
            let decision = gate.execute(&admin, command).await.expect("an admin may simulate");
            assert_eq!(fixture.audit_rows().len(), before + 2, "intent and outcome of the simulation only");
            let simulated = decision.verdict.reason().map_or(Ok(()), Err);
            assert_eq!(simulated.is_err(), decision.refusing_rule().is_some());
            let actual = decision_of(attempt(&gate, caller, resource, operation, id).await);
            assert_eq!(simulated, actual, "{:?} {resource}.{operation} {id}: {decision:?}", caller.entitlements());
            if actual.is_ok() { allowed_count += 1 } else { refused_count += 1 }
        }
    }
    assert!(allowed_count > 5 && refused_count > 10, "both decisions occur: {allowed_count}, {refused_count}");
}

#[tokio::test]
async fn a_simulation_distinguishes_hidden_from_absent_and_needs_a_permission() {
    let fixture = Fixture::new().await;
    let (admin, viewer) = (fixture.user("admin", Role::Admin).await, fixture.user("viewer", Role::Viewer).await);
    let hidden = fixture.document(&admin, Classification::Confidential).await.id.as_uuid();
    let gate = fixture.gate(unreachable_use_cases());
    let simulate = |id| SimulateDecision {
        user: viewer.user().id,
        resource: Resource::Documents,
        operation: Operation::Read,
        resource_id: Some(id),
    };
    let simulated = gate.execute(&admin, simulate(hidden)).await.expect("an admin may simulate");
    assert_eq!((simulated.verdict, simulated.refusing_rule()), (Verdict::NotFound, Some(Rule::Clearance)));
    let simulated = gate.execute(&admin, simulate(Uuid::from_u128(404))).await.expect("an admin may simulate");
    assert_eq!((simulated.verdict, simulated.refusing_rule()), (Verdict::NotFound, Some(Rule::Target)));
    let refused = gate.execute(&viewer, simulate(hidden)).await.expect_err("a viewer may not simulate");
    assert!(refused.decision_id().is_some(), "{refused:?}");
    let unknown_user = SimulateDecision { user: Uuid::from_u128(404).into(), ..simulate(hidden) };
    assert!(matches!(gate.execute(&admin, unknown_user).await, Err(GateError::NotFound)));
}

#[tokio::test]
async fn a_refusal_is_recorded_with_rule_steps_and_entitlements_under_the_returned_id() {
    let fixture = Fixture::new().await;
    let (ada, bob) = (fixture.user("ada", Role::User).await, fixture.user("bob", Role::User).await);
    let id = fixture.document(&bob, Classification::Internal).await.id;
    let error = fixture.gate(unreachable_use_cases()).execute(&ada, DeleteDocument { id }).await.expect_err("not hers");
    let row = fixture.audit_rows().pop().expect("a row");
    assert_eq!(error.decision_id(), Some(row.id));
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
async fn absent_and_hidden_targets_are_recorded_alike() {
    let mut rows: Vec<Value> = Vec::new();
    for hidden in [false, true] {
        let fixture = Fixture::new().await;
        let (ada, bob) = (fixture.user("ada", Role::Viewer).await, fixture.user("bob", Role::User).await);
        let existing = fixture.document(&bob, Classification::Confidential).await.id;
        let id = if hidden { existing } else { Uuid::from_u128(404).into() };
        let error = fixture.gate(unreachable_use_cases()).execute(&ada, GetDocument { id }).await.expect_err("hidden");
        assert_eq!(error.decision_id(), None, "a not-found error has no decision id");
        rows.push(fixture.audit_rows().pop().expect("a row").metadata);
    }
    assert_eq!(rows[0]["rule"], "target");
    assert_eq!(rows[0], rows[1], "users read their own rows");
}

#[tokio::test]
async fn a_refusal_by_the_use_case_returns_the_id_of_its_outcome() {
    let fixture = Fixture::new().await;
    let ada = fixture.user("ada", Role::User).await;
    let id = fixture.document(&ada, Classification::Internal).await.id;
    let mut use_cases = MockUseCases::new();
    use_cases.on::<DeleteDocument>(|_| Err(tools::error::IngestError::NotUploader.into()));
    let gate = fixture.gate(UseCases::new(use_cases));
    let error = gate.execute(&ada, DeleteDocument { id }).await.expect_err("refused");
    let row = fixture.audit_rows().pop().expect("a row");
    assert_eq!((error.decision_id(), row.result_status.as_deref()), (Some(row.id), Some("denied")));
}

#[tokio::test]
async fn grants_appear_in_the_steps() {
    let fixture = Fixture::new().await;
    let ada = fixture.user("ada", Role::Viewer).await;
    fixture.grant(ada.user(), vec![Grant::Auditor]).await;
    let command = SimulateDecision {
        user: ada.user().id,
        resource: Resource::AuditLogs,
        operation: Operation::List,
        resource_id: None,
    };
    let simulated =
        fixture.gate(unreachable_use_cases()).execute(&ada, command).await.expect("an auditor may simulate");
    assert_eq!(simulated.verdict, Verdict::Allowed);
    assert!(
        simulated.rule_results.iter().any(|step| step.detail.contains("with auditor on audit_logs.list: tenant")),
        "{simulated:?}"
    );
}
