//! Test cases for the audit log.

use super::{CaseResult, TestContext, require, scope, user_id};
use domain::audit::{AuditFilter, AuditRecord, AuditedOperation, EventType, Outcome, ResultStatus};
use domain::command::{Command as _, GetDocument, ListDocuments, SendMessage};
use domain::ids::TenantId;
use domain::page::PageRequest;
use domain::ports::StoreError;
use domain::role::Resource;
use domain::scope::Actor;
use serde_json::json;
use uuid::Uuid;

fn audited_operation(event: EventType, resource_id: Option<Uuid>) -> AuditedOperation {
    AuditedOperation {
        event,
        resource: Some(Resource::Documents),
        resource_id,
        conversation_id: None,
        request_hash: Some("ab".repeat(32)),
        metadata: json!({"size": 3}),
    }
}

fn outcome(operation: AuditedOperation, status: ResultStatus) -> Outcome {
    Outcome { operation, status, model: Some("fast".to_owned()), tools_used: vec!["rag_search".to_owned()] }
}

/// The outcome also has the time elapsed since the intent.
pub async fn an_outcome_carries_the_id_of_its_intent(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let operation = audited_operation(SendMessage::EVENT, None);
    let mut tx = context.begin(&tenant_a.ada).await?;
    let receipt = tx.audit().record_intent(context.new_id(), &operation, context.now()).await?;
    tx.commit().await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let finished_operation = audited_operation(SendMessage::OUTCOME_EVENT, None);
    tx.audit()
        .record_outcome(
            context.new_id(),
            receipt,
            &outcome(finished_operation, ResultStatus::Success),
            context.advance_clock(),
        )
        .await?;
    tx.commit().await?;
    let rows = context.audit.read(&tenant_a.ada, &AuditFilter::default(), &PageRequest::default()).await?.items;
    assert_eq!(rows.len(), 2);
    let (outcome_row, intent_row) = (&rows[0], &rows[1]);
    assert_eq!(context.audit.get(&tenant_a.ada, outcome_row.id).await?.as_ref(), Some(outcome_row));
    let other_tenants_user = context.create_tenant("b").await?.ada;
    assert_eq!(context.audit.get(&other_tenants_user, outcome_row.id).await?, None, "another tenant's row");
    assert_eq!(
        (intent_row.event_type.as_str(), intent_row.result_status.as_deref()),
        ("chat.request", Some("pending"))
    );
    assert_eq!(
        (outcome_row.event_type.as_str(), outcome_row.result_status.as_deref()),
        ("chat.response", Some("success"))
    );
    assert_eq!((intent_row.id, intent_row.correlation_id), (receipt.intent_id(), receipt.intent_id().as_uuid()));
    assert_eq!((outcome_row.correlation_id, outcome_row.latency_ms), (receipt.intent_id().as_uuid(), Some(1000)));
    assert_eq!((outcome_row.user_id, outcome_row.model.as_deref()), (tenant_a.ada.user(), Some("fast")));
    assert_eq!(
        (outcome_row.tools_used.as_slice(), outcome_row.request_id.as_ref()),
        (["rag_search".to_owned()].as_slice(), Some(tenant_a.ada.request()))
    );
    Ok(())
}

/// The session comes from the scope and the conversation from the operation. The log can be filtered by either.
pub async fn audit_rows_carry_session_and_conversation(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let (session, conversation) = (context.new_id(), context.new_id());
    let in_session = tenant_a.ada.clone().in_session(Some(session));
    for (scope, conversation_id) in [(&in_session, Some(conversation)), (&in_session, None), (&tenant_a.ada, None)] {
        let operation = AuditedOperation { conversation_id, ..audited_operation(GetDocument::EVENT, None) };
        let mut tx = context.begin(scope).await?;
        let recorded = outcome(operation, ResultStatus::Success);
        tx.audit().record_event(context.new_id(), &recorded, context.advance_clock()).await?;
        tx.commit().await?;
    }
    let read = async |filter| context.audit.read(&tenant_a.ada, &filter, &PageRequest::default()).await;
    let no_filter = AuditFilter::default();
    let recorded =
        |rows: Vec<AuditRecord>| rows.into_iter().map(|row| (row.session_id, row.conversation_id)).collect::<Vec<_>>();
    let rows = recorded(read(no_filter.clone()).await?.items);
    assert_eq!(rows, [(None, None), (Some(session), None), (Some(session), Some(conversation))]);
    let of_session = AuditFilter { session_id: Some(session), ..no_filter.clone() };
    assert_eq!(recorded(read(of_session).await?.items), rows[1..]);
    let of_conversation = AuditFilter { conversation_id: Some(conversation), ..no_filter };
    assert_eq!(recorded(read(of_conversation).await?.items), rows[2..]);
    Ok(())
}

/// Rows are listed newest first, without those of other tenants.
pub async fn the_audit_log_is_filtered_and_paged(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let document: Uuid = context.new_id();
    for (user_scope, event, id) in [
        (&tenant_a.ada, GetDocument::EVENT, Some(document)),
        (&tenant_a.bob, GetDocument::EVENT, None),
        (&tenant_a.ada, ListDocuments::EVENT, None),
        (&tenant_b.ada, GetDocument::EVENT, Some(document)),
    ] {
        let mut tx = context.begin(user_scope).await?;
        tx.audit()
            .record_event(
                context.new_id(),
                &outcome(audited_operation(event, id), ResultStatus::Success),
                context.advance_clock(),
            )
            .await?;
        tx.commit().await?;
    }
    let no_filter = AuditFilter::default();
    let newest = context.audit.read(&tenant_a.ada, &no_filter, &PageRequest::default()).await?.items;
    assert!(newest.iter().all(|row| row.tenant_id == tenant_a.id));
    let cases = [
        (no_filter.clone(), 3),
        (AuditFilter { event_type: Some("doc.read".to_owned()), ..no_filter.clone() }, 2),
        (AuditFilter { user_id: Some(user_id(&tenant_a.bob)?), ..no_filter.clone() }, 1),
        (AuditFilter { resource_id: Some(document), ..no_filter.clone() }, 1),
        (AuditFilter { from: Some(newest[0].created_at), ..no_filter.clone() }, 1),
        (AuditFilter { to: Some(newest[0].created_at), ..no_filter.clone() }, 2),
        (AuditFilter { result_status: Some(ResultStatus::Denied), ..no_filter.clone() }, 0),
        (AuditFilter { result_status: Some(ResultStatus::Success), ..no_filter.clone() }, 3),
        (AuditFilter { correlation_id: Some(newest[1].correlation_id), ..no_filter.clone() }, 1),
        (AuditFilter { conversation_id: Some(context.new_id()), ..no_filter.clone() }, 0),
        (AuditFilter { request_id: Some("nobody's".to_owned()), ..no_filter.clone() }, 0),
        (
            AuditFilter {
                request_id: tenant_a.bob.request().to_string().into(),
                user_id: Some(user_id(&tenant_a.bob)?),
                ..no_filter.clone()
            },
            1,
        ),
    ];
    for (filter, expected) in cases {
        let rows = context.audit.read(&tenant_a.ada, &filter, &PageRequest::default()).await?;
        assert_eq!(rows.items.len(), expected, "{filter:?}");
    }
    let first_page = context.audit.read(&tenant_a.ada, &no_filter, &require(PageRequest::new(2, None))?).await?;
    let second_page =
        context.audit.read(&tenant_a.ada, &no_filter, &require(PageRequest::new(2, first_page.next))?).await?;
    assert_eq!([first_page.items, second_page.items].concat(), newest);
    Ok(())
}

/// An example is the refusal of an invalid token, whose tenant is unknown.
pub async fn platform_events_belong_to_no_tenant(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let platform = scope(TenantId::PLATFORM, Actor::System);
    let mut tx = context.begin(&platform).await?;
    let denied_outcome = outcome(audited_operation(EventType::AUTH_DENIED, None), ResultStatus::Denied);
    tx.audit().record_event(context.new_id(), &denied_outcome, context.now()).await?;
    tx.commit().await?;
    let page = PageRequest::default();
    let platform_rows = context.audit.read(&platform, &AuditFilter::default(), &page).await?.items;
    assert_eq!(
        platform_rows.iter().map(|row| (row.user_id, row.event_type.as_str())).collect::<Vec<_>>(),
        [(None, "auth.denied")]
    );
    assert_eq!(context.audit.read(&tenant_a.ada, &AuditFilter::default(), &page).await?.items, []);
    Ok(())
}

/// A second outcome is a conflict, and its transaction is rolled back.
pub async fn an_operation_has_one_outcome(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let operation = audited_operation(GetDocument::EVENT, None);
    let mut tx = context.begin(&tenant_a.ada).await?;
    let receipt = tx.audit().record_intent(context.new_id(), &operation, context.now()).await?;
    tx.commit().await?;
    let success = outcome(operation, ResultStatus::Success);
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.audit().record_outcome(context.new_id(), receipt, &success, context.advance_clock()).await?;
    tx.commit().await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let second_outcome = tx.audit().record_outcome(context.new_id(), receipt, &success, context.advance_clock()).await;
    assert!(matches!(second_outcome, Err(StoreError::Conflict { .. })), "{second_outcome:?}");
    drop(tx);
    let rows = context.audit.read(&tenant_a.ada, &AuditFilter::default(), &PageRequest::default()).await?.items;
    let phases: Vec<_> = rows.iter().map(|row| row.phase.as_str()).collect();
    assert_eq!(phases, ["outcome", "intent"]);
    Ok(())
}
