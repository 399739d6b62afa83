//! Idempotency keys: a POST request with an `Idempotency-Key` takes effect only once, however often it is sent.
//!
//! The first request is completed even if its client disconnects, because the client will send it again. The response
//! is stored if the request had an effect: it succeeded, or started a run. Other errors are not stored, so that a
//! repeated request is executed again.

mod conflict;
mod key;
mod replay;

use crate::body;
use crate::error::ApiError;
use crate::form_digest::FormDigest;
use crate::multipart;
use crate::request_info::RequestInfo;
use crate::run_reference::RunReference;
use crate::settings::GatewaySettings;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use conflict::{conflict_error, in_progress_error};
use domain::error::ErrorKind;
use domain::idempotency::{StoredOutcome, StoredResponse};
use policy::caller::Caller;
use policy::gate::{Gate, KeyStatus, KeyedRequest};
use replay::Replay;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

/// Maximum size of a stored response, in bytes. Responses of POST requests are far smaller.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// Response extension: the response contains a secret that is shown only once. The response is not stored, only that
/// the request succeeded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContainsSecret;

/// Response extension: the request changed nothing and can be executed again. No response is stored; the key only makes
/// a second request fail while the first is being processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SafeToRetry;

/// Middleware for idempotency keys. It must run after authentication, because keys belong to a caller.
pub(crate) async fn handle_idempotency_key(
    State(gate): State<Arc<dyn Gate>>,
    State(settings): State<Arc<GatewaySettings>>,
    State(tasks): State<TaskTracker>,
    info: RequestInfo,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(key::IDEMPOTENCY_KEY) {
        return next.run(request).await;
    }
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return ApiError::from_kind(ErrorKind::Unauthenticated).into_response();
    };
    let handler = KeyedRequestHandler { gate, caller, settings, tasks };
    handler.run(info, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

/// The context in which a request with an idempotency key is handled.
struct KeyedRequestHandler {
    gate: Arc<dyn Gate>,
    caller: Caller,
    settings: Arc<GatewaySettings>,
    tasks: TaskTracker,
}

impl KeyedRequestHandler {
    async fn run(self, info: RequestInfo, request: Request, next: Next) -> Result<Response, ApiError> {
        let key = key::parse(request.headers())?;
        let (body_sha256, request) = body_digest(request, self.settings.max_json_bytes).await?;
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let mut keyed_request =
            KeyedRequest { key, method: request.method().to_string(), path_and_query: target, body_sha256 };
        let (status, request) = match self.gate.claim(&self.caller, &keyed_request).await? {
            KeyStatus::BodyRequired => {
                keyed_request.body_sha256 = Some(self.form_digest(request).await?);
                (self.gate.claim(&self.caller, &keyed_request).await?, None)
            }
            status => (status, Some(request)),
        };
        match (status, request) {
            (KeyStatus::New, Some(request)) => Ok(FirstRequest { gate: self.gate, caller: self.caller, keyed_request }
                .run(request, next, &self.tasks)
                .await),
            (KeyStatus::New, None) => {
                // The stored outcome expired while the form was read again.
                self.gate.release(&self.caller, &keyed_request).await?;
                Err(conflict_error("idempotency_in_progress", "The key has just expired; send the request again."))
            }
            (KeyStatus::Completed(StoredOutcome::Response(stored)), _) => {
                let keep_alive_interval = self.settings.keep_alive_interval;
                Replay { gate: &*self.gate, caller: &self.caller, info, keep_alive_interval }.respond(stored).await
            }
            (KeyStatus::Completed(StoredOutcome::ResponseNotStored), _) => Err(conflict_error(
                "idempotency_not_repeatable",
                "The request succeeded; its secret was shown only once. Use a new key to create another.",
            )),
            (KeyStatus::OtherRequest, _) => Err(ApiError {
                code: "idempotency_key_reused",
                ..ApiError::invalid_field(
                    "/Idempotency-Key",
                    "was used with a different request; each request needs its own key",
                )
            }),
            (KeyStatus::InProgress | KeyStatus::BodyRequired, _) => {
                Err(in_progress_error("The first request with this key is still being processed."))
            }
            (KeyStatus::OutcomeUnknown, _) => Err(conflict_error(
                "idempotency_outcome_unknown",
                "The server stopped while it processed the first request with this key. Check whether the request took \
                 effect; if not, send it with a new key.",
            )),
        }
    }

    /// Reads the form of a repeated request to compute its digest. Fails if that takes longer than the timeout.
    async fn form_digest(&self, request: Request) -> Result<[u8; 32], ApiError> {
        let form = multipart::open(request, Some(FormDigest::default())).await?;
        let digest = multipart::compute_digest(form, self.settings.max_upload_bytes);
        let digest = tokio::time::timeout(self.settings.form_digest_timeout, digest).await.unwrap_or_default();
        digest.ok_or_else(|| {
            ApiError::new(ErrorKind::Malformed, "The form was interrupted, sent too slowly, or is too large.")
        })
    }
}

/// Returns the SHA-256 digest of the request's body, and the request with the body restored. The digest is `None` for a
/// form, which may be large and is read only after the gate has authorized the command.
async fn body_digest(request: Request, limit: u64) -> Result<(Option<[u8; 32]>, Request), ApiError> {
    if is_form(request.headers()) {
        return Ok((None, request));
    }
    let (parts, body) = request.into_parts();
    let bytes = body::read_to_limit(body, &parts.headers, limit).await?;
    let digest = Sha256::digest(&bytes).into();
    Ok((Some(digest), Request::from_parts(parts, Body::from(bytes))))
}

fn is_form(headers: &HeaderMap) -> bool {
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    essence.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

/// A request whose key has not been used before.
struct FirstRequest {
    gate: Arc<dyn Gate>,
    caller: Caller,
    keyed_request: KeyedRequest,
}

impl FirstRequest {
    /// Processes the request in a separate task, so that it is completed and its response stored even if the client
    /// disconnects.
    async fn run(self, mut request: Request, next: Next, tasks: &TaskTracker) -> Response {
        let form_digest = FormDigest::default();
        if self.keyed_request.body_sha256.is_none() {
            request.extensions_mut().insert(form_digest.clone());
        }
        let task = async move {
            let response = next.run(request).await;
            self.store_outcome(response, &form_digest).await
        };
        tasks.spawn(task.instrument(Span::current())).await.unwrap_or_else(|_| {
            ApiError { cause: Some("a handler panicked".into()), ..ApiError::from_kind(ErrorKind::Internal) }
                .into_response()
        })
    }

    async fn store_outcome(mut self, response: Response, form_digest: &FormDigest) -> Response {
        let extensions = response.extensions();
        let succeeded = response.status().is_success() || extensions.get::<RunReference>().is_some();
        let had_effect = succeeded && extensions.get::<SafeToRetry>().is_none();
        let (outcome, response) = if had_effect { outcome_to_store(response).await } else { (None, response) };
        self.keyed_request.body_sha256 = self.keyed_request.body_sha256.or(form_digest.result());
        let result = match outcome {
            Some(outcome) => self.gate.complete(&self.caller, &self.keyed_request, outcome).await,
            None => self.gate.release(&self.caller, &self.keyed_request).await,
        };
        if let Err(error) = result {
            // The key stays claimed: a repeated request gets the error that the outcome is unknown.
            tracing::error!(%error, "failed to store the outcome of a request with an idempotency key");
        }
        response
    }
}

/// Returns the outcome to store for a successful response, and the response with its body restored.
async fn outcome_to_store(response: Response) -> (Option<StoredOutcome>, Response) {
    if response.extensions().get::<ContainsSecret>().is_some() {
        return (Some(StoredOutcome::ResponseNotStored), response);
    }
    if let Some(reference) = response.extensions().get::<RunReference>().and_then(RunReference::to_stored_response) {
        return (Some(StoredOutcome::Response(reference)), response);
    }
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_RESPONSE_BYTES).await else {
        // The request took effect, but its response cannot be replayed.
        let cause = Some("the response is too large to be stored".into());
        let error = ApiError { cause, ..ApiError::from_kind(ErrorKind::Internal) };
        return (Some(StoredOutcome::ResponseNotStored), error.into_response());
    };
    let headers = [CONTENT_TYPE, LOCATION].into_iter().filter_map(|name| {
        let value = parts.headers.get(&name)?.to_str().ok()?.to_owned();
        Some((name.to_string(), value))
    });
    let stored = StoredResponse { status: parts.status.as_u16(), headers: headers.collect(), body: bytes.to_vec() };
    (Some(StoredOutcome::Response(stored)), Response::from_parts(parts, Body::from(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[tokio::test]
    async fn a_response_with_a_secret_is_not_stored() {
        let mut response = (StatusCode::CREATED, "the token").into_response();
        response.extensions_mut().insert(ContainsSecret);
        let (outcome, response) = outcome_to_store(response).await;
        assert_eq!(outcome, Some(StoredOutcome::ResponseNotStored));
        assert_eq!(to_bytes(response.into_body(), 99).await.expect("a body"), "the token");
    }

    #[tokio::test]
    async fn a_response_is_stored_with_its_location() {
        let created = (StatusCode::CREATED, [(LOCATION, "/v1/things/1")], "{}").into_response();
        let (outcome, response) = outcome_to_store(created).await;
        let Some(StoredOutcome::Response(stored)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((stored.status, stored.body.as_slice()), (201, b"{}".as_slice()));
        assert!(stored.headers.contains(&("location".to_owned(), "/v1/things/1".to_owned())));
        assert_eq!(response.status(), StatusCode::CREATED);
    }

    #[test]
    fn a_form_is_recognized_by_its_media_type() {
        let headers = |value: &'static str| HeaderMap::from_iter([(CONTENT_TYPE, value.parse().expect("a value"))]);
        assert!(is_form(&headers("Multipart/Form-Data; boundary=x")));
        assert!(!is_form(&headers("application/json")));
    }
}
