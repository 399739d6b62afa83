//! The OpenAI-compatible API: requests, answers and errors in OpenAI's formats, under one path prefix
//! (`docs/adr/0032-an-openai-compatible-surface.md`). The same gate, limits and audit apply as to all other requests.

pub(crate) mod annotation;
pub(crate) mod chunk;
pub(crate) mod completion;
pub(crate) mod error;
mod messages;
mod renumber;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod schema;
pub(crate) mod token_input;
mod tool_messages;

use crate::error::ApiError;
use axum::http::HeaderName;
use domain::error::ErrorKind;
use domain::model_id::ModelId;
use domain::upload::FieldError;

/// Path prefix of all OpenAI-compatible routes.
pub(crate) const PATH_PREFIX: &str = "/openai/v1";
/// In a request, the id of the conversation to continue. In a response, the id of the conversation in which the answer
/// is stored.
pub(crate) const X_CONVERSATION_ID: HeaderName = HeaderName::from_static("x-conversation-id");

/// Returns whether errors on this path are written in OpenAI's format.
pub(crate) fn is_openai_path(path: &str) -> bool {
    path.strip_prefix(PATH_PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Parses a model id. An unknown id is a 404.
pub(crate) fn parse_model_id(id: &str) -> Result<ModelId, ApiError> {
    id.parse().map_err(|_| {
        let name: String = id.chars().take(64).collect();
        model_not_found(format!("unknown model {name:?}; GET /openai/v1/models lists the available ones"))
    })
}

/// Prefix of the model id of a team's assistant, which ends with the team's slug.
pub(crate) const TEAM_PREFIX: &str = "assistant@";

/// The slug in the model id of a team's assistant; `None` for other ids.
pub(crate) fn team_slug(model: &str) -> Option<&str> {
    model.strip_prefix(TEAM_PREFIX)
}

/// Creates OpenAI's error for an unknown model: 404 with `param` set to `model`.
pub(crate) fn model_not_found(detail: String) -> ApiError {
    let field = FieldError { pointer: "/model".to_owned(), detail };
    ApiError { code: "model_not_found", fields: vec![field], ..ApiError::from_kind(ErrorKind::NotFound) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_under_the_prefix_are_openai_paths() {
        for path in ["/openai/v1", "/openai/v1/", "/openai/v1/models", "/openai/v1/x/y"] {
            assert!(is_openai_path(path), "{path}");
        }
        for other in ["/", "/v1/models", "/openai", "/openai/v10", "/openai/v1x/models", "/x/openai/v1"] {
            assert!(!is_openai_path(other), "{other}");
        }
    }
}
