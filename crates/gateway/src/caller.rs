//! Who calls: the bearer token becomes a verified caller, whose requests are then counted.

use crate::app::App;
use crate::error::ApiError;
use crate::load::InHand;
use crate::peer_limit;
use crate::rate_limit::{self, Ask, RateKey};
use crate::trace::{Here, record_tenant};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::error::ErrorKind;
use policy::caller::{Caller, Origin};
use policy::gate::{AdminGate, Gate, ModelGate};
use std::sync::Arc;

/// What every handler behind authentication needs: who calls, the way down, and which request this is.
pub(crate) struct Call {
    /// The way down.
    pub(crate) gate: Arc<dyn Gate>,
    /// The way down for administration.
    pub(crate) admin: Arc<dyn AdminGate>,
    /// The way down for clients of the OpenAI-compatible surface.
    pub(crate) models: Arc<dyn ModelGate>,
    /// Who calls.
    pub(crate) caller: Caller,
    /// Which request this is.
    pub(crate) here: Here,
    in_hand: Option<InHand>,
}

impl Call {
    /// From here on the request waits for something that has a limit of its own.
    pub(crate) fn rest(&self) {
        self.in_hand.iter().for_each(InHand::rest);
    }
}

impl FromRequestParts<App> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        // The layer below puts the caller there; without it the request fails closed.
        let caller =
            parts.extensions.get::<Caller>().cloned().ok_or_else(|| ApiError::of(ErrorKind::Unauthenticated))?;
        let here = Here::from_request_parts(parts, app).await?;
        let in_hand = parts.extensions.get::<InHand>().cloned();
        let (gate, admin, models) = (Arc::clone(&app.gate), Arc::clone(&app.admin), Arc::clone(&app.models));
        Ok(Self { gate, admin, models, caller, here, in_hand })
    }
}

/// The layer around every protected route: authenticates, then counts, before anything of the body is read.
pub(crate) async fn authenticate(State(app): State<App>, here: Here, mut request: Request, next: Next) -> Response {
    let token = bearer(request.headers());
    let without_token = token.is_none();
    let peer = peer_limit::peer(&request, app.settings.behind_proxy).map(peer_limit::network);
    let caller = match app.gate.authenticate(token, Origin { request: here.request_id, peer }).await {
        Ok(caller) => caller,
        Err(error) => {
            return ApiError { without_token, ..error.into() }.into_response();
        }
    };
    record_tenant(caller.tenant().id);
    let asked = asked(&caller);
    request.extensions_mut().insert(caller);
    if !app.settings.rate_limit_enabled {
        return next.run(request).await;
    }
    let decision = app.limiter.check(&asked).await;
    let mut response = match decision.retry_after {
        Some(after) => rate_limit::refusal(after).into_response(),
        None => next.run(request).await,
    };
    rate_limit::write_headers(&decision, response.headers_mut());
    response
}

/// The windows that a caller's request counts against.
fn asked(caller: &Caller) -> Vec<Ask> {
    let tenant = caller.tenant();
    let key = RateKey { tenant: tenant.id, user: caller.user().id };
    let mut asked = Vec::from(Ask::of_user(key, caller.rate_tier()));
    asked.extend(tenant.settings.quotas.requests_per_day.map(|per_day| Ask::of_tenant(tenant.id, per_day)));
    asked
}

/// The token of `Authorization: Bearer …` (RFC 6750). Two such headers are an empty token, which nothing accepts:
/// which of them a proxy before us looked at is unknown.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return Some(String::new());
    }
    let (scheme, token) = first.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
        }
        headers
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_two_tokens_are_none() {
        assert_eq!(bearer(&with(&["bearer  abc"])), Some("abc".to_owned()));
        assert_eq!(bearer(&with(&["Basic abc"])), None);
        assert_eq!(bearer(&with(&[])), None);
        assert_eq!(bearer(&with(&["Bearer a", "Bearer b"])), Some(String::new()));
    }
}
