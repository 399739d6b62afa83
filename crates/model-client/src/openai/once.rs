//! A call that is answered at once, not in a stream: vectors, or passages in order.

use super::chat::charged;
use super::http::{About, Told};
use super::response::WireUsage;
use crate::router::{Ask, Attempt, Route, Router, Served};
use domain::model::{CallUsage, ModelError};
use domain::model_call::ModelOperation;
use domain::run::TokenUsage;
use tokio::time::Instant;
use tracing::{Instrument, Span, field};

/// An answer that is understood.
pub(super) struct Read<T> {
    pub(super) value: T,
    /// The model as the server names it; empty where it does not say.
    pub(super) model: String,
    pub(super) usage: Option<WireUsage>,
    /// What its headers say.
    pub(super) told: Told,
}

/// What is asked, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Once {
    pub(super) operation: ModelOperation,
    pub(super) tier: &'static str,
    pub(super) about: About,
    pub(super) deadline: Instant,
    /// Tokens read where the server counts none.
    pub(super) estimated: u32,
}

impl Once {
    /// Has one of `routes` answer by `ask`, and says what it took.
    pub(super) async fn serve<T, F>(
        self,
        router: &Router,
        routes: &[Route],
        ask: impl Fn(Attempt) -> F,
    ) -> Result<(T, CallUsage), ModelError>
    where
        F: Future<Output = (Attempt, Result<Read<T>, ModelError>)>,
    {
        let call = |attempt: Attempt| {
            let span = self.span(&attempt);
            let (started, asked) = (Instant::now(), ask(attempt));
            async move {
                let (mut attempt, answer) = asked.instrument(span.clone()).await;
                let counted = attempt.counted(self.operation);
                router.metrics.ended(counted, started.elapsed(), answer.as_ref().err());
                match &answer {
                    Ok(read) => {
                        let (usage, _) = self.usage(read.usage);
                        router.metrics.tokens(counted, usage);
                        span.record("gen_ai.response.model", read.model.as_str());
                        span.record("gen_ai.usage.input_tokens", usage.input_tokens);
                        attempt.succeeded();
                    }
                    Err(error) => {
                        span.record("error.type", error.error_type());
                        attempt.failed(error);
                    }
                }
                answer
            }
        };
        let ask = Ask { about: self.about, deadline: Some(self.deadline) };
        let Served { value: read, mut by } = router.serve((self.tier, routes), ask, call).await?;
        let served = read.told.model.unwrap_or_else(|| super::stream::plain(&read.model));
        if !served.is_empty() {
            by.model = served;
        }
        by.fallback |= read.told.fallback;
        let (usage, estimated) = self.usage(read.usage);
        let cost =
            charged(by.price, usage, read.usage.map_or(read.told.cost, |usage| usage.cost().max(read.told.cost)));
        Ok((read.value, CallUsage { served_by: by, usage, estimated, cost }))
    }

    /// Tokens, and whether they are estimated.
    fn usage(self, told: Option<WireUsage>) -> (TokenUsage, bool) {
        match told {
            Some(told) => (TokenUsage { output_tokens: 0, ..told.usage() }, false),
            None => (TokenUsage { input_tokens: self.estimated, output_tokens: 0 }, true),
        }
    }

    fn span(self, attempt: &Attempt) -> Span {
        let (server, model) = (&attempt.backend.server, attempt.model.as_str());
        tracing::info_span!(
            "model call",
            otel.name = format!("{} {model}", self.operation),
            otel.kind = "client",
            gen_ai.operation.name = self.operation.as_str(),
            gen_ai.provider.name = server.dialect().provider(),
            gen_ai.request.model = model,
            gen_ai.response.model = field::Empty,
            gen_ai.usage.input_tokens = field::Empty,
            backend = server.name(),
            error.type = field::Empty,
        )
    }
}
