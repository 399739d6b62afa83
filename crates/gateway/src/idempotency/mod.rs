//! Repeated requests: a POST with an `Idempotency-Key` has its effect once, however often it is sent.
//!
//! The first request runs to its end even if its client hangs up, since that client is the one who will ask again. Only
//! what had an effect is kept: a success, and a turn that had begun. Another failure is not; repeating it does no harm, and
//! may do some good.

mod digest;
mod key;
mod replay;

pub(crate) use digest::FormDigest;
pub(crate) use replay::RunReference;

use crate::app::App;
use crate::body;
use crate::error::ApiError;
use crate::multipart;
use crate::trace::Here;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::error::ErrorKind;
use domain::idempotency::{StoredOutcome, StoredResponse};
use policy::caller::Caller;
use policy::gate::{Claim, KeyedRequest};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tracing::{Instrument, Span};

/// Largest answer that is kept. What creates something answers in far less.
const MAX_ANSWER: usize = 4 << 20;
/// When to ask again for a request that is at work.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// A mark on a response: it shows a secret, once. That it was given is kept, and the answer is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownOnce;

/// A mark on a response: what it shows changed nothing and may be done again. Nothing of it is kept, and the key guards
/// against a second one only while the first is at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeatable;

/// Whether a POST to this route changes something. What only reads is not kept.
pub(crate) fn is_kept(route: &str) -> bool {
    !matches!(route, "/v1/search" | "/v1/admin/decisions/simulate" | "/openai/v1/embeddings")
}

/// The layer, behind authentication.
pub(crate) async fn idempotent(State(app): State<App>, here: Here, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let keyed = request.method() == Method::POST && request.headers().contains_key(key::IDEMPOTENCY_KEY);
    if !keyed || !is_kept(route) {
        return next.run(request).await;
    }
    once(app, here, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn once(app: App, here: Here, request: Request, next: Next) -> Result<Response, ApiError> {
    let key = key::parse(request.headers())?;
    let by = request.extensions().get::<Caller>().cloned();
    let by = by.ok_or_else(|| ApiError::of(ErrorKind::Unauthenticated))?;
    let (content, request) = content(request, app.settings.max_json_bytes).await?;
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let mut keyed = KeyedRequest { key, method: request.method().to_string(), target, content };
    let (claim, request) = match app.idempotency.claim(&by, &keyed).await? {
        Claim::Unread => {
            keyed.content = Some(form_digest(request, &app).await?);
            (app.idempotency.claim(&by, &keyed).await?, None)
        }
        claim => (claim, Some(request)),
    };
    match (claim, request) {
        (Claim::First, Some(request)) => Ok(Turn { app, by, keyed }.run(request, next).await),
        (Claim::First, None) => {
            // It expired while its form was being read again.
            app.idempotency.release(&by, &keyed).await?;
            Err(conflict("idempotency_in_progress", "The key has just expired; send the request again."))
        }
        (Claim::Done(StoredOutcome::Response(answer)), _) => replay::replay(&app, &by, here, answer).await,
        (Claim::Done(StoredOutcome::SecretShown), _) => Err(conflict(
            "idempotency_not_repeatable",
            "The request succeeded, and its answer held a secret that is shown once; use a new key to get another.",
        )),
        (Claim::Other, _) => Err(ApiError {
            code: "idempotency_key_reused",
            ..ApiError::field("/Idempotency-Key", "was used with another request; each request needs a key of its own")
        }),
        (Claim::Running | Claim::Unread, _) => Err(ApiError {
            retry_after: Some(ASK_AGAIN),
            ..conflict("idempotency_in_progress", "The first request with this key is still at work.")
        }),
        (Claim::Unknown, _) => Err(conflict(
            "idempotency_outcome_unknown",
            "The server stopped while the first request with this key was at work. See whether it had its effect, and \
             use a new key if not.",
        )),
    }
}

/// A digest of the request's body, unless it is a form: that may be large and is read only once the gate agrees.
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

async fn form_digest(request: Request, app: &App) -> Result<[u8; 32], ApiError> {
    let source = multipart::open(request, app, Some(FormDigest::default())).await?;
    let digest = multipart::digest(source, app.settings.max_upload_bytes);
    let digest = tokio::time::timeout(app.settings.upload_limit, digest).await.unwrap_or_default();
    digest.ok_or_else(|| {
        ApiError::new(ErrorKind::Malformed, "The form broke off, took too long, or is larger than allowed.")
    })
}

/// The first request with its key.
struct Turn {
    app: App,
    by: Caller,
    keyed: KeyedRequest,
}

impl Turn {
    /// Runs it as a task of its own: a client that hangs up does not cut it off before its answer is kept.
    async fn run(self, mut request: Request, next: Next) -> Response {
        let form = FormDigest::default();
        if self.keyed.content.is_none() {
            request.extensions_mut().insert(form.clone());
        }
        let tasks = self.app.tasks.clone();
        let work = async move {
            let response = next.run(request).await;
            self.close(response, &form).await
        };
        tasks.spawn(work.instrument(Span::current())).await.unwrap_or_else(|_| {
            ApiError { cause: Some("a handler panicked".into()), ..ApiError::of(ErrorKind::Internal) }.into_response()
        })
    }

    async fn close(mut self, response: Response, form: &FormDigest) -> Response {
        let had = response.status().is_success() || response.extensions().get::<RunReference>().is_some();
        let has_effect = had && response.extensions().get::<Repeatable>().is_none();
        let kept = if has_effect { keep(response).await } else { (None, response) };
        self.keyed.content = self.keyed.content.or(form.result());
        let closed = match kept.0 {
            Some(kept) => self.app.idempotency.settle(&self.by, &self.keyed, kept).await,
            None => self.app.idempotency.release(&self.by, &self.keyed).await,
        };
        if let Err(error) = closed {
            // The key stays claimed: whoever asks again is told that the outcome is not known.
            tracing::error!(%error, "what came of a request with an idempotency key could not be kept");
        }
        kept.1
    }
}

/// What is kept of a success, and the response again.
async fn keep(response: Response) -> (Option<StoredOutcome>, Response) {
    if response.extensions().get::<ShownOnce>().is_some() {
        return (Some(StoredOutcome::SecretShown), response);
    }
    if let Some(answer) = response.extensions().get::<RunReference>().and_then(RunReference::stored) {
        return (Some(StoredOutcome::Response(answer)), response);
    }
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_ANSWER).await else {
        // It had its effect, and cannot be given again.
        let cause = Some("an answer is too large to be kept".into());
        return (
            Some(StoredOutcome::SecretShown),
            ApiError { cause, ..ApiError::of(ErrorKind::Internal) }.into_response(),
        );
    };
    let headers = [CONTENT_TYPE, LOCATION].into_iter().filter_map(|name| {
        let value = parts.headers.get(&name)?.to_str().ok()?.to_owned();
        Some((name.to_string(), value))
    });
    let answer = StoredResponse { status: parts.status.as_u16(), headers: headers.collect(), body: bytes.to_vec() };
    (Some(StoredOutcome::Response(answer)), Response::from_parts(parts, Body::from(bytes)))
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
        let (kept, response) = keep(shown).await;
        assert_eq!(kept, Some(StoredOutcome::SecretShown));
        assert_eq!(to_bytes(response.into_body(), 99).await.expect("a body"), "the token");
    }

    #[tokio::test]
    async fn an_answer_is_kept_with_its_location() {
        let made = (StatusCode::CREATED, [(LOCATION, "/v1/things/1")], "{}").into_response();
        let (kept, response) = keep(made).await;
        let Some(StoredOutcome::Response(answer)) = kept else { panic!("{kept:?}") };
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
