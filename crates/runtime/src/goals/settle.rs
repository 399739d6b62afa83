//! Ends a step that asked for writes, once people have decided on them and they were executed.

use super::changes::{EndedStep, advance, is_running, steps_of, tell_finished};
use super::work::GoalWorker;
use domain::approval::{Approval, ApprovalStatus};
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::goal::{GoalError, Step, StepStatus};
use domain::ids::AuditId;
use domain::ports::{StepEnd, StepLease, StoreError};
use domain::role::{Classification, Resource};
use domain::scope::TenantScope;
use serde_json::json;

impl GoalWorker {
    /// Ends a step whose approvals are no longer open.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn settle(&self, scope: &TenantScope, lease: &StepLease) -> Result<(), StoreError> {
        let ports = self.ports();
        let now = ports.clock.now();
        let mut tx = ports.store.begin(scope).await?;
        if !tx.goals().lock(lease.goal).await?.is_some_and(|goal| is_running(&goal)) {
            return Ok(());
        }
        let step = steps_of(&mut *tx, lease.goal).await?.into_iter().find(|step| step.plan.id == lease.step);
        let Some(step) = step.filter(|step| step.status == StepStatus::WaitingApproval) else { return Ok(()) };
        let mut approvals = Vec::new();
        for id in &step.approvals {
            approvals.extend(tx.approvals().get(*id).await?);
        }
        if approvals.iter().any(|approval| !approval.status.is_final()) {
            return Ok(());
        }
        let end = end_of(step, &approvals);
        if !tx.goals().end_step(lease, &end, now).await? {
            return Ok(());
        }
        let ended = EndedStep { id: &lease.step, status: end.status, error: end.error.as_ref() };
        tell_finished(&mut *tx, lease.goal, ended, now).await?;
        let status = if end.error.is_none() { ResultStatus::Success } else { ResultStatus::Error };
        let operation = AuditedOperation {
            event: EventType::STEP_FINISHED,
            resource: Some(Resource::Goals),
            resource_id: Some(lease.goal.as_uuid()),
            conversation_id: None,
            request_hash: None,
            metadata: json!({
                "step": lease.step, "approvals": approvals.iter().map(|approval| approval.id).collect::<Vec<_>>(),
                "reason": end.error.as_ref().map(|error| &error.code),
            }),
        };
        let outcome = Outcome { operation, status, model: None, tools_used: Vec::new() };
        tx.audit().record_event(AuditId::from_uuid(ports.ids.uuid()), &outcome, now).await?;
        advance(&mut *tx, lease.goal, now).await?;
        tx.commit().await
    }
}

/// The end of a step whose writes were executed, or were not.
fn end_of(step: Step, approvals: &[Approval]) -> StepEnd {
    let refused = approvals.iter().find(|approval| approval.status != ApprovalStatus::Executed);
    let error = refused.map(|approval| {
        let detail = format!("The write was not executed: its request {} is {}.", approval.id, approval.status);
        GoalError::new(GoalError::NOT_APPROVED, detail)
    });
    let mut output = step.output;
    if error.is_none() {
        for approval in approvals {
            let result = approval.result.as_ref().map(ToString::to_string).unwrap_or_default();
            let note = format!("The request {} was approved and executed: {result}", approval.id);
            output =
                Some(output.filter(|text| !text.is_empty()).map_or(note.clone(), |text| format!("{text}\n\n{note}")));
        }
    }
    StepEnd {
        status: if error.is_none() { StepStatus::Succeeded } else { StepStatus::Failed },
        output,
        citations: step.citations,
        sources: step.sources,
        classification: step.classification.max(Classification::Internal),
        error,
    }
}
