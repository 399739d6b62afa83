//! The events of an approval: a row in the audit log, and notifications to channels. The rows have the approval's id as
//! correlation id, since it may take days.

use super::outbox;
use domain::approval::Approval;
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::channel::{Notification, NotificationEvent};
use domain::ids::{AuditId, ChannelId};
use domain::ports::{IdGen, StoreError, TenantTx};
use domain::role::Resource;
use domain::time::Timestamp;
use serde_json::{Value, json};

/// An event to record.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalEvent<'a> {
    /// Kind of event.
    pub event: EventType,
    /// The approval after the event.
    pub approval: &'a Approval,
    /// Outcome of the event.
    pub status: ResultStatus,
    /// Stable code of the reason, if there is one.
    pub reason: Option<&'a str>,
    /// Channels to notify in addition to those of the policy under which the write was requested.
    pub extra_channels: &'a [ChannelId],
}

impl<'a> ApprovalEvent<'a> {
    /// A successful event.
    pub fn new(event: EventType, approval: &'a Approval) -> Self {
        Self { event, approval, status: ResultStatus::Success, reason: None, extra_channels: &[] }
    }

    /// Records the event in `tx`, and enqueues its notifications.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn record(self, tx: &mut dyn TenantTx, ids: &dyn IdGen, now: Timestamp) -> Result<(), StoreError> {
        let mut metadata = self.approval.audit_metadata();
        if let Some(reason) = self.reason {
            metadata["reason"] = Value::from(reason);
        }
        self.write(tx, ids, metadata, now).await?;
        let Some(event) = self.notification_event() else { return Ok(()) };
        let notification = Notification::of_approval(event, self.approval, now);
        let channels = self.approval.terms.channels.iter().chain(self.extra_channels);
        outbox::enqueue_notification(tx, ids, &notification, channels).await
    }

    /// The event of the notifications; `None` if nobody is notified.
    fn notification_event(&self) -> Option<NotificationEvent> {
        if self.event == EventType::APPROVAL_EXECUTED && self.status != ResultStatus::Success {
            return Some(NotificationEvent::ApprovalFailed);
        }
        self.event.as_str().parse().ok()
    }

    /// Records a refused decision in `tx`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn record_refusal(
        approval: &Approval,
        reason: &str,
        tx: &mut dyn TenantTx,
        ids: &dyn IdGen,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let event = EventType::POLICY_DENIED;
        let status = ResultStatus::Denied;
        let refusal = ApprovalEvent { event, approval, status, reason: Some(reason), extra_channels: &[] };
        let metadata = json!({ "attempted": "approval.decision", "operation": "update", "reason": reason });
        refusal.write(tx, ids, metadata, now).await
    }

    async fn write(
        self,
        tx: &mut dyn TenantTx,
        ids: &dyn IdGen,
        metadata: Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Self { event, approval, status, .. } = self;
        let operation = AuditedOperation {
            event,
            resource: Some(Resource::Approvals),
            resource_id: Some(approval.id.as_uuid()),
            conversation_id: approval.conversation,
            request_hash: None,
            metadata,
        };
        let outcome = Outcome { operation, status, model: None, tools_used: vec![approval.tool.clone()] };
        let id = AuditId::from_uuid(ids.uuid());
        tx.audit().record_correlated_event(id, approval.id.as_uuid(), &outcome, now).await
    }
}
