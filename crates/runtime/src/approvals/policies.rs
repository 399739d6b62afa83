//! Approval policies of a tenant.

use super::audit_events::ApprovalEvent;
use super::outbox;
use super::request::{default_policy, policy_in_force};
use super::service::{ApprovalService, TOOL_NOT_FOUND};
use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::approval::{ApprovalPolicy, ApprovalStatus, PolicyChange, PolicyTerms};
use domain::audit::EventType;
use domain::authorized::Authorized;
use domain::channel::Notification;
use domain::command::{GetApprovalPolicy, PutApprovalPolicy};
use domain::ids::JobId;
use domain::ports::{StatusTransition, TenantTx};
use domain::time::Timestamp;
use domain::upload::FieldError;

#[async_trait]
impl UseCase<GetApprovalPolicy> for ApprovalService {
    async fn execute(&self, command: Authorized<GetApprovalPolicy>) -> Result<ApprovalPolicy, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let spec = self.ports.tools.write_tool(&mut *tx, command.command().tool.as_str()).await?;
        let spec = spec.ok_or(TOOL_NOT_FOUND)?;
        let policy = policy_in_force(&mut *tx, &spec).await?;
        tx.defer_commit();
        Ok(policy)
    }
}

#[async_trait]
impl UseCase<PutApprovalPolicy> for ApprovalService {
    async fn execute(&self, command: Authorized<PutApprovalPolicy>) -> Result<PolicyChange, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let PutApprovalPolicy { tool, terms } = command.command();
        let spec = self.ports.tools.write_tool(&mut *tx, tool.as_str()).await?.ok_or(TOOL_NOT_FOUND)?;
        // Locked before the channels: the deletion of a channel uses the same order.
        let before = tx.approvals().policy_to_change(tool.as_str()).await?.unwrap_or_else(|| default_policy(&spec));
        check_terms(&mut *tx, terms).await?;
        let (by, now) = (command.scope().user(), self.ports.clock.now());
        let after = tx.approvals().put_policy(tool.as_str(), terms, by, now).await?;
        let voided = self.void_pending(&mut *tx, &after, now).await?;
        let notification = Notification::of_policy(tool.as_str(), voided, now);
        let change = PolicyChange { before, after, voided };
        outbox::enqueue_policy_change(&mut *tx, &*self.ports.ids, &notification, &change).await?;
        tx.defer_commit();
        Ok(change)
    }
}

impl ApprovalService {
    /// Cancels the pending requests of a tool whose policy has changed; returns their number.
    async fn void_pending(
        &self,
        tx: &mut dyn TenantTx,
        policy: &ApprovalPolicy,
        now: Timestamp,
    ) -> Result<u64, RuntimeError> {
        let mut voided = 0;
        for id in tx.approvals().lock_pending(&policy.tool).await? {
            let cancel = StatusTransition::new(ApprovalStatus::Pending, ApprovalStatus::Cancelled);
            if !tx.approvals().transition(id, &cancel, now).await? {
                continue;
            }
            if let Some(approval) = tx.approvals().get(id).await? {
                let event = ApprovalEvent::new(EventType::APPROVAL_CANCELLED, &approval);
                let extra_channels = &policy.terms.channels;
                let event = ApprovalEvent { reason: Some("policy_changed"), extra_channels, ..event };
                event.record(tx, &*self.ports.ids, now).await?;
            }
            voided += 1;
        }
        if voided > 0 {
            tx.jobs().enqueue_approvals(JobId::from_uuid(self.ports.ids.uuid()), now).await?;
        }
        Ok(voided)
    }
}

/// Checks that the terms can be satisfied, and that users and channels exist.
async fn check_terms(tx: &mut dyn TenantTx, terms: &PolicyTerms) -> Result<(), RuntimeError> {
    let invalid = |pointer: String, detail: &str| FieldError { pointer, detail: detail.to_owned() };
    if let Some(contradiction) = terms.contradiction() {
        let is_about_escalation = terms.allows_any_approver || terms.approvers.len() as u64 >= u64::from(terms.quorum);
        let pointer = if is_about_escalation { "/escalate_to/user_ids" } else { "/approvers" };
        return Err(invalid(pointer.to_owned(), contradiction).into());
    }
    for (list, users) in [("/approvers", &terms.approvers), ("/escalate_to", &terms.escalate_to)] {
        for (index, user) in users.iter().enumerate() {
            if tx.users().get(*user).await?.is_none() {
                return Err(invalid(format!("{list}/user_ids/{index}"), "is not a user of your tenant").into());
            }
        }
    }
    for (index, channel) in terms.channels.iter().enumerate() {
        if !tx.channels().hold(*channel).await? {
            return Err(invalid(format!("/channels/{index}"), "is not a channel of your tenant").into());
        }
    }
    Ok(())
}
