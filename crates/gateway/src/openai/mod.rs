//! The OpenAI-compatible surface: requests, answers and failures as OpenAI's own clients know them, beneath one prefix
//! (`docs/adr/0032-an-openai-compatible-surface.md`). What is asked passes the same gate, limits and audit as all else.

pub(crate) mod annotation;
pub(crate) mod chunk;
pub(crate) mod error;
mod messages;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod schema;
pub(crate) mod whole;

use crate::error::ApiError;
use axum::http::HeaderName;
use domain::error::ErrorKind;
use domain::model_id::ModelId;
use domain::upload::FieldError;

/// Where it begins.
pub(crate) const PREFIX: &str = "/openai/v1";
/// Names a conversation: in a request the one that goes on, in an answer the one that it stands in.
pub(crate) const X_CONVERSATION_ID: HeaderName = HeaderName::from_static("x-conversation-id");

/// Whether what is asked there is answered in OpenAI's words.
pub(crate) fn is_beneath(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The model of this id, if it is one of the list.
pub(crate) fn model(id: &str) -> Result<ModelId, ApiError> {
    id.parse().map_err(|_| {
        let name: String = id.chars().take(64).collect();
        no_such_model(format!("there is no model {name:?} here; GET /openai/v1/models lists those that there are"))
    })
}

/// What OpenAI answers for a model that is not there.
pub(crate) fn no_such_model(detail: String) -> ApiError {
    let field = FieldError { pointer: "/model".to_owned(), detail };
    ApiError { code: "model_not_found", fields: vec![field], ..ApiError::of(ErrorKind::NotFound) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_beneath_the_prefix_is_answered_in_its_words() {
        for ours in ["/openai/v1", "/openai/v1/", "/openai/v1/models", "/openai/v1/x/y"] {
            assert!(is_beneath(ours), "{ours}");
        }
        for other in ["/", "/v1/models", "/openai", "/openai/v10", "/openai/v1x/models", "/x/openai/v1"] {
            assert!(!is_beneath(other), "{other}");
        }
    }
}
