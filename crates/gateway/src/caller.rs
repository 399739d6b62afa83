//! Authenticates the bearer token and applies the rate limits of user and tenant.

use crate::error::ApiError;
use crate::load_shedding::InFlightGuard;
use crate::peer_limit;
use crate::rate_limit::{self, QuotaPolicy, RateLimiter};
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
use policy::caller::{Caller, RequestOrigin};
use policy::gate::{Execute, Gate};
use std::sync::Arc;

/// Extractor for handlers behind authentication. Provides the caller, the gate, and the request's id and path.
pub(crate) struct AuthenticatedRequest {
    gate: Arc<dyn Gate>,
    pub(crate) caller: Caller,
    pub(crate) info: RequestInfo,
    in_flight: Option<InFlightGuard>,
}

impl AuthenticatedRequest {
    /// Executes a command on the caller's behalf. The gate authorizes, audits and runs it.
    pub(crate) async fn execute<C>(&self, command: C) -> Result<C::Output, ApiError>
    where
        C: Command,
        dyn Gate: Execute<C>,
    {
        Ok(Execute::<C>::execute(&*self.gate, &self.caller, command).await?)
    }

    /// Stops counting the request as in flight. For requests that then wait for work that has its own limit.
    pub(crate) fn release_in_flight(&self) {
        if let Some(guard) = &self.in_flight {
            guard.release();
        }
    }
}

impl<S> FromRequestParts<S> for AuthenticatedRequest
where
    S: Sync,
    Arc<dyn Gate>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // `authenticate` inserts the caller. A route without that layer fails closed.
        let caller =
            parts.extensions.get::<Caller>().cloned().ok_or_else(|| ApiError::from_kind(ErrorKind::Unauthenticated))?;
        let info = RequestInfo::from_request_parts(parts, state).await?;
        let in_flight = parts.extensions.get::<InFlightGuard>().cloned();
        Ok(Self { gate: Arc::from_ref(state), caller, info, in_flight })
    }
}

/// Middleware of all protected routes: authenticates and applies the rate limits before the body is read.
pub(crate) async fn authenticate(
    State(gate): State<Arc<dyn Gate>>,
    State(limiter): State<Arc<dyn RateLimiter>>,
    State(settings): State<Arc<GatewaySettings>>,
    info: RequestInfo,
    mut request: Request,
    next: Next,
) -> Response {
    let token = bearer_token(request.headers());
    let is_token_missing = token.is_none();
    let peer = peer_limit::peer_address(&request, settings.behind_proxy).map(peer_limit::peer_network);
    let caller = match gate.authenticate(token, RequestOrigin { request: info.request_id, peer }).await {
        Ok(caller) => caller,
        Err(error) => {
            return ApiError { is_token_missing, ..error.into() }.into_response();
        }
    };
    record_tenant(caller.tenant().id);
    let policies = quota_policies(&caller);
    request.extensions_mut().insert(caller);
    if !settings.rate_limit_enabled {
        return next.run(request).await;
    }
    let decision = limiter.check(&policies).await;
    let mut response = match decision.retry_after {
        Some(retry_after) => rate_limit::rate_limited(retry_after).into_response(),
        None => next.run(request).await,
    };
    rate_limit::write_headers(&decision, response.headers_mut());
    response
}

/// Returns the quota policies that the caller's requests count against.
fn quota_policies(caller: &Caller) -> Vec<QuotaPolicy> {
    let tenant = caller.tenant();
    let mut policies = Vec::from(QuotaPolicy::for_user(tenant.id, caller.user().id, caller.rate_limit()));
    policies.extend(tenant.settings.quotas.requests_per_day.map(|per_day| QuotaPolicy::for_tenant(tenant.id, per_day)));
    policies
}

/// Returns the token of `Authorization: Bearer …` (RFC 6750). If there are two such headers, returns an empty token,
/// which is never valid: a proxy may have checked the other header.
fn bearer_token(headers: &HeaderMap) -> Option<String> {
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

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
        }
        headers
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_two_headers_are_an_invalid_token() {
        assert_eq!(bearer_token(&headers(&["bearer  abc"])), Some("abc".to_owned()));
        assert_eq!(bearer_token(&headers(&["Basic abc"])), None);
        assert_eq!(bearer_token(&headers(&[])), None);
        assert_eq!(bearer_token(&headers(&["Bearer a", "Bearer b"])), Some(String::new()));
    }
}
