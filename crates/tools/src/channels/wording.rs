//! The texts of messages. They are the platform's own; the only external text is names, each as one line of plain text.

use domain::channel::{Message, NotificationEvent};

/// Maximum length of a name, in characters.
const MAX_NAME_CHARS: usize = 100;

/// A line of a message.
pub(super) struct Fact {
    /// Label of the fact, as in `Tool`.
    pub(super) title: &'static str,
    /// Value of the fact; never an argument of the call.
    pub(super) value: String,
}

/// The heading of the message.
pub(super) fn title(event: NotificationEvent) -> &'static str {
    match event {
        NotificationEvent::ApprovalRequested => "Approval needed",
        NotificationEvent::ApprovalEscalated => "Approval still needed",
        NotificationEvent::ApprovalDecided => "An approver has decided",
        NotificationEvent::ApprovalExpired => "Approval expired",
        NotificationEvent::ApprovalCancelled => "Request cancelled",
        NotificationEvent::ApprovalExecuted => "Approved write executed",
        NotificationEvent::ApprovalFailed => "Approved write not executed",
        NotificationEvent::PolicyChanged => "Approval policy changed",
        NotificationEvent::ChannelTest => "Test message",
    }
}

/// The sentence below the heading.
pub(super) fn explanation(event: NotificationEvent) -> &'static str {
    match event {
        NotificationEvent::ApprovalRequested => {
            "Somebody asks for a write to a plant system. Read in the console what exactly it will do, then decide \
             there."
        }
        NotificationEvent::ApprovalEscalated => {
            "Nobody has decided on a write to a plant system in time. Read in the console what exactly it will do, \
             then decide there."
        }
        NotificationEvent::ApprovalDecided => "The console shows all decisions on the request.",
        NotificationEvent::ApprovalExpired => "The request expired before it could be executed. Nothing was changed.",
        NotificationEvent::ApprovalCancelled => {
            "The request was withdrawn, or the policy on its tool was changed. Nothing was changed in the plant system."
        }
        NotificationEvent::ApprovalExecuted => "The console shows what was created.",
        NotificationEvent::ApprovalFailed => "The console shows why it was not executed.",
        NotificationEvent::PolicyChanged => {
            "Who approves the writes of this tool, or how, was changed. Pending requests were cancelled; later ones \
             follow the new policy."
        }
        NotificationEvent::ChannelTest => "Messages of the platform arrive here.",
    }
}

/// The facts that are known.
pub(super) fn facts(message: &Message) -> Vec<Fact> {
    let notification = &message.notification;
    let requester = message.requester.as_ref();
    let name = requester.map(|requester| match &requester.name {
        Some(name) => single_line(name, MAX_NAME_CHARS),
        None => requester.id.to_string(),
    });
    let progress = notification.approvals.zip(notification.required);
    let known = [
        ("Tool", notification.tool.as_ref().map(|tool| single_line(tool, MAX_NAME_CHARS))),
        ("Requested by", name),
        ("Status", notification.status.clone()),
        ("Approvals", progress.map(|(approvals, required)| format!("{approvals} of {required}"))),
        ("Requests cancelled", notification.cancelled_requests.map(|count| count.to_string())),
        ("Expires", notification.expires_at.map(|at| at.format("%Y-%m-%d %H:%M UTC").to_string())),
        ("Request", notification.approval.map(|id| id.to_string())),
    ];
    known.into_iter().filter_map(|(title, value)| value.map(|value| Fact { title, value })).collect()
}

/// The last line of a mail.
pub(super) const FOOTER: &str =
    "Sent by the plant agent platform. Answers are not read, and nothing can be decided from this message.";

/// The text with each control character as a space, cut off after `max_chars`.
pub(super) fn single_line(text: &str, max_chars: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max_chars).collect()
}
