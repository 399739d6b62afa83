//! Where a turn can be read again: what is stored of a chat response under an idempotency key.

use crate::openai::chunk::Shape;
use crate::sse::Begun;
use axum::http::header::CONTENT_TYPE;
use domain::conversation::{Message, MessageStatus};
use domain::idempotency::StoredResponse;
use domain::ids::{ConversationId, MessageId, RunId};
use domain::model::ModelTier;
use domain::run::{Escalation, EventStream, FinishReason, NumberedEvent, RunEvent, RunSummary, TokenUsage};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

/// Stands in the place of a content type where a reference to a run is kept. Never sent.
const REFERENCE: &str = "application/x-run-reference";

/// Response extension of a chat turn: where its answer can be read again.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct RunReference {
    pub(crate) conversation: ConversationId,
    pub(crate) run: RunId,
    pub(crate) message: MessageId,
    /// The tier asked for.
    tier: ModelTier,
    #[serde(default)]
    escalated: Option<Escalation>,
    /// Answered as one JSON document instead of a stream.
    #[serde(default)]
    pub(crate) whole: bool,
    /// How a turn ended that was answered whole; `None` where it failed, and for one that was streamed.
    end: Option<RunEnd>,
    /// Answered in OpenAI's words.
    #[serde(default)]
    pub(crate) openai: Option<Shape>,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
struct RunEnd {
    finish_reason: FinishReason,
    usage: TokenUsage,
    model: String,
    degraded: bool,
    #[serde(default)]
    left_out: u32,
    #[serde(default)]
    fallback: bool,
}

impl RunReference {
    /// The reference to a turn that is streamed.
    pub(crate) fn streamed(conversation: ConversationId, begun: Begun) -> Self {
        Self {
            conversation,
            run: begun.run_id,
            message: begun.message_id,
            tier: begun.model,
            escalated: begun.escalated,
            whole: false,
            end: None,
            openai: None,
        }
    }

    /// The same of a turn that is answered in OpenAI's words.
    pub(crate) fn in_openai_shape(self, shape: Shape) -> Self {
        Self { openai: Some(shape), ..self }
    }

    /// The same of a turn that was answered whole, with its end unless it failed.
    pub(crate) fn whole(self, end: Option<RunSummary>) -> Self {
        let end = end.map(|end| RunEnd {
            finish_reason: end.finish_reason,
            usage: end.usage,
            model: end.model,
            degraded: end.degraded,
            left_out: end.left_out,
            fallback: end.fallback,
        });
        Self { whole: true, end, ..self }
    }

    /// The reference in the form of a response, to be stored in place of the turn's own.
    pub(crate) fn stored(&self) -> Option<StoredResponse> {
        let headers = vec![(CONTENT_TYPE.to_string(), REFERENCE.to_owned())];
        Some(StoredResponse { status: 200, headers, body: serde_json::to_vec(self).ok()? })
    }

    /// The reference that `stored` put there, if it is one.
    pub(crate) fn from_stored(answer: &StoredResponse) -> Option<Self> {
        let is_reference = answer.headers.iter().any(|(_, value)| value == REFERENCE);
        is_reference.then(|| serde_json::from_slice(&answer.body).ok()).flatten()
    }

    /// The events of a turn whose answer is stored, with the text in one piece.
    pub(crate) fn events_of(&self, message: Message) -> EventStream {
        let (run_id, message_id) = (self.run, message.id);
        let started = RunEvent::Started { run_id, message_id, model: self.tier, escalated: self.escalated };
        let summary = self.summary(&message);
        let cited = message.citations.into_iter().map(RunEvent::Cited);
        let events = std::iter::once(started)
            .chain(std::iter::once(RunEvent::Delta { text: message.content }))
            .chain(cited)
            .chain(std::iter::once(RunEvent::Finished(summary)));
        let numbered = events.zip(1..).map(|(event, seq)| NumberedEvent { seq, event });
        futures::stream::iter(numbered.collect::<Vec<_>>()).boxed()
    }

    fn summary(&self, message: &Message) -> RunSummary {
        let end = self.end.clone().unwrap_or_else(|| RunEnd {
            finish_reason: match message.status {
                MessageStatus::Cancelled => FinishReason::Cancelled,
                MessageStatus::Error => FinishReason::Error,
                MessageStatus::Complete | MessageStatus::Streaming => FinishReason::Stop,
            },
            usage: TokenUsage {
                input_tokens: 0,
                output_tokens: message.token_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
            },
            model: message.model.clone().unwrap_or_default(),
            degraded: false,
            left_out: 0,
            fallback: false,
        });
        RunSummary {
            finish_reason: end.finish_reason,
            usage: end.usage,
            model: end.model,
            degraded: end.degraded,
            left_out: end.left_out,
            fallback: end.fallback,
            message_id: message.id,
        }
    }
}
