//! The stored form of run events. Two kinds are not stored: reasoning, and calls of a client's tools, which only the
//! request that started the run can answer. Their sequence numbers are skipped.

use domain::conversation::Citation;
use domain::error::{ErrorKind, Problem};
use domain::goal::StepStatus;
use domain::ids::{ApprovalId, AuditId, MessageId, RunId};
use domain::model::ModelTier;
use domain::run::{Escalation, NumberedEvent, RunEvent, RunSummary, ToolStatus};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Maximum number of distinct problem codes that [`static_code`] leaks. The platform has about fifty; more would mean
/// that something else writes these rows.
const MAX_CODES: usize = 512;

/// An event with its sequence number, in the form in which it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredEvent {
    seq: u64,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    Started {
        run_id: RunId,
        message_id: MessageId,
        model: ModelTier,
        escalation: Option<Escalation>,
        privacy_warnings: Vec<String>,
    },
    Delta {
        text: String,
    },
    ToolStarted {
        call_id: String,
        name: String,
        query: Option<String>,
    },
    ToolFinished {
        call_id: String,
        name: String,
        status: ToolStatus,
    },
    ApprovalRequired {
        approval_id: ApprovalId,
        tool: String,
        target: String,
        expires_at: Timestamp,
    },
    StepStarted {
        step_id: String,
        agent: String,
        title: String,
    },
    StepFinished {
        step_id: String,
        status: StepStatus,
    },
    Cited {
        citation: Citation,
    },
    Finished(RunSummary),
    Failed {
        kind: String,
        code: String,
        detail: Option<String>,
        decision_id: Option<AuditId>,
    },
}

impl StoredEvent {
    /// Converts an event to its stored form; `None` if events of its kind are not stored.
    pub(super) fn new(numbered: &NumberedEvent) -> Option<Self> {
        let event = match numbered.event.clone() {
            RunEvent::Started { run_id, message_id, model, escalation, privacy_warnings } => {
                Event::Started { run_id, message_id, model, escalation, privacy_warnings }
            }
            RunEvent::Delta { text } => Event::Delta { text },
            RunEvent::ToolStarted { call_id, name, query } => Event::ToolStarted { call_id, name, query },
            RunEvent::ToolFinished { call_id, name, status } => Event::ToolFinished { call_id, name, status },
            RunEvent::ApprovalRequired { approval_id, tool, target, expires_at } => {
                Event::ApprovalRequired { approval_id, tool, target, expires_at }
            }
            RunEvent::StepStarted { step_id, agent, title } => Event::StepStarted { step_id, agent, title },
            RunEvent::StepFinished { step_id, status } => Event::StepFinished { step_id, status },
            RunEvent::Cited(citation) => Event::Cited { citation },
            RunEvent::Finished(summary) => Event::Finished(summary),
            RunEvent::Failed(problem) => Event::Failed {
                kind: problem.kind.code().to_owned(),
                code: problem.code.to_owned(),
                detail: problem.detail,
                decision_id: problem.decision_id,
            },
            RunEvent::Reasoning { .. } | RunEvent::ClientToolRequested(_) => return None,
        };
        Some(Self { seq: numbered.seq, event })
    }

    /// Converts back to an event; `None` if it is a failure of an unknown kind.
    pub(super) fn into_event(self) -> Option<NumberedEvent> {
        let event = match self.event {
            Event::Started { run_id, message_id, model, escalation, privacy_warnings } => {
                RunEvent::Started { run_id, message_id, model, escalation, privacy_warnings }
            }
            Event::Delta { text } => RunEvent::Delta { text },
            Event::ToolStarted { call_id, name, query } => RunEvent::ToolStarted { call_id, name, query },
            Event::ToolFinished { call_id, name, status } => RunEvent::ToolFinished { call_id, name, status },
            Event::ApprovalRequired { approval_id, tool, target, expires_at } => {
                RunEvent::ApprovalRequired { approval_id, tool, target, expires_at }
            }
            Event::StepStarted { step_id, agent, title } => RunEvent::StepStarted { step_id, agent, title },
            Event::StepFinished { step_id, status } => RunEvent::StepFinished { step_id, status },
            Event::Cited { citation } => RunEvent::Cited(citation),
            Event::Finished(summary) => RunEvent::Finished(summary),
            Event::Failed { kind, code, detail, decision_id } => {
                let kind = ErrorKind::ALL.into_iter().find(|known| known.code() == kind)?;
                RunEvent::Failed(Problem { kind, code: static_code(&code), detail, decision_id })
            }
        };
        Some(NumberedEvent { seq: self.seq, event })
    }
}

/// Returns the code as static text, which [`Problem`] requires. Each distinct code is leaked once; after [`MAX_CODES`]
/// of them, returns the code for internal errors instead.
fn static_code(code: &str) -> &'static str {
    static CODES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut codes = CODES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = codes.get(code) {
        return known;
    }
    if codes.len() >= MAX_CODES {
        return ErrorKind::Internal.code();
    }
    let leaked: &'static str = Box::leak(code.to_owned().into_boxed_str());
    codes.insert(leaked);
    leaked
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::conversation::{ReadingCitation, TextRange};
    use domain::plant::{Quality, TagValue};
    use domain::role::Classification;
    use domain::run::{FinishReason, TokenUsage};
    use uuid::Uuid;

    fn roundtrip(event: RunEvent) -> Option<NumberedEvent> {
        let stored = StoredEvent::new(&NumberedEvent { seq: 3, event })?;
        let json = serde_json::to_string(&stored).expect("JSON");
        serde_json::from_str::<StoredEvent>(&json).expect("valid JSON").into_event()
    }

    #[test]
    fn an_event_survives_the_round_trip_through_its_stored_form() {
        let message_id = MessageId::from_uuid(Uuid::from_u128(2));
        let summary = RunSummary {
            finish_reason: FinishReason::Cancelled,
            usage: TokenUsage { input_tokens: 5, output_tokens: 7 },
            model: "small".to_owned(),
            degraded: true,
            fallback: false,
            omitted_count: 1,
            message_id,
            unsupported_statements: vec![TextRange { start: 4, end: 9 }],
        };
        let problem = Problem {
            kind: ErrorKind::Unavailable,
            code: "upstream_timeout",
            detail: Some("No answer in time.".to_owned()),
            decision_id: None,
        };
        let events = [
            RunEvent::Started {
                run_id: RunId::from_uuid(Uuid::from_u128(1)),
                message_id,
                model: ModelTier::Heavy,
                escalation: Some(Escalation::Length),
                privacy_warnings: vec!["email".to_owned()],
            },
            RunEvent::Delta { text: "FV-2003 \u{1f4a7}".to_owned() },
            RunEvent::ToolStarted { call_id: "c".to_owned(), name: "t".to_owned(), query: None },
            RunEvent::ToolFinished { call_id: "c".to_owned(), name: "t".to_owned(), status: ToolStatus::Denied },
            RunEvent::ApprovalRequired {
                approval_id: ApprovalId::from_uuid(Uuid::from_u128(4)),
                tool: "plant_system_write".to_owned(),
                target: "P-101A".to_owned(),
                expires_at: Timestamp::UNIX_EPOCH,
            },
            RunEvent::Cited(Citation::Reading(ReadingCitation {
                n: 2,
                tag: "PIT-1001".to_owned(),
                value: TagValue::number(4.6),
                unit: Some("bar".to_owned()),
                quality: Quality::Good,
                at: Timestamp::UNIX_EPOCH,
                source: "simulator:demo".to_owned(),
                stale: false,
                classification: Classification::Internal,
                series: None,
            })),
            RunEvent::Finished(summary),
            RunEvent::Failed(problem),
        ];
        for event in events {
            assert_eq!(roundtrip(event.clone()), Some(NumberedEvent { seq: 3, event }));
        }
    }

    #[test]
    fn reasoning_is_not_stored() {
        assert_eq!(roundtrip(RunEvent::Reasoning { text: "hm".to_owned() }), None);
    }
}
