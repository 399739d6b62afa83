//! Decisions: only people who signed in recently, on exactly what they read, and never on their own requests.

use super::audit_events::ApprovalEvent;
use super::error::ApprovalError;
use super::request::lock_with_policy;
use super::service::{ApprovalService, NOT_FOUND, reader};
use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::approval::{
    Approval, ApprovalDecision, ApprovalReader, ApprovalStatus, ApproverVerdict, is_recent_sign_in,
};
use domain::audit::EventType;
use domain::authorized::{Authorized, Permit};
use domain::command::DecideApproval;
use domain::credential::CredentialKind;
use domain::error::Classify as _;
use domain::ids::JobId;
use domain::ports::{StatusTransition, StoreError, TenantTx};
use domain::text::BoundedText;
use domain::time::Timestamp;

#[async_trait]
impl UseCase<DecideApproval> for ApprovalService {
    async fn execute(&self, command: Authorized<DecideApproval>) -> Result<Approval, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (permit, command) = command.into_parts();
        let reader = reader(&permit)?;
        let mut approval = lock_with_policy(&mut *tx, command.id).await?.ok_or(NOT_FOUND)?;
        // Read after waiting for the lock.
        let now = self.ports.clock.now();
        if !approval.is_visible_to(reader) {
            ApprovalEvent::record_refusal(&approval, "not_found", &mut *tx, &*self.ports.ids, now).await?;
            tx.commit().await?;
            return Err(NOT_FOUND);
        }
        let attempt = Attempt { permit: &permit, reader, command: &command, now };
        if let Err(error) = attempt.check(&approval) {
            if error.is_refusal() {
                ApprovalEvent::record_refusal(&approval, error.code(), &mut *tx, &*self.ports.ids, now).await?;
                tx.commit().await?;
            }
            return Err(error.into());
        }
        if self.void_if_policy_changed(&mut *tx, &mut approval, now).await? {
            tx.commit().await?;
            return Err(ApprovalError::AlreadyDecided.into());
        }
        let mode = tx.plant_mode().get().await?.mode;
        if command.verdict == ApproverVerdict::Approve && !mode.allows_writes() {
            return Err(ApprovalError::PlantMode { mode }.into());
        }
        let comment = command.comment.map(BoundedText::into_string);
        let decision = ApprovalDecision { by: reader.user, verdict: command.verdict, comment, at: now };
        if !tx.approvals().insert_decision(approval.id, &decision).await? {
            return Err(ApprovalError::AlreadyDecided.into());
        }
        approval.decisions.push(decision);
        if let Some(status) = approval.status_by_decisions() {
            let transition = StatusTransition::new(ApprovalStatus::Pending, status);
            tx.approvals().transition(approval.id, &transition, now).await?;
            (approval.status, approval.updated_at) = (status, now);
            // Wakes a worker, which executes it or notifies the requester.
            tx.jobs().enqueue_approvals(JobId::from_uuid(self.ports.ids.uuid()), now).await?;
        }
        let event = ApprovalEvent::new(EventType::APPROVAL_DECIDED, &approval);
        event.record(&mut *tx, &*self.ports.ids, now).await?;
        tx.defer_commit();
        Ok(approval)
    }
}

impl ApprovalService {
    /// Cancels a request that was stored under an earlier version of its policy at the moment when the policy changed;
    /// returns whether it was.
    async fn void_if_policy_changed(
        &self,
        tx: &mut dyn TenantTx,
        approval: &mut Approval,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let policy = tx.approvals().policy(&approval.tool).await?;
        if policy.as_ref().map_or(0, |policy| policy.version) == approval.policy_version {
            return Ok(false);
        }
        let channels = policy.map(|policy| policy.terms.channels).unwrap_or_default();
        let cancel = StatusTransition::new(ApprovalStatus::Pending, ApprovalStatus::Cancelled);
        tx.approvals().transition(approval.id, &cancel, now).await?;
        (approval.status, approval.updated_at) = (ApprovalStatus::Cancelled, now);
        let event = ApprovalEvent::new(EventType::APPROVAL_CANCELLED, approval);
        let event = ApprovalEvent { reason: Some("policy_changed"), extra_channels: &channels, ..event };
        event.record(tx, &*self.ports.ids, now).await?;
        Ok(true)
    }
}

/// An attempt to decide.
struct Attempt<'a> {
    permit: &'a Permit,
    reader: ApprovalReader,
    command: &'a DecideApproval,
    now: Timestamp,
}

impl Attempt<'_> {
    /// Checks, in this order: who decides, the state of the request, how recently the approver signed in, and what was
    /// read.
    fn check(&self, approval: &Approval) -> Result<(), ApprovalError> {
        let credential = self.permit.credential();
        if credential.is_machine() {
            return Err(ApprovalError::MachineCredential);
        }
        if self.reader.user == approval.requested_by {
            return Err(ApprovalError::SelfApproval);
        }
        if !approval.is_approver(self.reader) {
            return Err(ApprovalError::NotApprover);
        }
        let is_pending = approval.status == ApprovalStatus::Pending;
        // A request that the worker is about to escalate stays open.
        let has_ended = approval.expires_at <= self.now && !approval.will_be_escalated();
        if approval.status == ApprovalStatus::Expired || (is_pending && has_ended) {
            return Err(ApprovalError::Expired);
        }
        if !is_pending || approval.decisions.iter().any(|decision| decision.by == self.reader.user) {
            return Err(ApprovalError::AlreadyDecided);
        }
        let max_age_s = approval.terms.max_auth_age_s;
        let is_recent = match &credential.kind {
            CredentialKind::Interactive { auth_time: Some(auth_time), .. } => {
                is_recent_sign_in(*auth_time, approval.created_at, max_age_s, self.now)
            }
            _ => false,
        };
        if !is_recent {
            return Err(ApprovalError::StepUpRequired { max_age_s });
        }
        if self.command.digest != approval.digest {
            return Err(ApprovalError::DigestMismatch);
        }
        Ok(())
    }
}
