//! Who calls: authenticates the bearer token and applies the rate limits of user and tenant.

use crate::error::ApiError;
use crate::load::InFlightGuard;
use crate::peer_limit;
use crate::rate_limit::{self, Ask, RateKey, RateLimiter};
use crate::request_info::RequestInfo;
use crate::settings::GatewaySettings;
use crate::trace::record_tenant;
use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::command::Command;
use domain::error::ErrorKind;
use policy::caller::{Caller, Origin};
use policy::gate::{Execute, Gate};
use std::sync::Arc;

/// What every handler behind authentication needs: the caller, the gate, and which request this is.
pub(crate) struct Call {
    gate: Arc<dyn Gate>,
    /// Who calls.
    pub(crate) caller: Caller,
    /// Which request this is.
    pub(crate) info: RequestInfo,
    in_flight: Option<InFlightGuard>,
}

impl Call {
    /// Executes a command on the caller's behalf: decided, recorded and carried out by the gate.
    pub(crate) async fn execute<C>(&self, command: C) -> Result<C::Output, ApiError>
    where
        C: Command,
        dyn Gate: Execute<C>,
    {
        Ok(Execute::<C>::execute(&*self.gate, &self.caller, command).await?)
    }

    /// Stops counting the request as in flight: from here on it waits for something that has a limit of its own.
    pub(crate) fn release_in_flight(&self) {
        if let Some(guard) = &self.in_flight {
            guard.release();
        }
    }
}

impl<S> FromRequestParts<S> for Call
where
    S: Sync,
    Arc<dyn Gate>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // The layer below puts the caller there; without it the request fails closed.
        let caller =
            parts.extensions.get::<Caller>().cloned().ok_or_else(|| ApiError::of(ErrorKind::Unauthenticated))?;
        let info = RequestInfo::from_request_parts(parts, state).await?;
        let in_flight = parts.extensions.get::<InFlightGuard>().cloned();
        Ok(Self { gate: Arc::from_ref(state), caller, info, in_flight })
    }
}

/// The layer around every protected route: authenticates and applies the rate limits before the body is read.
pub(crate) async fn authenticate(
    State(gate): State<Arc<dyn Gate>>,
    State(limiter): State<Arc<dyn RateLimiter>>,
    State(settings): State<Arc<GatewaySettings>>,
    info: RequestInfo,
    mut request: Request,
    next: Next,
) -> Response {
    let token = bearer(request.headers());
    let without_token = token.is_none();
    let peer = peer_limit::peer(&request, settings.behind_proxy).map(peer_limit::network);
    let caller = match gate.authenticate(token, Origin { request: info.request_id, peer }).await {
        Ok(caller) => caller,
        Err(error) => {
            return ApiError { without_token, ..error.into() }.into_response();
        }
    };
    record_tenant(caller.tenant().id);
    let windows = windows(&caller);
    request.extensions_mut().insert(caller);
    if !settings.rate_limit_enabled {
        return next.run(request).await;
    }
    let decision = limiter.check(&windows).await;
    let mut response = match decision.retry_after {
        Some(after) => rate_limit::refusal(after).into_response(),
        None => next.run(request).await,
    };
    rate_limit::write_headers(&decision, response.headers_mut());
    response
}

/// The rate limit windows that a caller's request counts against.
fn windows(caller: &Caller) -> Vec<Ask> {
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
