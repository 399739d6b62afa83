//! A reference to the answer of a chat turn, stored under an idempotency key in place of the answer itself.

use crate::openai::chunk::ReplyOptions;
use crate::sse::RunStart;
use axum::http::header::CONTENT_TYPE;
use domain::conversation::{Message, MessageStatus};
use domain::idempotency::StoredResponse;
use domain::ids::{ConversationId, MessageId, RunId};
use domain::model::ModelTier;
use domain::run::{Escalation, EventStream, FinishReason, NumberedEvent, RunEvent, RunSummary, TokenUsage};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

/// Content type that marks a stored response as a reference. Never sent to a client.
const CONTENT_TYPE_REFERENCE: &str = "application/x-run-reference";

/// Response extension of a chat turn: where its answer can be read again. It is stored in serialized form, so the field
/// names must not change.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct RunReference {
    pub(crate) conversation: ConversationId,
    pub(crate) run: RunId,
    pub(crate) message: MessageId,
    /// Tier that the run started with.
    tier: ModelTier,
    #[serde(default)]
    escalated: Option<Escalation>,
    /// Whether the response was one JSON document and not a stream.
    #[serde(default)]
    pub(crate) whole: bool,
    /// How the run ended, if the response was a document; `None` for a stream and for a run that failed.
    end: Option<RunEnd>,
    /// Set if the response is in OpenAI's format.
    #[serde(default)]
    pub(crate) openai: Option<ReplyOptions>,
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
    /// Creates the reference of a streamed turn.
    pub(crate) fn for_stream(conversation: ConversationId, start: RunStart) -> Self {
        Self {
            conversation,
            run: start.run_id,
            message: start.message_id,
            tier: start.tier,
            escalated: start.escalation,
            whole: false,
            end: None,
            openai: None,
        }
    }

    /// Converts the reference to one of a turn in OpenAI's format.
    pub(crate) fn with_openai_options(self, options: ReplyOptions) -> Self {
        Self { openai: Some(options), ..self }
    }

    /// Converts the reference to one of a turn that was answered with one document. `end` is `None` if the run failed.
    pub(crate) fn with_document_outcome(self, summary: Option<RunSummary>) -> Self {
        let end = summary.map(|end| RunEnd {
            finish_reason: end.finish_reason,
            usage: end.usage,
            model: end.model,
            degraded: end.degraded,
            left_out: end.omitted_count,
            fallback: end.fallback,
        });
        Self { whole: true, end, ..self }
    }

    /// Converts the reference to a response that is stored instead of the turn's response.
    pub(crate) fn to_stored_response(&self) -> Option<StoredResponse> {
        let headers = vec![(CONTENT_TYPE.to_string(), CONTENT_TYPE_REFERENCE.to_owned())];
        Some(StoredResponse { status: 200, headers, body: serde_json::to_vec(self).ok()? })
    }

    /// Parses the output of [`Self::to_stored_response`]. Returns `None` if the stored response is not a reference.
    pub(crate) fn from_stored_response(stored: &StoredResponse) -> Option<Self> {
        let is_reference = stored.headers.iter().any(|(_, value)| value == CONTENT_TYPE_REFERENCE);
        is_reference.then(|| serde_json::from_slice(&stored.body).ok()).flatten()
    }

    /// Rebuilds the events of a turn from its stored message. The whole text is one delta.
    pub(crate) fn replay_events(&self, message: Message) -> EventStream {
        let (run_id, message_id) = (self.run, message.id);
        let started = RunEvent::Started {
            run_id,
            message_id,
            model: self.tier,
            escalation: self.escalated,
            privacy_warnings: Vec::new(),
        };
        let summary = self.summary(&message);
        let citations = message.citations.into_iter().map(RunEvent::Cited);
        let events = std::iter::once(started)
            .chain(std::iter::once(RunEvent::Delta { text: message.content }))
            .chain(citations)
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
            omitted_count: end.left_out,
            fallback: end.fallback,
            message_id: message.id,
            unsupported_statements: message.unsupported_statements.clone(),
        }
    }
}
