//! What to change, for what was found.

use crate::config::{BackendSettings, Dialect, Location};
use domain::model::ModelError;

/// Ollama says nothing when it cuts a prompt.
pub(super) const OLLAMA_CONTEXT: &str = "Ollama cuts a prompt that is longer than its context without a word, and its \
    context is 4,096 tokens unless told otherwise: set OLLAMA_CONTEXT_LENGTH to chat.context_tokens or more, and \
    OLLAMA_KEEP_ALIVE so that the model is not unloaded after five minutes";

/// Of a backend that cannot be reached at all.
pub(super) fn unreachable(backend: &BackendSettings, error: &ModelError) -> String {
    let url = &backend.base_url;
    let place = format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), port(url));
    match error {
        ModelError::Timeout { .. } => {
            format!("nothing came from {place} within 10 s: is the model still being loaded, or a firewall between?")
        }
        _ if url.scheme() == "https" => {
            format!(
                "{place} cannot be reached: is it running, is the name right, is its certificate one that this machine trusts?"
            )
        }
        _ => format!("nothing listens at {place}: is it running, are name and port right?{}", inside(backend)),
    }
}

fn port(url: &url::Url) -> String {
    url.port().map(|port| format!(":{port}")).unwrap_or_default()
}

/// In a container, "localhost" is the container.
fn inside(backend: &BackendSettings) -> &'static str {
    let local = matches!(backend.base_url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if local { " In a container, localhost is the container itself." } else { "" }
}

/// Of what a backend answered.
pub(super) fn of(backend: &BackendSettings, error: &ModelError) -> String {
    match error {
        ModelError::Misconfigured { reason, .. } if reason.contains("key") => {
            let set = if backend.api_key.is_some() { "is another one" } else { "is not set" };
            format!("{reason}; models.backends.{}.api_key {set}{}", backend.name, entra(backend))
        }
        other => other.to_string(),
    }
}

fn entra(backend: &BackendSettings) -> &'static str {
    if backend.dialect == Dialect::Azure { " (a token of Entra needs key_header = \"bearer\")" } else { "" }
}

/// Of what a backend answered for one of its models.
pub(super) fn of_model(backend: &BackendSettings, model: &str, error: &ModelError) -> String {
    match error {
        ModelError::Misconfigured { reason, .. } if reason.starts_with("no such model") => {
            let how = match backend.dialect {
                Dialect::Ollama => format!("pull it: ollama pull {model}"),
                Dialect::Vllm => "it must be the name after --served-model-name".to_owned(),
                Dialect::LiteLlm => "it must be a model_name of its model_list".to_owned(),
                Dialect::Azure => "it must be the name of the deployment, not of the model".to_owned(),
                Dialect::OpenAi => "is it another name, or has the address another path?".to_owned(),
            };
            format!("it has no model called {model:?}: {how}")
        }
        ModelError::Timeout { waited_s, .. } => {
            format!(
                "{model} sent nothing for {waited_s} s: it may be loading; first_token_timeout_s says how long is waited"
            )
        }
        ModelError::NotConfigured { .. } if backend.location == Location::Cloud => {
            "it may see nothing: highest_classification is too low".to_owned()
        }
        other => of(backend, other),
    }
}

/// Of a model that was asked to call a tool and did not.
pub(super) fn no_tools(backend: &BackendSettings, error: Option<&ModelError>) -> String {
    let how = match backend.dialect {
        Dialect::Vllm => {
            "start vLLM with --enable-auto-tool-choice and --tool-call-parser (mistral, hermes, llama3_json …)"
        }
        Dialect::Ollama => "take a model that Ollama lists with tools",
        _ => "see whether the server has tool calling switched on for it",
    };
    let what = error.map(|error| format!(" ({error})")).unwrap_or_default();
    format!(
        "it called no tool when asked to{what}; answers from documents work without, further searches by the model do not: {how}"
    )
}
