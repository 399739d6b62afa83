//! Messages that tell the operator what to change when the probe finds a problem.

use crate::config::{BackendSettings, Dialect, Location};
use domain::model::ModelError;

/// Warning for every Ollama backend, because Ollama truncates prompts silently.
pub(super) const OLLAMA_CONTEXT: &str = "Ollama silently truncates prompts that exceed its context, which is 4,096 \
    tokens by default: set OLLAMA_CONTEXT_LENGTH to chat.context_tokens or more, and OLLAMA_KEEP_ALIVE so that the \
    model is not unloaded after five minutes";

/// Advice for a backend that cannot be reached.
pub(super) fn unreachable(backend: &BackendSettings, error: &ModelError) -> String {
    let url = &backend.base_url;
    let origin = format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), port(url));
    match error {
        ModelError::Timeout { .. } => {
            format!("{origin} did not answer within 10 s: is the model still loading, or does a firewall block it?")
        }
        _ if url.scheme() == "https" => format!(
            "{origin} cannot be reached: is it running, is the name correct, does this machine trust its certificate?"
        ),
        _ => {
            format!("nothing listens at {origin}: is it running, are host and port correct?{}", container_hint(backend))
        }
    }
}

fn port(url: &url::Url) -> String {
    url.port().map(|port| format!(":{port}")).unwrap_or_default()
}

/// A hint if the backend's host is `localhost`, which means the container itself inside a container.
fn container_hint(backend: &BackendSettings) -> &'static str {
    let is_localhost = matches!(backend.base_url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if is_localhost { " In a container, localhost is the container itself." } else { "" }
}

/// Advice for a failed call whose cause does not depend on the model.
pub(super) fn for_backend(backend: &BackendSettings, error: &ModelError) -> String {
    match error {
        ModelError::Misconfigured { reason, .. } if reason.contains("key") => {
            let key_state = if backend.api_key.is_some() { "is wrong" } else { "is not set" };
            format!("{reason}; models.backends.{}.api_key {key_state}{}", backend.name, entra_hint(backend))
        }
        other => other.to_string(),
    }
}

fn entra_hint(backend: &BackendSettings) -> &'static str {
    if backend.dialect == Dialect::Azure { " (Entra tokens need key_header = \"bearer\")" } else { "" }
}

/// Advice for a failed call to one model.
pub(super) fn for_model(backend: &BackendSettings, model: &str, error: &ModelError) -> String {
    match error {
        ModelError::Misconfigured { reason, .. } if reason.starts_with("no such model") => {
            let hint = match backend.dialect {
                Dialect::Ollama => format!("pull it: ollama pull {model}"),
                Dialect::Vllm => "use the name given with --served-model-name".to_owned(),
                Dialect::LiteLlm => "use a model_name of its model_list".to_owned(),
                Dialect::Azure => "use the name of the deployment, not of the model".to_owned(),
                Dialect::OpenAi => "is the name different, or is the path of the base URL wrong?".to_owned(),
            };
            format!("it has no model called {model:?}: {hint}")
        }
        ModelError::Timeout { waited_s, .. } => {
            format!("{model} sent nothing for {waited_s} s: it may be loading; first_token_timeout_s sets the limit")
        }
        ModelError::NotConfigured { .. } if backend.location == Location::Cloud => {
            "no content may be sent to it: highest_classification is too low".to_owned()
        }
        other => for_backend(backend, other),
    }
}

/// Advice for a model that did not call a tool when asked to.
pub(super) fn no_tools(backend: &BackendSettings, error: Option<&ModelError>) -> String {
    let hint = match backend.dialect {
        Dialect::Vllm => {
            "start vLLM with --enable-auto-tool-choice and --tool-call-parser (mistral, hermes, llama3_json …)"
        }
        Dialect::Ollama => "choose a model that Ollama lists with tools",
        _ => "check that tool calling is enabled on the server",
    };
    let error = error.map(|error| format!(" ({error})")).unwrap_or_default();
    format!(
        "it called no tool when asked to{error}; answers from documents work, but the model cannot search again: {hint}"
    )
}
