//! Tries what the settings say: reaches each backend, lists its models, and has each model do what its tier needs. What
//! is wrong is said in words of somebody who set it up and wants to know what to change.

mod advice;

use crate::config::{BackendSettings, Dialect, EmbedSource, ModelSettings, RouteSettings, TierSettings};
use crate::error::SetupError;
use crate::metrics::ModelMetrics;
use crate::openai::http::Server;
use crate::openai::{OpenAiChat, OpenAiEmbedder, OpenAiReranker, list};
use crate::router::Router;
use domain::classified::Classified;
use domain::ids::TenantId;
use domain::model::{
    ChatDelta, ChatOptions, ChatRequest, EmbedPurpose, EmbedRequest, ModelError, ModelTier, ModelToolCall, OfferedTool,
    PromptMessage, RerankRequest,
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

/// How long a backend may take to list its models.
const LIST: Duration = Duration::from_secs(10);
/// Most names of models that are told.
const MOST_NAMES: usize = 12;
/// A model that thinks before it answers needs room for that.
const OUTPUT_TOKENS: u32 = 512;
/// Vectors of the same text by the same model point the same way, whatever the server rounds.
const SAME_MODEL: f32 = 0.98;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It serves, but not all of it works.
    Warning,
    /// It cannot serve.
    Error,
}

/// What was found out about one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The backend, or the tier of the backend: `gpu-1`, `fast on gpu-1`.
    pub about: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, and where it is bad, what to do.
    pub sentence: String,
}

impl Finding {
    fn new(about: &str, severity: Severity, sentence: impl Into<String>) -> Self {
        Self { about: about.to_owned(), severity, sentence: sentence.into() }
    }
}

/// Tries all backends and all models of all tiers. What is asked of them are the platform's own words; a few tokens each.
///
/// # Errors
/// Where the settings are not of use at all.
pub async fn probe(settings: &ModelSettings) -> Result<Vec<Finding>, SetupError> {
    let mut findings = Vec::new();
    for backend in &settings.backends {
        findings.extend(probe_backend(settings, backend).await?);
    }
    findings.extend(same_embeddings(settings).await?);
    Ok(findings)
}

async fn probe_backend(settings: &ModelSettings, backend: &BackendSettings) -> Result<Vec<Finding>, SetupError> {
    let server = Server::new(backend)?;
    let (mut findings, names) = match list::models(&server, Instant::now() + LIST).await {
        Ok(names) => (vec![Finding::new(&backend.name, Severity::Ok, told(&names))], names),
        Err(failure) if failure.status.is_none() => {
            let sentence = advice::unreachable(backend, &failure.error);
            return Ok(vec![Finding::new(&backend.name, Severity::Error, sentence)]);
        }
        // Some servers keep the list to themselves; their models are tried all the same.
        Err(failure) => {
            let sentence = format!("it does not list its models: {}", advice::of(backend, &failure.error));
            (vec![Finding::new(&backend.name, Severity::Warning, sentence)], Vec::new())
        }
    };
    let tiers = &settings.tiers;
    let embeds_here = settings.embedding.source == Some(EmbedSource::Embedded);
    for (tier, routes) in
        [("fast", &tiers.fast), ("heavy", &tiers.heavy), ("embed", &tiers.embed), ("rerank", &tiers.rerank)]
    {
        if tier == "embed" && embeds_here {
            continue;
        }
        for route in routes.iter().filter(|route| route.backend == backend.name) {
            let about = format!("{tier} on {}", backend.name);
            let only = Only { settings, backend, route, about };
            let of_model = match tier {
                "embed" => only.embeds().await?,
                "rerank" => only.reranks().await?,
                _ => only.chats().await?,
            };
            // Where it does not work at all, that says more.
            let works = of_model.iter().all(|finding| finding.severity != Severity::Error);
            findings.extend(unlisted(backend, route, &names).filter(|_| works).map(|sentence| only.warning(sentence)));
            findings.extend(of_model);
        }
    }
    Ok(findings)
}

fn told(names: &[String]) -> String {
    match names {
        [] => "it answers, and lists no model".to_owned(),
        [one] => format!("it answers, and has the model {one}"),
        several => format!("it answers, and has {} models: {}", several.len(), some_of(several)),
    }
}

fn some_of(names: &[String]) -> String {
    let mut told = names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST_NAMES {
        told.push_str(", …");
    }
    told
}

/// Where a backend lists its models and this is none of them. Azure lists what could be deployed, not what is.
fn unlisted(backend: &BackendSettings, route: &RouteSettings, names: &[String]) -> Option<String> {
    let listed = |name: &String| {
        *name == route.model || (backend.dialect == Dialect::Ollama && *name == format!("{}:latest", route.model))
    };
    if names.is_empty() || names.iter().any(listed) || backend.dialect == Dialect::Azure {
        return None;
    }
    Some(format!("it does not list {:?} among its models ({})", route.model, some_of(names)))
}

/// One model of one backend, and nothing else: no fallback hides what is wrong with it.
struct Only<'a> {
    settings: &'a ModelSettings,
    backend: &'a BackendSettings,
    route: &'a RouteSettings,
    about: String,
}

impl Only<'_> {
    fn settings(&self, tiers: TierSettings) -> ModelSettings {
        let backend = BackendSettings { highest_classification: Classification::Restricted, ..self.backend.clone() };
        ModelSettings { backends: vec![backend], tiers, ..self.settings.clone() }
    }

    fn ok(&self, sentence: impl Into<String>) -> Finding {
        Finding::new(&self.about, Severity::Ok, sentence)
    }

    fn warning(&self, sentence: impl Into<String>) -> Finding {
        Finding::new(&self.about, Severity::Warning, sentence)
    }

    fn failed(&self, error: &ModelError) -> Finding {
        Finding::new(&self.about, Severity::Error, advice::of_model(self.backend, &self.route.model, error))
    }

    async fn chats(&self) -> Result<Vec<Finding>, SetupError> {
        let tiers = TierSettings { fast: vec![self.route.clone()], ..TierSettings::default() };
        let settings = self.settings(tiers);
        let chat = OpenAiChat::new(&router(&settings)?, &settings)?;
        let mut findings = match answer(&chat, plain()).await {
            Ok(answer) => self.judged(&answer),
            Err(error) => return Ok(vec![self.failed(&error)]),
        };
        findings.push(match answer(&chat, with_tool()).await {
            Ok(answer) => self.tools(&answer),
            Err(error) => self.warning(advice::no_tools(self.backend, Some(&error))),
        });
        if self.backend.dialect == Dialect::Ollama {
            findings.push(self.warning(advice::OLLAMA_CONTEXT));
        }
        Ok(findings)
    }

    fn judged(&self, answer: &Answered) -> Vec<Finding> {
        let first = answer.first.as_secs_f64();
        let mut findings = vec![self.ok(format!("{} answers; the first word took {first:.1} s", answer.model))];
        if answer.pieces < 2 {
            findings.push(self.warning(
                "the answer came in one piece: the server does not stream, or something between does not pass it on",
            ));
        }
        if answer.estimated {
            findings.push(self.warning(
                "the server does not count tokens in a stream (stream_options.include_usage); usage and cost will be estimated",
            ));
        }
        if answer.text.trim().is_empty() {
            findings.push(self.warning(match answer.reason {
                Some(FinishReason::Length) => {
                    "it thought until its tokens ran out and gave no answer; give it more (chat.max_output_tokens)"
                }
                _ => "the answer was empty; look at the server's chat template",
            }));
        }
        findings
    }

    fn tools(&self, answer: &Answered) -> Finding {
        match answer.calls.as_slice() {
            [] => self.warning(advice::no_tools(self.backend, None)),
            [call, ..] if serde_json::from_str::<Value>(&call.arguments).is_ok_and(|value| value.is_object()) => {
                self.ok("it calls tools")
            }
            _ => self.warning(
                "it calls tools, but with arguments that are no JSON; the platform asks once more where that happens",
            ),
        }
    }

    async fn embeds(&self) -> Result<Vec<Finding>, SetupError> {
        let Some(embedder) = self.embedder().await? else { return Ok(Vec::new()) };
        Ok(vec![match embedder.embed(sample()).await {
            Ok(_) => {
                let dimension = embedder.model().dimension;
                self.ok(format!("{} embeds, with {dimension} numbers a vector", self.route.model))
            }
            Err(ModelError::InvalidResponse { reason, .. }) if self.settings.embedding.dimension.is_some() => {
                let hint = "models.embed_dimension must be that of the model, and so must be the tenants' passages";
                Finding::new(&self.about, Severity::Error, format!("{reason}; {hint}"))
            }
            Err(error) => self.failed(&error),
        }])
    }

    /// The embedder of this route alone; `None` where the embedded model embeds.
    async fn embedder(&self) -> Result<Option<OpenAiEmbedder>, SetupError> {
        if self.settings.embedding.source == Some(EmbedSource::Embedded) {
            return Ok(None);
        }
        let tiers = TierSettings { embed: vec![self.route.clone()], ..TierSettings::default() };
        let mut settings = self.settings(tiers);
        // With a dimension the start asks nothing, and what goes wrong shows in what is asked here.
        settings.embedding.dimension = self.settings.embedding.dimension;
        Ok(Some(OpenAiEmbedder::unasked(&router(&settings)?, &settings)?))
    }

    async fn reranks(&self) -> Result<Vec<Finding>, SetupError> {
        let tiers = TierSettings { rerank: vec![self.route.clone()], ..TierSettings::default() };
        let mut settings = self.settings(tiers);
        // Loading it may take longer than a search waits.
        settings.rerank.timeout = self.backend.timeouts.first_token;
        let Some(reranker) = OpenAiReranker::new(&router(&settings)?, &settings)? else { return Ok(Vec::new()) };
        let passages = vec!["Bananas are yellow.".to_owned(), "The pump's seal is changed once a year.".to_owned()];
        let request = RerankRequest {
            caller: nobody(),
            query: "How often is the seal of the pump changed?".to_owned(),
            passages,
            classification: Classification::Public,
        };
        let started = Instant::now();
        Ok(vec![match reranker.rerank(request).await.map(|reranked| reranked.scores) {
            Ok(scores) if scores[1] > scores[0] => {
                let (took, limit) = (started.elapsed(), self.settings.rerank.timeout);
                match took > limit {
                    false => self.ok(format!("{} puts passages in order", self.route.model)),
                    true => self.warning(format!(
                        "it took {} ms, and a search waits for {} (models.rerank_timeout_ms); it may have been loading",
                        took.as_millis(),
                        limit.as_millis()
                    )),
                }
            }
            Ok(_) => self.warning("it puts the wrong passage first; is it a reranking model?"),
            Err(error) => self.failed(&error),
        }])
    }
}

/// Whether the backends of the embedding tier have the same model.
async fn same_embeddings(settings: &ModelSettings) -> Result<Vec<Finding>, SetupError> {
    let mut first: Option<(&str, Vec<f32>)> = None;
    let mut findings = Vec::new();
    for route in &settings.tiers.embed {
        let Some(backend) = settings.backends.iter().find(|backend| backend.name == route.backend) else { continue };
        let only = Only { settings, backend, route, about: "embed".to_owned() };
        let Some(embedder) = only.embedder().await? else { return Ok(findings) };
        let Ok(embedded) = embedder.embed(sample()).await else { continue };
        let Some(vector) = embedded.vectors.into_iter().next() else { continue };
        match &first {
            None => first = Some((&backend.name, vector)),
            Some((other, expected)) => {
                let alike = expected.iter().zip(&vector).map(|(a, b)| a * b).sum::<f32>();
                if vector.len() != expected.len() || alike < SAME_MODEL {
                    let sentence = format!(
                        "{other} and {} make different vectors of one text: they are different models, and what one has \
                         embedded the other does not find",
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
    Router::new(settings, ModelMetrics::unread().map_err(SetupError::Metrics)?)
}

/// What a model answered.
struct Answered {
    model: String,
    first: Duration,
    text: String,
    pieces: usize,
    calls: Vec<ModelToolCall>,
    reason: Option<FinishReason>,
    estimated: bool,
}

async fn answer(chat: &OpenAiChat, request: ChatRequest) -> Result<Answered, ModelError> {
    let started = Instant::now();
    let mut stream = chat.stream(request).await?;
    let mut answered = Answered {
        model: stream.served_by.model,
        first: started.elapsed(),
        text: String::new(),
        pieces: 0,
        calls: Vec::new(),
        reason: None,
        estimated: false,
    };
    while let Some(delta) = stream.deltas.next().await {
        match delta? {
            ChatDelta::Text(text) => {
                answered.pieces += 1;
                answered.text.push_str(&text);
            }
            ChatDelta::Reasoning(_) => answered.pieces += 1,
            ChatDelta::ToolCall(call) => answered.calls.push(call),
            ChatDelta::Finished { reason, estimated, .. } => {
                (answered.reason, answered.estimated) = (Some(reason), estimated);
            }
        }
    }
    Ok(answered)
}

/// The platform itself: nobody's content, to be sent anywhere.
fn nobody() -> ModelCaller {
    ModelCaller { tenant: TenantId::from_uuid(Uuid::nil()), user: None, cloud_limit: Classification::Public }
}

fn plain() -> ChatRequest {
    asking("Count from one to five in words.", Vec::new(), None)
}

fn with_tool() -> ChatRequest {
    let tool = OfferedTool {
        name: "read_level".to_owned(),
        description: "Reads the level of a tank in percent.".to_owned(),
        parameters: json!({ "type": "object", "properties": { "tank": { "type": "string" } }, "required": ["tank"] }),
    };
    asking("Read the level of tank T-1 with the tool.", vec![tool], Some(json!("auto")))
}

fn asking(question: &str, tools: Vec<OfferedTool>, tool_choice: Option<Value>) -> ChatRequest {
    ChatRequest {
        caller: nobody(),
        tier: ModelTier::Fast,
        prompt: Classified::new(vec![PromptMessage::User(question.to_owned())], Classification::Public),
        tools,
        max_output_tokens: OUTPUT_TOKENS,
        question: question.to_owned(),
        passages: Vec::new(),
        options: ChatOptions { tool_choice, ..ChatOptions::default() },
    }
}

fn sample() -> EmbedRequest {
    EmbedRequest {
        caller: nobody(),
        purpose: EmbedPurpose::Document,
        texts: vec!["Close HV-1003 before the seal of pump P-101A is changed.".to_owned()],
        classification: Classification::Public,
    }
}
