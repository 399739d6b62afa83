//! Rejects messages that are invalid in the protocol revisions that the endpoint supports, with the errors that
//! JSON-RPC defines.

use super::server::SUPPORTED_VERSIONS;
use crate::body;
use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rmcp::model::{ErrorCode, ErrorData, ProtocolVersion};
use serde_json::{Value, json};

/// Header that names the revision.
const VERSION_HEADER: &str = "mcp-protocol-version";
/// Member of `_meta` that names the revision.
const VERSION_META: &str = "io.modelcontextprotocol/protocolVersion";

/// A message that is rejected before it reaches the server.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The request's id; null if it is missing or unreadable.
    id: Value,
    error: ErrorData,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"jsonrpc": "2.0", "id": self.id, "error": self.error});
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    }
}

/// Checks that a body is a single JSON-RPC message of a supported revision.
pub(super) fn check(headers: &HeaderMap, bytes: &[u8]) -> Result<(), Refusal> {
    let refuse = |id: Value, error: ErrorData| Err(Refusal { id, error });
    let Ok(message) = body::parse_json(bytes) else {
        return refuse(Value::Null, ErrorData::parse_error("The body is no JSON, or nested too deeply.", None));
    };
    let invalid = |detail: &'static str| ErrorData::invalid_request(detail, None);
    if message.is_array() {
        return refuse(Value::Null, invalid("Batches are no part of this revision: send one message."));
    }
    let id = message.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or(Value::Null);
    let has_content = ["method", "result", "error"].iter().any(|name| message.get(name).is_some());
    let is_id_valid = message.get("id").is_none_or(|id| id.is_string() || id.is_number());
    if !message.is_object() || message["jsonrpc"] != "2.0" || !has_content || !is_id_valid {
        return refuse(id, invalid("The body is no JSON-RPC 2.0 message with an id that is a string or a number."));
    }
    if let Err(error) = body::check_storable(&message) {
        return refuse(id, ErrorData::invalid_params(format!("{} {}", error.pointer, error.detail), None));
    }
    if let Err(error) = check_version(headers, &message) {
        return refuse(id, error);
    }
    check_params(&message).or_else(|error| refuse(id, error))
}

/// Rejects an unsupported revision. Without one, the message is of an older revision with the same rules for messages.
/// A message that names its own revision is passed to rmcp's server, which compares the two.
fn check_version(headers: &HeaderMap, message: &Value) -> Result<(), ErrorData> {
    if message["params"]["_meta"].get(VERSION_META).is_some() || message["method"] == "initialize" {
        return Ok(());
    }
    let Some(version) = headers.get(VERSION_HEADER) else { return Ok(()) };
    let is_supported = |supported: &ProtocolVersion| version.as_bytes() == supported.as_str().as_bytes();
    if SUPPORTED_VERSIONS.iter().any(is_supported) {
        return Ok(());
    }
    let supported: Vec<_> = SUPPORTED_VERSIONS.iter().map(ProtocolVersion::as_str).collect();
    let data = json!({"supported": supported, "requested": String::from_utf8_lossy(version.as_bytes())});
    Err(ErrorData::new(ErrorCode::UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version", Some(data)))
}

/// Checks the parameters whose type rmcp would report as an unknown method.
fn check_params(message: &Value) -> Result<(), ErrorData> {
    let params = &message["params"];
    if !(params.is_object() || params.is_null()) {
        return Err(ErrorData::invalid_params("params must be an object.", None));
    }
    if message["method"] != "tools/call" {
        return Ok(());
    }
    if !params["name"].is_string() {
        return Err(ErrorData::invalid_params("params.name must be the name of a tool.", None));
    }
    if !(params["arguments"].is_object() || params.get("arguments").is_none()) {
        return Err(ErrorData::invalid_params("params.arguments must be an object.", None));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn code(version: Option<&'static str>, body: &str) -> Option<i32> {
        let version = version.map(|version| (HeaderName::from_static(VERSION_HEADER), version));
        let headers: HeaderMap =
            version.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
        check(&headers, body.as_bytes()).err().map(|refusal| refusal.error.code.0)
    }

    #[test]
    fn what_is_no_single_message_is_refused_with_its_code() {
        let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
        for (body, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, None),
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, None),
            ("{", Some(-32700)),
            (deep.as_str(), Some(-32700)),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Some(-32600)),
            ("[]", Some(-32600)),
            (r#"{"id":1,"method":"ping"}"#, Some(-32600)),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Some(-32600)),
            (r#"{"jsonrpc":"2.0","id":1}"#, Some(-32600)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#, Some(-32602)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":[]}}"#, Some(-32602)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a\u0000"}}"#, Some(-32602)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}"#, Some(-32602)),
        ] {
            assert_eq!(code(None, body), expected, "{body}");
        }
    }

    #[test]
    fn only_the_supported_revisions_are_accepted() {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert_eq!(code(Some("2025-11-25"), ping), None);
        assert_eq!(code(Some("2024-11-05"), ping), Some(-32022));
        assert_eq!(code(Some("tomorrow"), ping), Some(-32022));
        let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        assert_eq!(code(Some("2024-11-05"), initialize), None, "is negotiated");
    }
}
