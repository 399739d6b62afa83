//! Tests the configured backends: connects to each one, lists its models, and calls each model in the way its tier
//! requires. The messages tell the operator what to change.

mod advice;

use crate::config::{BackendSettings, Dialect, EmbedSource, ModelSettings, RouteSettings, TierSettings};
use crate::error::SetupError;
use crate::metrics::ModelMetrics;
use crate::openai::http::OpenAiClient;
use crate::openai::{OpenAiChat, OpenAiEmbedder, OpenAiReranker, list};
use crate::router::Router;
use domain::classified::Classified;
use domain::ids::TenantId;
use domain::model::{
    ChatDelta, ChatOptions, ChatRequest, EmbedPurpose, EmbedRequest, ExtractiveInput, ModelError, ModelTier,
    ModelToolCall, OfferedTool, PromptMessage, RerankRequest,
};
use domain::model_call::ModelCaller;
use domain::ports::{ChatModel as _, Embedder as _, Reranker as _};
use domain::role::Classification;
use domain::run::FinishReason;
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Timeout for listing a backend's models.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of model names in a finding.
const MAX_NAMES: usize = 12;
/// Output token limit of the test requests; leaves room for reasoning before the answer.
const OUTPUT_TOKENS: u32 = 512;
/// Minimum cosine similarity at which two vectors of the same text are assumed to come from the same model.
const MIN_SAME_MODEL_SIMILARITY: f32 = 0.98;

/// Severity of a finding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The feature works.
    Ok,
    /// The feature works with limitations.
    Warning,
    /// The feature does not work.
    Error,
}

/// One result of the probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The subject: a backend or a tier of a backend (`gpu-1`, `fast on gpu-1`).
    pub subject: String,
    /// Whether the subject works.
    pub severity: Severity,
    /// What was found and, for a warning or an error, what to change.
    pub message: String,
}

impl Finding {
    fn new(subject: &str, severity: Severity, message: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), severity, message: message.into() }
    }
}

/// Probes all backends and the models of all tiers, with short built-in texts.
///
/// # Errors
/// If the settings are invalid.
pub async fn probe(settings: &ModelSettings) -> Result<Vec<Finding>, SetupError> {
    let mut findings = Vec::new();
    for backend in &settings.backends {
        findings.extend(probe_backend(settings, backend).await?);
    }
    findings.extend(check_same_embedding_model(settings).await?);
    Ok(findings)
}

async fn probe_backend(settings: &ModelSettings, backend: &BackendSettings) -> Result<Vec<Finding>, SetupError> {
    let client = OpenAiClient::new(backend)?;
    let (mut findings, listed_models) = match list::list_models(&client, Instant::now() + LIST_TIMEOUT).await {
        Ok(names) => (vec![Finding::new(&backend.name, Severity::Ok, describe_models(&names))], names),
        Err(failure) if failure.status.is_none() => {
            let sentence = advice::unreachable(backend, &failure.error);
            return Ok(vec![Finding::new(&backend.name, Severity::Error, sentence)]);
        }
        // Some servers do not support listing models; the configured models are probed anyway.
        Err(failure) => {
            let sentence = format!("it does not list its models: {}", advice::for_backend(backend, &failure.error));
            (vec![Finding::new(&backend.name, Severity::Warning, sentence)], Vec::new())
        }
    };
    let tiers = &settings.tiers;
    let tiers = [("fast", &tiers.fast), ("heavy", &tiers.heavy), ("embed", &tiers.embed), ("rerank", &tiers.rerank)];
    let uses_in_process_model = settings.embedding.source == Some(EmbedSource::InProcess);
    for (tier, routes) in tiers {
        if tier == "embed" && uses_in_process_model {
            continue;
        }
        for route in routes.iter().filter(|route| route.backend == backend.name) {
            let about = format!("{tier} on {}", backend.name);
            let probe = RouteProbe { settings, backend, route, subject: about };
            let route_findings = match tier {
                "embed" => probe.embedding().await?,
                "rerank" => probe.reranking().await?,
                _ => probe.chat().await?,
            };
            // If the route does not work at all, do not also report that the model is not listed.
            let route_works = route_findings.iter().all(|finding| finding.severity != Severity::Error);
            findings.extend(
                unlisted_model_message(backend, route, &listed_models)
                    .filter(|_| route_works)
                    .map(|sentence| probe.warning(sentence)),
            );
            findings.extend(route_findings);
        }
    }
    Ok(findings)
}

fn describe_models(names: &[String]) -> String {
    match names {
        [] => "it answers, but lists no models".to_owned(),
        [name] => format!("it answers, and has the model {name}"),
        several => format!("it answers, and has {} models: {}", several.len(), first_names(several)),
    }
}

fn first_names(names: &[String]) -> String {
    let mut list = names.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MAX_NAMES {
        list.push_str(", …");
    }
    list
}

/// Returns a finding's text if the backend lists models but not this one. Does not apply to Azure, which lists
/// deployable models instead of deployed ones.
fn unlisted_model_message(backend: &BackendSettings, route: &RouteSettings, names: &[String]) -> Option<String> {
    let is_listed = |name: &String| {
        *name == route.model || (backend.dialect == Dialect::Ollama && *name == format!("{}:latest", route.model))
    };
    if names.is_empty() || names.iter().any(is_listed) || backend.dialect == Dialect::Azure {
        return None;
    }
    Some(format!("it does not list {:?} among its models ({})", route.model, first_names(names)))
}

/// Probes a single route with a separate router, so that fallbacks do not hide its failures.
struct RouteProbe<'a> {
    settings: &'a ModelSettings,
    backend: &'a BackendSettings,
    route: &'a RouteSettings,
    subject: String,
}

impl RouteProbe<'_> {
    fn route_settings(&self, tiers: TierSettings) -> ModelSettings {
        let backend = BackendSettings { highest_classification: Classification::Restricted, ..self.backend.clone() };
        ModelSettings { backends: vec![backend], tiers, ..self.settings.clone() }
    }

    fn ok(&self, message: impl Into<String>) -> Finding {
        Finding::new(&self.subject, Severity::Ok, message)
    }

    fn warning(&self, message: impl Into<String>) -> Finding {
        Finding::new(&self.subject, Severity::Warning, message)
    }

    fn error(&self, error: &ModelError) -> Finding {
        Finding::new(&self.subject, Severity::Error, advice::for_model(self.backend, &self.route.model, error))
    }

    async fn chat(&self) -> Result<Vec<Finding>, SetupError> {
        let tiers = TierSettings { fast: vec![self.route.clone()], ..TierSettings::default() };
        let settings = self.route_settings(tiers);
        let chat = OpenAiChat::new(&router(&settings)?, &settings)?;
        let mut findings = match answer(&chat, plain_request()).await {
            Ok(answer) => self.answer_findings(&answer),
            Err(error) => return Ok(vec![self.error(&error)]),
        };
        findings.push(match answer(&chat, tool_request()).await {
            Ok(answer) => self.tool_finding(&answer),
            Err(error) => self.warning(advice::no_tools(self.backend, Some(&error))),
        });
        if self.backend.dialect == Dialect::Ollama {
            findings.push(self.warning(advice::OLLAMA_CONTEXT));
        }
        Ok(findings)
    }

    fn answer_findings(&self, answer: &Answer) -> Vec<Finding> {
        let seconds = answer.time_to_first_chunk.as_secs_f64();
        let mut findings = vec![self.ok(format!("{} answers; the first word took {seconds:.1} s", answer.model))];
        if answer.chunks < 2 {
            findings.push(self.warning(
                "the answer came in one piece: the server does not stream, or a proxy in between buffers the response",
            ));
        }
        if answer.tokens_estimated {
            findings.push(self.warning(
                "the server does not report token usage when streaming (stream_options.include_usage); usage and cost \
                 are estimated",
            ));
        }
        if answer.text.trim().is_empty() {
            findings.push(self.warning(match answer.finish_reason {
                Some(FinishReason::Length) => {
                    "it used up its tokens for reasoning and gave no answer; raise the limit (chat.max_output_tokens)"
                }
                _ => "the answer was empty; check the server's chat template",
            }));
        }
        findings
    }

    fn tool_finding(&self, answer: &Answer) -> Finding {
        match answer.calls.as_slice() {
            [] => self.warning(advice::no_tools(self.backend, None)),
            [call, ..] if serde_json::from_str::<Value>(&call.arguments).is_ok_and(|value| value.is_object()) => {
                self.ok("it calls tools")
            }
            _ => self.warning(
                "it calls tools, but with arguments that are not JSON; the platform asks once more if that happens",
            ),
        }
    }

    async fn embedding(&self) -> Result<Vec<Finding>, SetupError> {
        let Some(embedder) = self.embedder()? else { return Ok(Vec::new()) };
        Ok(vec![match embedder.embed(embed_request()).await {
            Ok(_) => {
                let dimension = embedder.model().dimension;
                self.ok(format!("{} embeds; its vectors have {dimension} dimensions", self.route.model))
            }
            Err(ModelError::InvalidResponse { reason, .. }) if self.settings.embedding.dimension.is_some() => {
                let hint = "models.embed_dimension must match the model and the passages that tenants have stored";
                Finding::new(&self.subject, Severity::Error, format!("{reason}; {hint}"))
            }
            Err(error) => self.error(&error),
        }])
    }

    /// An embedder that uses only this route; `None` if the settings select the in-process model.
    fn embedder(&self) -> Result<Option<OpenAiEmbedder>, SetupError> {
        if self.settings.embedding.source == Some(EmbedSource::InProcess) {
            return Ok(None);
        }
        let tiers = TierSettings { embed: vec![self.route.clone()], ..TierSettings::default() };
        let settings = self.route_settings(tiers);
        Ok(Some(OpenAiEmbedder::new(&router(&settings)?, &settings)?))
    }

    async fn reranking(&self) -> Result<Vec<Finding>, SetupError> {
        let tiers = TierSettings { rerank: vec![self.route.clone()], ..TierSettings::default() };
        let mut settings = self.route_settings(tiers);
        // The configured timeout is for searches; loading the model may take longer.
        settings.rerank.timeout = self.backend.timeouts.first_token;
        let Some(reranker) = OpenAiReranker::new(&router(&settings)?, &settings)? else { return Ok(Vec::new()) };
        let passages = vec!["Bananas are yellow.".to_owned(), "The pump's seal is changed once a year.".to_owned()];
        let request = RerankRequest {
            caller: platform_caller(),
            query: "How often is the seal of the pump changed?".to_owned(),
            passages,
            classification: Classification::Public,
        };
        let started = Instant::now();
        Ok(vec![match reranker.rerank(request).await.map(|reranked| reranked.scores) {
            Ok(scores) if scores[1] > scores[0] => {
                let (elapsed, limit) = (started.elapsed(), self.settings.rerank.timeout);
                match elapsed > limit {
                    false => self.ok(format!("{} ranks passages", self.route.model)),
                    true => self.warning(format!(
                        "reranking took {} ms, longer than the {} ms timeout (models.rerank_timeout_ms); the model \
                         may have been loading",
                        elapsed.as_millis(),
                        limit.as_millis()
                    )),
                }
            }
            Ok(_) => self.warning("it ranks the wrong passage first; is it a reranking model?"),
            Err(error) => self.error(&error),
        }])
    }
}

/// Checks that all routes of the embedding tier serve the same model.
async fn check_same_embedding_model(settings: &ModelSettings) -> Result<Vec<Finding>, SetupError> {
    let mut first_vector: Option<(&str, Vec<f32>)> = None;
    let mut findings = Vec::new();
    for route in &settings.tiers.embed {
        let Some(backend) = settings.backends.iter().find(|backend| backend.name == route.backend) else { continue };
        let probe = RouteProbe { settings, backend, route, subject: "embed".to_owned() };
        let Some(embedder) = probe.embedder()? else { return Ok(findings) };
        let Ok(response) = embedder.embed(embed_request()).await else { continue };
        let Some(vector) = response.vectors.into_iter().next() else { continue };
        match &first_vector {
            None => first_vector = Some((&backend.name, vector)),
            Some((other, expected)) => {
                let similarity = expected.iter().zip(&vector).map(|(a, b)| a * b).sum::<f32>();
                if vector.len() != expected.len() || similarity < MIN_SAME_MODEL_SIMILARITY {
                    let sentence = format!(
                        "{other} and {} return different vectors for the same text: they serve different models, \
                         whose vectors cannot be compared",
                        backend.name
                    );
                    findings.push(Finding::new("embed", Severity::Error, sentence));
                }
            }
        }
    }
    Ok(findings)
}

fn router(settings: &ModelSettings) -> Result<Arc<Router>, SetupError> {
    Router::new(settings, ModelMetrics::unregistered().map_err(SetupError::Metrics)?)
}

/// A model's answer and how it arrived.
struct Answer {
    model: String,
    time_to_first_chunk: Duration,
    text: String,
    chunks: usize,
    calls: Vec<ModelToolCall>,
    finish_reason: Option<FinishReason>,
    tokens_estimated: bool,
}

async fn answer(chat: &OpenAiChat, request: ChatRequest) -> Result<Answer, ModelError> {
    let started = Instant::now();
    let mut stream = chat.stream(request).await?;
    let mut answer = Answer {
        model: stream.served_by.model,
        time_to_first_chunk: started.elapsed(),
        text: String::new(),
        chunks: 0,
        calls: Vec::new(),
        finish_reason: None,
        tokens_estimated: false,
    };
    while let Some(delta) = stream.deltas.next().await {
        match delta? {
            ChatDelta::Text(text) => {
                answer.chunks += 1;
                answer.text.push_str(&text);
            }
            ChatDelta::Reasoning(_) => answer.chunks += 1,
            ChatDelta::ToolCall(call) => answer.calls.push(call),
            ChatDelta::Finished { reason, tokens_estimated: estimated, .. } => {
                (answer.finish_reason, answer.tokens_estimated) = (Some(reason), estimated);
            }
        }
    }
    Ok(answer)
}

/// The platform itself as the caller; its texts are public and may be sent anywhere.
fn platform_caller() -> ModelCaller {
    ModelCaller::without_privacy_rules(TenantId::from_uuid(Uuid::nil()), Classification::Public)
}

fn plain_request() -> ChatRequest {
    chat_request("Count from one to five in words.", Vec::new(), None)
}

fn tool_request() -> ChatRequest {
    let tool = OfferedTool {
        name: "read_level".to_owned(),
        description: "Reads the level of a tank in percent.".to_owned(),
        parameters: json!({ "type": "object", "properties": { "tank": { "type": "string" } }, "required": ["tank"] }),
    };
    chat_request("Read the level of tank T-1 with the tool.", vec![tool], Some(json!("auto")))
}

fn chat_request(question: &str, tools: Vec<OfferedTool>, tool_choice: Option<Value>) -> ChatRequest {
    ChatRequest {
        caller: platform_caller(),
        tier: ModelTier::Fast,
        prompt: Classified::new(vec![PromptMessage::User(question.to_owned())], Classification::Public),
        tools,
        max_output_tokens: OUTPUT_TOKENS,
        extractive_input: ExtractiveInput::default(),
        options: ChatOptions { tool_choice, ..ChatOptions::default() },
    }
}

fn embed_request() -> EmbedRequest {
    EmbedRequest {
        caller: platform_caller(),
        purpose: EmbedPurpose::Document,
        texts: vec!["Close HV-1003 before the seal of pump P-101A is changed.".to_owned()],
        classification: Classification::Public,
    }
}
