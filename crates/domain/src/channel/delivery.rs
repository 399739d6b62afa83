//! The outbox: messages to channels, each stored in the transaction of the event that it tells, and delivered at least
//! once.

use crate::approval::Approval;
use crate::ids::{ApprovalId, ChannelId, DeliveryId, UserId};
use crate::role::string_enum;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

string_enum! {
    /// What a message tells.
    NotificationEvent {
        /// Somebody asked for a write.
        ApprovalRequested = "approval.requested",
        /// Nobody decided in time, so others are asked, too.
        ApprovalEscalated = "approval.escalated",
        /// An approver decided.
        ApprovalDecided = "approval.decided",
        /// Nobody decided in time, or it could not be executed in time.
        ApprovalExpired = "approval.expired",
        /// The requester withdrew it, or a change of the policy voided it.
        ApprovalCancelled = "approval.cancelled",
        /// The write was executed.
        ApprovalExecuted = "approval.executed",
        /// The write was approved and not executed.
        ApprovalFailed = "approval.failed",
        /// The policy on a tool has other rules now.
        PolicyChanged = "approval_policy.changed",
        /// An admin tries whether messages arrive.
        ChannelTest = "channel.test",
    }
}

/// The facts that a message tells: names, states and times. Target, arguments, reasons and comments stay on the
/// platform.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// The event that the message tells of.
    pub event: NotificationEvent,
    /// When it happened.
    pub at: Timestamp,
    /// The approval that it happened to.
    #[serde(default)]
    pub approval: Option<ApprovalId>,
    /// Name of the tool.
    #[serde(default)]
    pub tool: Option<String>,
    /// State of the approval after the event.
    #[serde(default)]
    pub status: Option<String>,
    /// The user who asked for the write.
    #[serde(default)]
    pub requested_by: Option<UserId>,
    /// When the request expires.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Number of users who have approved.
    #[serde(default)]
    pub approvals: Option<u32>,
    /// Number of users who must approve.
    #[serde(default)]
    pub required: Option<u32>,
    /// Number of pending requests that a change of the policy cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_requests: Option<u64>,
    /// The user whom it is mailed to alone, at their own address, through a channel of kind `email`; `None` if it goes
    /// to the channel's own receivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<UserId>,
}

impl Notification {
    /// A notification without an approval.
    #[must_use]
    pub fn new(event: NotificationEvent, at: Timestamp) -> Self {
        Self {
            event,
            at,
            approval: None,
            tool: None,
            status: None,
            requested_by: None,
            expires_at: None,
            approvals: None,
            required: None,
            cancelled_requests: None,
            recipient: None,
        }
    }

    /// A notification of what happened to an approval, which is in the state after it.
    #[must_use]
    pub fn of_approval(event: NotificationEvent, approval: &Approval, at: Timestamp) -> Self {
        Self {
            approval: Some(approval.id),
            tool: Some(approval.tool.clone()),
            status: Some(approval.status.as_str().to_owned()),
            requested_by: Some(approval.requested_by),
            expires_at: Some(approval.expires_at),
            approvals: Some(approval.approval_count()),
            required: Some(approval.terms.quorum),
            ..Self::new(event, at)
        }
    }

    /// A notification of a change of the policy on a tool, which cancelled this many pending requests.
    #[must_use]
    pub fn of_policy(tool: &str, cancelled_requests: u64, at: Timestamp) -> Self {
        Self {
            tool: Some(tool.to_owned()),
            cancelled_requests: Some(cancelled_requests),
            ..Self::new(NotificationEvent::PolicyChanged, at)
        }
    }

    /// The same, for one user.
    #[must_use]
    pub fn mailed_to(&self, recipient: UserId) -> Self {
        Self { recipient: Some(recipient), ..self.clone() }
    }
}

string_enum! {
    /// State of a message in the outbox.
    DeliveryStatus {
        /// To be delivered.
        Pending = "pending",
        /// The receiver accepted it; final.
        Delivered = "delivered",
        /// Given up; final.
        Failed = "failed",
    }
}

/// Why an attempt failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryError {
    /// For programs: does not change between releases, unlike `detail`.
    pub code: String,
    /// Sentence for people, without content or secrets.
    pub detail: String,
}

/// A message in the outbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// UUIDv7, generated by the application; the same in every attempt.
    pub id: DeliveryId,
    /// The channel that it goes to.
    pub channel: ChannelId,
    /// What it tells.
    pub notification: Notification,
    /// State of the message.
    pub status: DeliveryStatus,
    /// Number of attempts that were begun.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub last_error: Option<DeliveryError>,
    /// When it is tried next; during an attempt, when that counts as abandoned. `None` in final states.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was put into the outbox.
    pub created_at: Timestamp,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
}

impl Delivery {
    /// A message to be delivered at once.
    #[must_use]
    pub fn new(id: DeliveryId, channel: ChannelId, notification: Notification, now: Timestamp) -> Self {
        Self {
            id,
            channel,
            notification,
            status: DeliveryStatus::Pending,
            attempts: 0,
            last_error: None,
            next_attempt_at: Some(now),
            created_at: now,
            finished_at: None,
        }
    }
}

/// Result of one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryAttempt {
    /// The message that was attempted.
    pub delivery: DeliveryId,
    /// Which attempt it was, from 1. Nothing is recorded if another one has begun since.
    pub number: u32,
    /// State after the attempt.
    pub status: DeliveryStatus,
    /// Why it failed.
    pub error: Option<DeliveryError>,
    /// When it is tried next; `None` in final states.
    pub next_attempt_at: Option<Timestamp>,
}

/// The user who asked for a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requester {
    /// Id of the user.
    pub id: UserId,
    /// Name of the user, as the token issuer gave it.
    pub name: Option<String>,
}

/// A message as it is sent: the stored facts, and what is looked up for each attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The same in every attempt.
    pub id: DeliveryId,
    /// The facts that it tells.
    pub notification: Notification,
    /// Who asked for the write.
    pub requester: Option<Requester>,
    /// Page of the console on which it can be decided, after signing in.
    pub link: Option<String>,
    /// When this attempt began.
    pub sent_at: Timestamp,
}

/// Size of the outbox, over all tenants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeliveryBacklog {
    /// Number of messages that are not delivered.
    pub pending: u64,
    /// Seconds since the longest-waiting message could be tried; 0 if none is due.
    pub oldest_due_age_s: u64,
}
