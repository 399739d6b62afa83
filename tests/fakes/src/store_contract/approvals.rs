//! Test cases for approvals, their policies, work orders, the maintenance system and the plant mode.

use super::conversations::insert_conversation;
use super::{CaseError, CaseResult, TestContext, TestTenant, require, user_id};
use chrono::TimeDelta;
use domain::approval::{
    Approval, ApprovalDecision, ApprovalFilter, ApprovalReader, ApprovalRole, ApprovalStatus, ApproverVerdict,
    PendingCounts, PolicyTerms, WriteAttempts,
};
use domain::maintenance::{MaintenanceKind, MaintenanceOptions, MaintenanceSettings};
use domain::page::PageRequest;
use domain::plant::{PlantMode, PlantModeState};
use domain::ports::StatusTransition;
use domain::scope::TenantScope;
use domain::work_order::{WorkOrder, WorkOrderFilter, WorkOrderRequest, WorkOrderStatus};
use serde_json::json;

impl TestContext {
    fn approval(&self, scope: &TenantScope, terms: PolicyTerms) -> Result<Approval, CaseError> {
        let now = self.advance_clock();
        Ok(Approval {
            id: self.new_id(),
            tool: "plant_system_write".to_owned(),
            tool_version: 1,
            target: "P-101A".to_owned(),
            arguments: json!({ "priority": 2 }),
            preview: json!({ "system": "builtin" }),
            digest: format!("sha256:{}", "0".repeat(64)),
            reason: Some("It leaks.".to_owned()),
            requested_by: user_id(scope)?,
            conversation: None,
            policy_version: 0,
            terms,
            status: ApprovalStatus::Pending,
            is_escalated: false,
            decisions: Vec::new(),
            expires_at: now + TimeDelta::hours(1),
            result: None,
            error: None,
            is_notice_due: false,
            created_at: now,
            updated_at: now,
        })
    }

    async fn insert_approval(&self, scope: &TenantScope, terms: PolicyTerms) -> Result<Approval, CaseError> {
        let approval = self.approval(scope, terms)?;
        let mut tx = self.begin(scope).await?;
        tx.approvals().insert(&approval).await?;
        tx.commit().await?;
        Ok(approval)
    }
}

fn reader(scope: &TenantScope) -> Result<ApprovalReader, CaseError> {
    Ok(ApprovalReader { user: user_id(scope)?, can_decide_all: false, can_read_all: false })
}

/// A user decides once, and a state that another transaction has changed is left alone.
pub async fn an_approval_is_decided_once_by_each_user(context: &TestContext) -> CaseResult {
    let TestTenant { ada, bob, .. } = context.create_tenant("a").await?;
    let approval = context.insert_approval(&ada, PolicyTerms::platform_default()).await?;
    let mut tx = context.begin(&bob).await?;
    assert_eq!(tx.approvals().lock(approval.id).await?, Some(approval.clone()));
    let at = context.advance_clock();
    let decision =
        ApprovalDecision { by: user_id(&bob)?, verdict: ApproverVerdict::Approve, comment: Some("Go.".to_owned()), at };
    assert!(tx.approvals().insert_decision(approval.id, &decision).await?);
    let rejection = ApprovalDecision { verdict: ApproverVerdict::Reject, ..decision.clone() };
    assert!(!tx.approvals().insert_decision(approval.id, &rejection).await?);
    let approve = StatusTransition::new(ApprovalStatus::Pending, ApprovalStatus::Approved);
    assert!(tx.approvals().transition(approval.id, &approve, at).await?);
    assert!(!tx.approvals().transition(approval.id, &approve, at).await?, "it is not pending any more");
    tx.commit().await?;
    let mut tx = context.begin(&ada).await?;
    let stored = require(tx.approvals().get(approval.id).await?)?;
    assert_eq!((stored.status, stored.decisions), (ApprovalStatus::Approved, vec![decision]));
    let skip = StatusTransition::new(ApprovalStatus::Approved, ApprovalStatus::Executed);
    assert!(tx.approvals().transition(approval.id, &skip, at).await.is_err(), "not in the table");
    Ok(())
}

/// Due are expired, approved and executing ones; approved ones wait while the plant mode forbids writes.
pub async fn approvals_are_due_when_a_worker_can_do_something(context: &TestContext) -> CaseResult {
    let TestTenant { ada, bob, .. } = context.create_tenant("a").await?;
    let approval = context.insert_approval(&ada, PolicyTerms::platform_default()).await?;
    let mut tx = context.begin(&bob).await?;
    assert_eq!(tx.approvals().due(context.now(), 10).await?, []);
    assert_eq!(tx.approvals().due(approval.expires_at, 10).await?, [approval.id]);
    let later = approval.expires_at + TimeDelta::hours(1);
    assert!(tx.approvals().escalate(approval.id, later, context.now()).await?);
    assert!(!tx.approvals().escalate(approval.id, later, context.now()).await?, "once");
    assert_eq!(tx.approvals().due(approval.expires_at, 10).await?, []);
    let approve = StatusTransition::new(ApprovalStatus::Pending, ApprovalStatus::Approved);
    assert!(tx.approvals().transition(approval.id, &approve, context.now()).await?);
    assert_eq!(tx.approvals().due(context.now(), 10).await?, [approval.id]);
    assert_eq!(tx.plant_mode().get().await?, PlantModeState::initial());
    let (mode, reason) = (PlantMode::ReadOnly, "Outage".to_owned());
    let read_only = PlantModeState { mode, reason, changed_at: Some(context.now()) };
    tx.plant_mode().set(&read_only, Some(user_id(&bob)?)).await?;
    assert_eq!(tx.plant_mode().get().await?, read_only);
    assert_eq!(tx.approvals().due(context.now(), 10).await?, []);
    assert_eq!(tx.approvals().due(later, 10).await?, [approval.id], "it expires all the same");
    tx.commit().await?;
    Ok(())
}

/// Requesters see their own requests, approvers those that their policy gives to them; other tenants see nothing.
pub async fn approvals_are_listed_for_their_people(context: &TestContext) -> CaseResult {
    let TestTenant { ada, bob, .. } = context.create_tenant("a").await?;
    let stranger = context.create_tenant("b").await?.ada;
    let terms =
        PolicyTerms { approvers: vec![user_id(&bob)?], allows_any_approver: false, ..PolicyTerms::platform_default() };
    let approval = context.insert_approval(&ada, terms).await?;
    let by_role = |role| ApprovalFilter { status: None, role };
    for (scope, role, count) in [
        (&ada, Some(ApprovalRole::Requester), 1),
        (&ada, Some(ApprovalRole::Approver), 0),
        (&ada, None, 1),
        (&bob, Some(ApprovalRole::Requester), 0),
        (&bob, Some(ApprovalRole::Approver), 1),
        (&bob, None, 1),
        (&stranger, None, 0),
    ] {
        let mut tx = context.begin(scope).await?;
        let listed = tx.approvals().list(&by_role(role), reader(scope)?, &PageRequest::default()).await?;
        assert_eq!(listed.items.len(), count, "{role:?}");
    }
    let mut tx = context.begin(&stranger).await?;
    assert_eq!(tx.approvals().get(approval.id).await?, None);
    assert_eq!(tx.approvals().lock(approval.id).await?, None);
    Ok(())
}

/// Each change of a policy is a version; the pending requests of the tool are found to be voided.
pub async fn a_policy_is_versioned(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let approval = context.insert_approval(&ada, PolicyTerms::platform_default()).await?;
    let mut tx = context.begin(&ada).await?;
    assert_eq!(tx.approvals().policy(&approval.tool).await?, None);
    for version in [1, 2] {
        let terms = PolicyTerms { quorum: u32::try_from(version)?, ..PolicyTerms::platform_default() };
        let now = context.advance_clock();
        let policy = tx.approvals().put_policy(&approval.tool, &terms, Some(user_id(&ada)?), now).await?;
        assert_eq!((policy.version, &policy.terms, policy.updated_at), (version, &terms, Some(now)));
        assert_eq!(tx.approvals().policy(&approval.tool).await?, Some(policy));
    }
    assert_eq!(tx.approvals().lock_pending(&approval.tool).await?, [approval.id]);
    assert_eq!(tx.approvals().lock_pending("another").await?, []);
    Ok(())
}

/// Pending requests are counted, for their requester and for the tenant; those that have ended are not.
pub async fn pending_approvals_are_counted(context: &TestContext) -> CaseResult {
    let TestTenant { ada, bob, .. } = context.create_tenant("a").await?;
    let stranger = context.create_tenant("b").await?.ada;
    context.insert_approval(&stranger, PolicyTerms::platform_default()).await?;
    let first = context.insert_approval(&ada, PolicyTerms::platform_default()).await?;
    context.insert_approval(&ada, PolicyTerms::platform_default()).await?;
    context.insert_approval(&bob, PolicyTerms::platform_default()).await?;
    let mut tx = context.begin(&ada).await?;
    let count = PendingCounts { tenant: 3, requester: 2 };
    assert_eq!(tx.approvals().lock_and_count_pending(user_id(&ada)?).await?, count);
    let cancel = StatusTransition::new(ApprovalStatus::Pending, ApprovalStatus::Cancelled);
    assert!(tx.approvals().transition(first.id, &cancel, context.now()).await?);
    let count = PendingCounts { tenant: 2, requester: 1 };
    assert_eq!(tx.approvals().lock_and_count_pending(user_id(&ada)?).await?, count);
    Ok(())
}

/// However often an approval is executed, there is one work order.
pub async fn a_work_order_is_created_once_per_reference(context: &TestContext) -> CaseResult {
    let TestTenant { ada, bob, .. } = context.create_tenant("a").await?;
    let request = WorkOrderRequest {
        target: "P-101A".to_owned(),
        title: "Replace the seal".to_owned(),
        description: "It leaks.".to_owned(),
        priority: 2,
        due: Some("2026-12-24".to_owned()),
    };
    let order = WorkOrder {
        id: context.new_id(),
        external_reference: "reference".to_owned(),
        request,
        status: WorkOrderStatus::Open,
        requested_by: user_id(&ada)?,
        created_at: context.advance_clock(),
        closed_by: None,
        closed_at: None,
    };
    for scope in [&ada, &bob] {
        let mut tx = context.begin(scope).await?;
        let again = WorkOrder { id: context.new_id(), ..order.clone() };
        let stored = tx.work_orders().insert(if scope == &ada { &order } else { &again }).await?;
        assert_eq!(stored, order);
        tx.commit().await?;
    }
    let mut tx = context.begin(&bob).await?;
    let page = PageRequest::default();
    assert_eq!(tx.work_orders().list(&WorkOrderFilter::default(), &page).await?.items, std::slice::from_ref(&order));
    let other = WorkOrderFilter { external_reference: Some("other".to_owned()), status: None };
    assert_eq!(tx.work_orders().list(&other, &page).await?.items, []);
    assert_eq!(tx.work_orders().get(order.id).await?.as_ref(), Some(&order));
    assert_eq!(tx.work_orders().by_external_reference("reference").await?, Some(order));
    Ok(())
}

/// A work order is closed once, by whoever comes first, and only in its own tenant.
pub async fn a_work_order_is_closed_once(context: &TestContext) -> CaseResult {
    let TestTenant { ada, bob, .. } = context.create_tenant("a").await?;
    let stranger = context.create_tenant("b").await?.ada;
    let request = WorkOrderRequest {
        target: "P-101A".to_owned(),
        title: "Replace the seal".to_owned(),
        description: "It leaks.".to_owned(),
        priority: 2,
        due: None,
    };
    let order = WorkOrder {
        id: context.new_id(),
        external_reference: "reference".to_owned(),
        request,
        status: WorkOrderStatus::Open,
        requested_by: user_id(&ada)?,
        created_at: context.advance_clock(),
        closed_by: None,
        closed_at: None,
    };
    let mut tx = context.begin(&ada).await?;
    tx.work_orders().insert(&order).await?;
    tx.commit().await?;
    let mut tx = context.begin(&stranger).await?;
    assert_eq!(tx.work_orders().close(order.id, user_id(&stranger)?, context.now()).await?, None);
    drop(tx);
    let mut tx = context.begin(&bob).await?;
    let closed_at = context.advance_clock();
    let closed = require(tx.work_orders().close(order.id, user_id(&bob)?, closed_at).await?)?;
    assert_eq!((closed.status, closed.closed_by), (WorkOrderStatus::Closed, Some(user_id(&bob)?)));
    assert_eq!(closed.closed_at, Some(closed_at));
    assert_eq!(tx.work_orders().close(order.id, user_id(&ada)?, context.advance_clock()).await?, None);
    assert_eq!(tx.work_orders().get(order.id).await?.as_ref(), Some(&closed), "the first one counts");
    for (status, expected) in [(WorkOrderStatus::Open, 0), (WorkOrderStatus::Closed, 1)] {
        let filter = WorkOrderFilter { status: Some(status), external_reference: None };
        let listed = tx.work_orders().list(&filter, &PageRequest::default()).await?;
        assert_eq!(listed.items.len(), expected, "{status}");
    }
    Ok(())
}

/// The maintenance system is set as a whole, and one tenant's is not another's.
pub async fn a_maintenance_system_is_set_per_tenant(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let stranger = context.create_tenant("b").await?.ada;
    let mut tx = context.begin(&ada).await?;
    assert_eq!(tx.maintenance_system().get().await?, MaintenanceSettings::builtin());
    let options = MaintenanceOptions {
        base_url: Some("https://maximo.example/maximo/api".to_owned()),
        site: Some("BEDFORD".to_owned()),
        ..MaintenanceOptions::default()
    };
    let (kind, updated_at) = (MaintenanceKind::Maximo, Some(context.advance_clock()));
    let settings = MaintenanceSettings { kind, options, sealed_secret: Some(vec![7; 40]), updated_at };
    tx.maintenance_system().put(&settings, Some(user_id(&ada)?)).await?;
    assert_eq!(tx.maintenance_system().get().await?, settings);
    let changed = MaintenanceSettings { sealed_secret: None, ..settings };
    tx.maintenance_system().put(&changed, None).await?;
    assert_eq!(tx.maintenance_system().get().await?, changed);
    tx.commit().await?;
    let mut tx = context.begin(&stranger).await?;
    assert_eq!(tx.maintenance_system().get().await?, MaintenanceSettings::builtin());
    Ok(())
}

/// Attempts are counted while an approval is being executed, and at no other time.
pub async fn attempts_at_a_write_are_counted(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let approval = context.insert_approval(&ada, PolicyTerms::platform_default()).await?;
    let mut tx = context.begin(&ada).await?;
    assert!(!tx.approvals().count_write_attempt(approval.id, 0).await?, "it is not being executed");
    for (from, to) in
        [(ApprovalStatus::Pending, ApprovalStatus::Approved), (ApprovalStatus::Approved, ApprovalStatus::Executing)]
    {
        assert!(tx.approvals().transition(approval.id, &StatusTransition::new(from, to), context.now()).await?);
    }
    assert_eq!(tx.approvals().write_attempts(approval.id).await?, WriteAttempts::default());
    for earlier in 0..3 {
        assert!(tx.approvals().count_write_attempt(approval.id, earlier).await?);
        assert!(!tx.approvals().count_write_attempt(approval.id, earlier).await?, "somebody else was faster");
    }
    assert!(tx.approvals().write_attempts(approval.id).await?.has_unanswered());
    assert!(!tx.approvals().count_write_answer(approval.id, 2).await?, "another attempt has begun");
    assert!(tx.approvals().count_write_answer(approval.id, 3).await?);
    let attempts = tx.approvals().write_attempts(approval.id).await?;
    assert_eq!(attempts, WriteAttempts { begun: 3, answered: 1 });
    assert!(attempts.has_unanswered(), "the first two have no answer");
    Ok(())
}

/// An attempt has one answer, and none once the approval has ended.
pub async fn answers_to_a_write_are_counted(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let approval = context.insert_approval(&ada, PolicyTerms::platform_default()).await?;
    let mut tx = context.begin(&ada).await?;
    for (from, to) in
        [(ApprovalStatus::Pending, ApprovalStatus::Approved), (ApprovalStatus::Approved, ApprovalStatus::Executing)]
    {
        assert!(tx.approvals().transition(approval.id, &StatusTransition::new(from, to), context.now()).await?);
    }
    assert!(!tx.approvals().count_write_answer(approval.id, 0).await?, "nothing was asked");
    assert!(tx.approvals().count_write_attempt(approval.id, 0).await?);
    assert!(tx.approvals().count_write_answer(approval.id, 1).await?);
    assert!(!tx.approvals().count_write_answer(approval.id, 1).await?, "it was recorded");
    assert!(!tx.approvals().write_attempts(approval.id).await?.has_unanswered());
    assert!(tx.approvals().count_write_attempt(approval.id, 1).await?);
    let fail = StatusTransition::new(ApprovalStatus::Executing, ApprovalStatus::Failed);
    assert!(tx.approvals().transition(approval.id, &fail, context.now()).await?);
    assert!(!tx.approvals().count_write_answer(approval.id, 2).await?, "it has ended");
    Ok(())
}

/// The requester of an approval is notified of its end by whoever clears the mark.
pub async fn a_requester_is_marked_as_notified_once(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let conversation = Some(insert_conversation(context, &ada, "talk").await?.id);
    let approval = Approval { conversation, ..context.approval(&ada, PolicyTerms::platform_default())? };
    let mut tx = context.begin(&ada).await?;
    tx.approvals().insert(&approval).await?;
    assert!(!tx.approvals().clear_notice(approval.id).await?, "it has not ended");
    let cancel = StatusTransition::new(ApprovalStatus::Pending, ApprovalStatus::Cancelled);
    assert!(tx.approvals().transition(approval.id, &cancel, context.now()).await?);
    assert!(tx.approvals().clear_notice(approval.id).await?);
    assert!(!tx.approvals().clear_notice(approval.id).await?, "somebody else was faster");
    Ok(())
}

/// Those that may wait for a system come after the others, however old they are.
pub async fn slow_approvals_are_due_last(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(context.insert_approval(&ada, PolicyTerms::platform_default()).await?.id);
    }
    let [executing, approved, expired] = ids[..] else { return Err("three approvals".into()) };
    let mut tx = context.begin(&ada).await?;
    let approve = StatusTransition::new(ApprovalStatus::Pending, ApprovalStatus::Approved);
    let start = StatusTransition::new(ApprovalStatus::Approved, ApprovalStatus::Executing);
    for (id, transition) in [(executing, &approve), (executing, &start), (approved, &approve)] {
        assert!(tx.approvals().transition(id, transition, context.now()).await?);
    }
    let later = context.now() + TimeDelta::hours(2);
    assert_eq!(tx.approvals().due(later, 10).await?, [expired, approved, executing]);
    Ok(())
}
