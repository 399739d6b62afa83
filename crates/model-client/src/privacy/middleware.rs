//! Middleware that wraps every model: it redacts each request and restores the redacted values in the answer.
//!
//! It applies the privacy rules of the request's caller. A request without rules, or with rules that only warn, is
//! passed on unchanged.

use super::detector::{BuiltInPatterns, Detector};
use super::placeholder::{PlaceholderKey, PlaceholderKeys, Placeholders};
use super::redactor::{Part, count_matches, redact};
use super::restorer::{Encoding, Restorer, restore};
use crate::error::SetupError;
use async_trait::async_trait;
use domain::backend_health::BackendHealth;
use domain::model::{
    ChatDelta, ChatRequest, ChatStream, EmbedRequest, EmbedResponse, EmbeddingModel, ExtractiveInput, ModelError,
    ModelTier, PromptMessage, RerankRequest, RerankScores,
};
use domain::model_call::{ModelCaller, Price};
use domain::plant::{ReadingContent, TagReading, TagValue};
use domain::ports::{ChatModel, Embedder, PrivacyScanner, Reranker, Tokenizer};
use domain::privacy::{CustomPattern, PatternCounts, PrivacyAction, PrivacyRules};
use domain::role::Classification;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// Maximum number of compiled rule sets that are cached.
const MAX_CACHED_DETECTORS: usize = 256;

/// Middleware that applies privacy rules. It caches the compiled rules and holds the key from which placeholders are
/// derived; all models share it.
pub struct PrivacyMiddleware {
    compiled_built_ins: Arc<BuiltInPatterns>,
    keys: PlaceholderKeys,
    detectors: Mutex<HashMap<Arc<PrivacyRules>, Arc<Detector>>>,
}

impl PrivacyMiddleware {
    /// Compiles the built-in patterns. `secret` must be the same in every process of the platform; other keys may be
    /// derived from it too.
    ///
    /// # Errors
    /// If a built-in pattern does not compile, which is a bug.
    pub fn new(secret: &[u8]) -> Result<Arc<Self>, SetupError> {
        let compiled_built_ins = Arc::new(BuiltInPatterns::compile()?);
        Ok(Arc::new(Self { compiled_built_ins, keys: PlaceholderKeys::new(secret), detectors: Mutex::default() }))
    }

    /// Wraps a chat model.
    #[must_use]
    pub fn wrap_chat_model(self: &Arc<Self>, model: Arc<dyn ChatModel>) -> Arc<dyn ChatModel> {
        Arc::new(RedactingModel { middleware: Arc::clone(self), model })
    }

    /// Wraps an embedding model.
    #[must_use]
    pub fn wrap_embedder(self: &Arc<Self>, model: Arc<dyn Embedder>) -> Arc<dyn Embedder> {
        Arc::new(RedactingModel { middleware: Arc::clone(self), model })
    }

    /// Wraps a reranking model.
    #[must_use]
    pub fn wrap_reranker(self: &Arc<Self>, model: Arc<dyn Reranker>) -> Arc<dyn Reranker> {
        Arc::new(RedactingModel { middleware: Arc::clone(self), model })
    }

    /// The detector for a request of this caller; `None` if its rules do not redact anything.
    fn redaction_detector(&self, caller: &ModelCaller) -> Result<Option<Arc<Detector>>, ModelError> {
        let rules = caller.privacy.as_ref().filter(|rules| rules.action != PrivacyAction::Warn);
        rules.map(|rules| self.detector(rules)).transpose()
    }

    fn detector(&self, rules: &Arc<PrivacyRules>) -> Result<Arc<Detector>, ModelError> {
        let mut detectors = self.detectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(detector) = detectors.get(rules) {
            return Ok(Arc::clone(detector));
        }
        let custom = rules.custom.iter().map(|custom| CustomPattern::compile(&custom.name, &custom.pattern));
        // The API validates settings; only those that were written by SQL can be invalid here.
        let custom: Vec<_> =
            custom.collect::<Result<_, _>>().map_err(|error| ModelError::InvalidPrivacyRules(error.to_string()))?;
        let detector = Arc::new(Detector::new(Arc::clone(&self.compiled_built_ins), &rules.built_in, custom));
        if detectors.len() >= MAX_CACHED_DETECTORS {
            detectors.clear();
        }
        detectors.insert(Arc::clone(rules), Arc::clone(&detector));
        Ok(detector)
    }

    /// The placeholders of a chat are the same throughout its conversation. Without a conversation, they are the same
    /// in all requests of its user. Without either, they are the same throughout the tenant.
    fn chat_key(&self, caller: &ModelCaller) -> PlaceholderKey {
        let scope = caller.conversation.map(|id| id.as_uuid()).or(caller.user.map(|id| id.as_uuid()));
        self.keys.key_for_scope(caller.tenant.as_uuid(), scope.unwrap_or_default())
    }

    /// The placeholders of queries and passages are the same throughout the tenant, so that the vector of a query is
    /// near those of passages with the same values.
    fn search_key(&self, caller: &ModelCaller) -> PlaceholderKey {
        self.keys.key_for_scope(caller.tenant.as_uuid(), Uuid::nil())
    }
}

impl PrivacyScanner for PrivacyMiddleware {
    fn count_matches(&self, rules: &Arc<PrivacyRules>, text: &str) -> Result<PatternCounts, ModelError> {
        Ok(count_matches(&*self.detector(rules)?, text))
    }
}

/// A model whose requests are redacted, and whose answers are restored.
struct RedactingModel<M: ?Sized> {
    middleware: Arc<PrivacyMiddleware>,
    model: Arc<M>,
}

#[async_trait]
impl ChatModel for RedactingModel<dyn ChatModel> {
    async fn stream(&self, mut request: ChatRequest) -> Result<ChatStream, ModelError> {
        let Some(detector) = self.middleware.redaction_detector(&request.caller)? else {
            return self.model.stream(request).await;
        };
        let key = self.middleware.chat_key(&request.caller);
        let redaction = redact(&detector, &key, chat_parts(&mut request));
        let ChatStream { mut served_by, deltas } = self.model.stream(request).await?;
        served_by.replacement_counts = redaction.counts;
        Ok(ChatStream { served_by, deltas: restore_deltas(deltas, redaction.placeholders) })
    }

    fn is_language_model(&self) -> bool {
        self.model.is_language_model()
    }

    fn max_input_classification(&self, tier: ModelTier, caller: &ModelCaller) -> Classification {
        self.model.max_input_classification(tier, caller)
    }

    fn highest_price(&self, tier: ModelTier, caller: &ModelCaller) -> Option<Price> {
        self.model.highest_price(tier, caller)
    }

    fn is_configured(&self, tier: ModelTier) -> bool {
        self.model.is_configured(tier)
    }

    fn backends(&self) -> Vec<BackendHealth> {
        self.model.backends()
    }

    fn tokenizer(&self, tier: ModelTier, caller: &ModelCaller) -> Option<Arc<dyn Tokenizer>> {
        self.model.tokenizer(tier, caller)
    }
}

#[async_trait]
impl Embedder for RedactingModel<dyn Embedder> {
    fn model(&self) -> EmbeddingModel {
        self.model.model()
    }

    async fn embed(&self, mut request: EmbedRequest) -> Result<EmbedResponse, ModelError> {
        let Some(detector) = self.middleware.redaction_detector(&request.caller)? else {
            return self.model.embed(request).await;
        };
        let key = self.middleware.search_key(&request.caller);
        let redaction = redact(&detector, &key, request.texts.iter_mut().map(Part::Text));
        let mut response = self.model.embed(request).await?;
        response.usage.served_by.replacement_counts = redaction.counts;
        Ok(response)
    }

    fn max_input_classification(&self, caller: &ModelCaller) -> Classification {
        self.model.max_input_classification(caller)
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.model.count_tokens(text)
    }
}

#[async_trait]
impl Reranker for RedactingModel<dyn Reranker> {
    fn name(&self) -> String {
        self.model.name()
    }

    async fn rerank(&self, mut request: RerankRequest) -> Result<RerankScores, ModelError> {
        let Some(detector) = self.middleware.redaction_detector(&request.caller)? else {
            return self.model.rerank(request).await;
        };
        let key = self.middleware.search_key(&request.caller);
        let texts = std::iter::once(&mut request.query).chain(&mut request.passages);
        let redaction = redact(&detector, &key, texts.map(Part::Text));
        let mut scores = self.model.rerank(request).await?;
        scores.usage.served_by.replacement_counts = redaction.counts;
        Ok(scores)
    }
}

/// Every text of a request that a model may see.
fn chat_parts(request: &mut ChatRequest) -> Vec<Part<'_>> {
    let ChatRequest { prompt, tools, extractive_input, options, .. } = request;
    let ExtractiveInput { question, passages, readings, .. } = extractive_input;
    let mut parts = vec![Part::Text(question)];
    for message in prompt.content_mut() {
        match message {
            PromptMessage::System(text) | PromptMessage::User(text) => parts.push(Part::Text(text)),
            PromptMessage::Assistant { content, tool_calls } => {
                parts.push(Part::Text(content));
                parts.extend(tool_calls.iter_mut().map(|call| Part::JsonOrText(&mut call.arguments)));
            }
            PromptMessage::Tool { content, .. } => parts.push(Part::JsonOrText(content)),
        }
    }
    for tool in tools {
        parts.extend([Part::Text(&mut tool.description), Part::Value(&mut tool.parameters)]);
    }
    for passage in passages {
        let texts = [&mut passage.passage.file_name, &mut passage.passage.title, &mut passage.passage.content];
        let optional_texts =
            [&mut passage.passage.section, &mut passage.surrounding_text.before, &mut passage.surrounding_text.after];
        parts.extend(texts.into_iter().chain(optional_texts.into_iter().flatten()).map(Part::Text));
    }
    for reading in readings {
        if let ReadingContent::Present(TagReading { description, value, .. }) = &mut reading.content {
            parts.extend(description.iter_mut().map(Part::Text));
            parts.extend(value.iter_mut().filter_map(|value| match value {
                TagValue::Text(text) => Some(Part::Text(text)),
                TagValue::Number(_) | TagValue::Bool(_) => None,
            }));
        }
        parts.extend(reading.equipment.iter_mut().map(Part::Text));
    }
    parts.extend(options.stop.iter_mut().map(Part::Text));
    parts.extend(options.response_format.iter_mut().map(Part::Value));
    parts
}

/// Replaces the placeholders in an answer with their values.
fn restore_deltas(deltas: Deltas, placeholders: Placeholders) -> Deltas {
    if placeholders.is_empty() {
        return deltas;
    }
    let placeholders = Arc::new(placeholders);
    let restorer = || Restorer::new(Arc::clone(&placeholders), Encoding::Plain);
    let answer = AnswerRestorer { text: restorer(), reasoning: restorer(), placeholders };
    let end_marker = stream::once(async { None });
    let deltas = deltas.map(Some).chain(end_marker);
    deltas.scan(answer, |answer, delta| std::future::ready(Some(stream::iter(answer.restore(delta))))).flatten().boxed()
}

type Deltas = BoxStream<'static, Result<ChatDelta, ModelError>>;

/// Restores an answer's deltas. A placeholder may be split over several deltas.
struct AnswerRestorer {
    text: Restorer,
    reasoning: Restorer,
    placeholders: Arc<Placeholders>,
}

impl AnswerRestorer {
    /// Takes the next delta, or `None` at the end of the stream. Returns the deltas that are ready after it.
    fn restore(&mut self, delta: Option<Result<ChatDelta, ModelError>>) -> Vec<Result<ChatDelta, ModelError>> {
        match delta {
            Some(Ok(ChatDelta::Text(piece))) => {
                let mut out = delta_unless_empty(ChatDelta::Reasoning, self.reasoning.finish());
                out.extend(delta_unless_empty(ChatDelta::Text, self.text.push(&piece)));
                out
            }
            Some(Ok(ChatDelta::Reasoning(piece))) => {
                delta_unless_empty(ChatDelta::Reasoning, self.reasoning.push(&piece))
            }
            Some(Ok(ChatDelta::ToolCall(mut call))) => {
                call.arguments = restore(&self.placeholders, &call.arguments, Encoding::Json);
                let mut out = self.flush();
                out.push(Ok(ChatDelta::ToolCall(call)));
                out
            }
            Some(last) => {
                let mut out = self.flush();
                out.push(last);
                out
            }
            None => self.flush(),
        }
    }

    /// Returns the text that is still buffered, as deltas.
    fn flush(&mut self) -> Vec<Result<ChatDelta, ModelError>> {
        let mut out = delta_unless_empty(ChatDelta::Reasoning, self.reasoning.finish());
        out.extend(delta_unless_empty(ChatDelta::Text, self.text.finish()));
        out
    }
}

fn delta_unless_empty(delta: fn(String) -> ChatDelta, text: String) -> Vec<Result<ChatDelta, ModelError>> {
    if text.is_empty() { Vec::new() } else { vec![Ok(delta(text))] }
}
