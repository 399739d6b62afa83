//! Repeated requests: a POST with an `Idempotency-Key` has its effect once, however often it is sent.
//!
//! The first request runs to its end even if its client hangs up, since that client will ask again. Only what had an
//! effect is stored: a success, or a turn that had begun. Other failures are not, since repeating them does no harm.

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
use domain::error::ErrorKind;
use domain::idempotency::{StoredOutcome, StoredResponse};
use policy::caller::Caller;
use policy::gate::{Gate, KeyStatus, KeyedRequest};
use replay::Replay;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

/// Largest response that is stored, in bytes. Whatever creates something answers in far less.
const MAX_RESPONSE: usize = 4 << 20;
/// `Retry-After` while the first request is being processed.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Response extension: the response shows a secret, once. Only the fact of its success is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownOnce;

/// Response extension: the request changed nothing and may be repeated. Nothing is stored, and the key only guards
/// against a second request while the first is being processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeatable;

/// The layer, behind authentication.
pub(crate) async fn idempotent(
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
    let Some(by) = request.extensions().get::<Caller>().cloned() else {
        return ApiError::of(ErrorKind::Unauthenticated).into_response();
    };
    let layer = KeyedCall { gate, by, settings, tasks };
    layer.run(info, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

/// A request with an idempotency key, on its way through the layer.
struct KeyedCall {
    gate: Arc<dyn Gate>,
    by: Caller,
    settings: Arc<GatewaySettings>,
    tasks: TaskTracker,
}

impl KeyedCall {
    async fn run(self, info: RequestInfo, request: Request, next: Next) -> Result<Response, ApiError> {
        let key = key::parse(request.headers())?;
        let (content, request) = content(request, self.settings.max_json_bytes).await?;
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let mut keyed = KeyedRequest { key, method: request.method().to_string(), target, content };
        let (status, request) = match self.gate.claim(&self.by, &keyed).await? {
            KeyStatus::BodyNeeded => {
                keyed.content = Some(self.form_digest(request).await?);
                (self.gate.claim(&self.by, &keyed).await?, None)
            }
            status => (status, Some(request)),
        };
        match (status, request) {
            (KeyStatus::New, Some(request)) => {
                Ok(FirstRequest { gate: self.gate, by: self.by, keyed }.run(request, next, &self.tasks).await)
            }
            (KeyStatus::New, None) => {
                // The stored outcome expired while the form was read again.
                self.gate.release(&self.by, &keyed).await?;
                Err(conflict("idempotency_in_progress", "The key has just expired; send the request again."))
            }
            (KeyStatus::Completed(StoredOutcome::Response(stored)), _) => {
                let keep_alive = self.settings.keep_alive;
                Replay { gate: &*self.gate, by: &self.by, info, keep_alive }.respond(stored).await
            }
            (KeyStatus::Completed(StoredOutcome::SecretShown), _) => Err(conflict(
                "idempotency_not_repeatable",
                "The request succeeded, and its answer held a secret that is shown once; use a new key to get another.",
            )),
            (KeyStatus::OtherRequest, _) => Err(ApiError {
                code: "idempotency_key_reused",
                ..ApiError::field(
                    "/Idempotency-Key",
                    "was used with another request; each request needs a key of its own",
                )
            }),
            (KeyStatus::InProgress | KeyStatus::BodyNeeded, _) => Err(ApiError {
                retry_after: Some(RETRY_AFTER),
                ..conflict("idempotency_in_progress", "The first request with this key is still at work.")
            }),
            (KeyStatus::OutcomeUnknown, _) => Err(conflict(
                "idempotency_outcome_unknown",
                "The server stopped while the first request with this key was at work. See whether it had its effect, \
                 and use a new key if not.",
            )),
        }
    }

    async fn form_digest(&self, request: Request) -> Result<[u8; 32], ApiError> {
        let source = multipart::open(request, Some(FormDigest::default())).await?;
        let digest = multipart::digest(source, self.settings.max_upload_bytes);
        let digest = tokio::time::timeout(self.settings.upload_limit, digest).await.unwrap_or_default();
        digest.ok_or_else(|| {
            ApiError::new(ErrorKind::Malformed, "The form broke off, took too long, or is larger than allowed.")
        })
    }
}

/// SHA-256 of the request's body, and the request again. `None` for a form: it may be large, and is read only after the
/// gate has let the command pass.
async fn content(request: Request, limit: u64) -> Result<(Option<[u8; 32]>, Request), ApiError> {
    if is_form(request.headers()) {
        return Ok((None, request));
    }
    let (parts, body) = request.into_parts();
    let bytes = body::read(body, &parts.headers, limit).await?;
    let digest = Sha256::digest(&bytes).into();
    Ok((Some(digest), Request::from_parts(parts, Body::from(bytes))))
}

fn is_form(headers: &HeaderMap) -> bool {
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    essence.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

/// The first request with its key.
struct FirstRequest {
    gate: Arc<dyn Gate>,
    by: Caller,
    keyed: KeyedRequest,
}

impl FirstRequest {
    /// Runs it in a task of its own: a client that hangs up does not cut it off before its response is stored.
    async fn run(self, mut request: Request, next: Next, tasks: &TaskTracker) -> Response {
        let form = FormDigest::default();
        if self.keyed.content.is_none() {
            request.extensions_mut().insert(form.clone());
        }
        let work = async move {
            let response = next.run(request).await;
            self.settle(response, &form).await
        };
        tasks.spawn(work.instrument(Span::current())).await.unwrap_or_else(|_| {
            ApiError { cause: Some("a handler panicked".into()), ..ApiError::of(ErrorKind::Internal) }.into_response()
        })
    }

    async fn settle(mut self, response: Response, form: &FormDigest) -> Response {
        let extensions = response.extensions();
        let succeeded = response.status().is_success() || extensions.get::<RunReference>().is_some();
        let had_effect = succeeded && extensions.get::<Repeatable>().is_none();
        let (outcome, response) = if had_effect { stored_outcome(response).await } else { (None, response) };
        self.keyed.content = self.keyed.content.or(form.result());
        let settled = match outcome {
            Some(outcome) => self.gate.settle(&self.by, &self.keyed, outcome).await,
            None => self.gate.release(&self.by, &self.keyed).await,
        };
        if let Err(error) = settled {
            // The key stays claimed: whoever repeats the request is told that its outcome is unknown.
            tracing::error!(%error, "the outcome of a request with an idempotency key could not be stored");
        }
        response
    }
}

/// What is stored of a success, and the response again.
async fn stored_outcome(response: Response) -> (Option<StoredOutcome>, Response) {
    if response.extensions().get::<ShownOnce>().is_some() {
        return (Some(StoredOutcome::SecretShown), response);
    }
    if let Some(reference) = response.extensions().get::<RunReference>().and_then(RunReference::stored) {
        return (Some(StoredOutcome::Response(reference)), response);
    }
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_RESPONSE).await else {
        // The request had its effect, and its response cannot be repeated.
        let cause = Some("the response is too large to be stored".into());
        let error = ApiError { cause, ..ApiError::of(ErrorKind::Internal) };
        return (Some(StoredOutcome::SecretShown), error.into_response());
    };
    let headers = [CONTENT_TYPE, LOCATION].into_iter().filter_map(|name| {
        let value = parts.headers.get(&name)?.to_str().ok()?.to_owned();
        Some((name.to_string(), value))
    });
    let stored = StoredResponse { status: parts.status.as_u16(), headers: headers.collect(), body: bytes.to_vec() };
    (Some(StoredOutcome::Response(stored)), Response::from_parts(parts, Body::from(bytes)))
}

fn conflict(code: &'static str, detail: &'static str) -> ApiError {
    ApiError { code, ..ApiError::new(ErrorKind::Conflict, detail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[tokio::test]
    async fn a_secret_is_given_once_and_kept_nowhere() {
        let mut shown = (StatusCode::CREATED, "the token").into_response();
        shown.extensions_mut().insert(ShownOnce);
        let (outcome, response) = stored_outcome(shown).await;
        assert_eq!(outcome, Some(StoredOutcome::SecretShown));
        assert_eq!(to_bytes(response.into_body(), 99).await.expect("a body"), "the token");
    }

    #[tokio::test]
    async fn an_answer_is_kept_with_its_location() {
        let made = (StatusCode::CREATED, [(LOCATION, "/v1/things/1")], "{}").into_response();
        let (outcome, response) = stored_outcome(made).await;
        let Some(StoredOutcome::Response(answer)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((answer.status, answer.body.as_slice()), (201, b"{}".as_slice()));
        assert!(answer.headers.contains(&("location".to_owned(), "/v1/things/1".to_owned())));
        assert_eq!(response.status(), StatusCode::CREATED);
    }

    #[test]
    fn a_form_is_told_from_its_type_alone() {
        let headers = |value: &'static str| HeaderMap::from_iter([(CONTENT_TYPE, value.parse().expect("a value"))]);
        assert!(is_form(&headers("Multipart/Form-Data; boundary=x")));
        assert!(!is_form(&headers("application/json")));
    }
}
