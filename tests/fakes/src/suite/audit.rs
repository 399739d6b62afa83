//! Cases on the audit log.

use super::{CaseResult, World, owner, scope, some};
use domain::audit::{AuditFilter, AuditSubject, EventType, Outcome, ResultStatus};
use domain::command::{Command as _, GetDocument, ListDocuments, SendMessage};
use domain::ids::TenantId;
use domain::page::PageRequest;
use domain::ports::StoreError;
use domain::role::Resource;
use domain::scope::Actor;
use serde_json::json;
use uuid::Uuid;

fn subject(event: EventType, resource_id: Option<Uuid>) -> AuditSubject {
    AuditSubject {
        event,
        resource: Some(Resource::Documents),
        resource_id,
        session: None,
        request_hash: Some("ab".repeat(32)),
        metadata: json!({"size": 3}),
    }
}

fn outcome(subject: AuditSubject, status: ResultStatus) -> Outcome {
    Outcome { subject, status, model: Some("fast".to_owned()), tools_used: vec!["rag_search".to_owned()] }
}

/// The outcome also has the latency since the intent.
pub async fn an_outcome_carries_the_id_of_its_intent(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let what = subject(SendMessage::EVENT, None);
    let mut tx = world.begin(&plant.ada).await?;
    let receipt = tx.audit().intent(world.id(), &what, world.now()).await?;
    tx.commit().await?;
    let mut tx = world.begin(&plant.ada).await?;
    let ended = subject(SendMessage::OUTCOME_EVENT, None);
    tx.audit().outcome(world.id(), receipt, &outcome(ended, ResultStatus::Success), world.later()).await?;
    tx.commit().await?;
    let rows = world.audit.read(&plant.ada, &AuditFilter::default(), &PageRequest::default()).await?.items;
    assert_eq!(rows.len(), 2);
    let (end, start) = (&rows[0], &rows[1]);
    assert_eq!(world.audit.get(&plant.ada, end.id).await?.as_ref(), Some(end));
    let stranger = world.plant("b").await?.ada;
    assert_eq!(world.audit.get(&stranger, end.id).await?, None, "another tenant's row");
    assert_eq!((start.event_type.as_str(), start.result_status.as_deref()), ("chat.request", Some("pending")));
    assert_eq!((end.event_type.as_str(), end.result_status.as_deref()), ("chat.response", Some("success")));
    assert_eq!((start.id, start.correlation_id), (receipt.intent(), receipt.intent().as_uuid()));
    assert_eq!((end.correlation_id, end.latency_ms), (receipt.intent().as_uuid(), Some(1000)));
    assert_eq!((end.user_id, end.model.as_deref()), (plant.ada.user(), Some("fast")));
    assert_eq!(
        (end.tools_used.as_slice(), end.request_id.as_ref()),
        (["rag_search".to_owned()].as_slice(), Some(plant.ada.request()))
    );
    Ok(())
}

/// Rows are newest first, and never another tenant's.
pub async fn the_audit_log_is_filtered_and_paged(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let document: Uuid = world.id();
    for (who, event, id) in [
        (&here.ada, GetDocument::EVENT, Some(document)),
        (&here.bob, GetDocument::EVENT, None),
        (&here.ada, ListDocuments::EVENT, None),
        (&there.ada, GetDocument::EVENT, Some(document)),
    ] {
        let mut tx = world.begin(who).await?;
        tx.audit().event(world.id(), &outcome(subject(event, id), ResultStatus::Success), world.later()).await?;
        tx.commit().await?;
    }
    let all = AuditFilter::default();
    let newest = world.audit.read(&here.ada, &all, &PageRequest::default()).await?.items;
    assert!(newest.iter().all(|row| row.tenant_id == here.tenant));
    let cases = [
        (all.clone(), 3),
        (AuditFilter { event_type: Some("doc.read".to_owned()), ..all.clone() }, 2),
        (AuditFilter { user_id: Some(owner(&here.bob)?), ..all.clone() }, 1),
        (AuditFilter { resource_id: Some(document), ..all.clone() }, 1),
        (AuditFilter { from: Some(newest[0].created_at), ..all.clone() }, 1),
        (AuditFilter { to: Some(newest[0].created_at), ..all.clone() }, 2),
        (AuditFilter { result_status: Some(ResultStatus::Denied), ..all.clone() }, 0),
        (AuditFilter { result_status: Some(ResultStatus::Success), ..all.clone() }, 3),
        (AuditFilter { correlation_id: Some(newest[1].correlation_id), ..all.clone() }, 1),
        (AuditFilter { session_id: Some(world.id()), ..all.clone() }, 0),
        (AuditFilter { request_id: Some("nobody's".to_owned()), ..all.clone() }, 0),
        (
            AuditFilter {
                request_id: here.bob.request().to_string().into(),
                user_id: Some(owner(&here.bob)?),
                ..all.clone()
            },
            1,
        ),
    ];
    for (filter, expected) in cases {
        let rows = world.audit.read(&here.ada, &filter, &PageRequest::default()).await?;
        assert_eq!(rows.items.len(), expected, "{filter:?}");
    }
    let first = world.audit.read(&here.ada, &all, &some(PageRequest::new(2, None))?).await?;
    let rest = world.audit.read(&here.ada, &all, &some(PageRequest::new(2, first.next))?).await?;
    assert_eq!([first.items, rest.items].concat(), newest);
    Ok(())
}

/// An example is the refusal of a token that could not be verified.
pub async fn the_platforms_own_events_belong_to_no_tenant(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let platform = scope(TenantId::PLATFORM, Actor::System);
    let mut tx = world.begin(&platform).await?;
    let refused = outcome(subject(EventType::AUTH_DENIED, None), ResultStatus::Denied);
    tx.audit().event(world.id(), &refused, world.now()).await?;
    tx.commit().await?;
    let page = PageRequest::default();
    let own = world.audit.read(&platform, &AuditFilter::default(), &page).await?.items;
    assert_eq!(
        own.iter().map(|row| (row.user_id, row.event_type.as_str())).collect::<Vec<_>>(),
        [(None, "auth.denied")]
    );
    assert_eq!(world.audit.read(&plant.ada, &AuditFilter::default(), &page).await?.items, []);
    Ok(())
}

/// A second outcome is a conflict, and its transaction is rolled back.
pub async fn an_operation_has_one_outcome(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let what = subject(GetDocument::EVENT, None);
    let mut tx = world.begin(&plant.ada).await?;
    let receipt = tx.audit().intent(world.id(), &what, world.now()).await?;
    tx.commit().await?;
    let end = outcome(what, ResultStatus::Success);
    let mut tx = world.begin(&plant.ada).await?;
    tx.audit().outcome(world.id(), receipt, &end, world.later()).await?;
    tx.commit().await?;
    let mut tx = world.begin(&plant.ada).await?;
    let again = tx.audit().outcome(world.id(), receipt, &end, world.later()).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    drop(tx);
    let rows = world.audit.read(&plant.ada, &AuditFilter::default(), &PageRequest::default()).await?.items;
    let phases: Vec<_> = rows.iter().map(|row| row.phase.as_str()).collect();
    assert_eq!(phases, ["outcome", "intent"]);
    Ok(())
}
