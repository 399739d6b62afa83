//! The OAuth issuer: discovery, sign-in flows, refreshing and revoking tokens.

use super::store::StoredTokens;
use crate::api::{BaseUrl, connection_error, is_secure_for_tokens};
use crate::error::CliError;
use chrono::{DateTime, Utc};
use domain::ports::Clock;
use futures::future::{BoxFuture, FutureExt as _};
use oauth2::basic::{BasicClient, BasicTokenResponse};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, CsrfToken, DeviceAuthorizationUrl,
    EmptyExtraDeviceAuthorizationFields, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardDeviceAuthorizationResponse,
    StandardErrorResponse, TokenResponse, TokenUrl,
};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Display;
use thiserror::Error;
use url::{Url, form_urlencoded};

/// Registration of this program at an issuer, stored with the tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OAuthClient {
    issuer: String,
    client_id: String,
    token_endpoint: Url,
    revocation_endpoint: Option<Url>,
    /// The scopes that were requested; `None` in a login that an earlier version stored.
    #[serde(default)]
    scope: Option<String>,
}

/// Whether the user must prove again who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// If the issuer wants it.
    AsNeeded,
    /// In any case, even if the browser is signed in at the issuer.
    SignIn,
}

/// An issuer whose discovery document was read.
#[derive(Debug)]
pub struct Issuer {
    http: reqwest::Client,
    client: OAuthClient,
    authorization_endpoint: Option<Url>,
    device_authorization_endpoint: Option<Url>,
}

/// A device flow that waits for the user to sign in on another device.
pub struct DeviceAuthorization(StandardDeviceAuthorizationResponse);

/// An authorization code flow that waits for the user to sign in with a browser.
pub struct BrowserSignIn {
    /// The URL to open in the browser.
    pub url: Url,
    state: CsrfToken,
    verifier: PkceCodeVerifier,
    redirect: RedirectUrl,
}

/// Parameters of the redirect that ends the sign-in in the browser.
#[derive(Default)]
pub struct AuthorizationResponse {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Discovery document (OpenID Connect Discovery 1.0), reduced to the fields that are used.
#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    token_endpoint: Url,
    authorization_endpoint: Option<Url>,
    device_authorization_endpoint: Option<Url>,
    revocation_endpoint: Option<Url>,
}

impl DiscoveryDocument {
    fn endpoints(&self) -> impl Iterator<Item = &Url> {
        let optional = [&self.authorization_endpoint, &self.device_authorization_endpoint, &self.revocation_endpoint];
        optional.into_iter().flatten().chain([&self.token_endpoint])
    }
}

#[derive(Debug, Error)]
enum HttpError {
    #[error(transparent)]
    Request(#[from] reqwest::Error),
    #[error(transparent)]
    Response(#[from] oauth2::http::Error),
}

type TokenClient = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

impl Issuer {
    /// Reads the discovery document of an issuer. Each of its endpoints must use HTTPS, unless it is on this machine or
    /// `allow_http` is set.
    ///
    /// # Errors
    /// If the issuer cannot be reached, or its document is not valid.
    pub async fn discover(
        http: reqwest::Client,
        address: &BaseUrl,
        client_id: String,
        allow_http: bool,
    ) -> Result<Self, CliError> {
        let url = address.join(".well-known/openid-configuration")?;
        let response = http.get(url).send().await.map_err(|error| connection_error(&address.to_string(), error))?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            return Err(CliError::Failed(format!("the issuer {address} has no discovery document: status {status}")));
        }
        let invalid_issuer = |why: &str| CliError::Failed(format!("{address} cannot be used as an issuer: {why}"));
        let found: DiscoveryDocument =
            response.json().await.map_err(|_| invalid_issuer("its discovery document is not valid"))?;
        if found.issuer.trim_end_matches('/') != address.to_string() {
            return Err(invalid_issuer(&format!("its discovery document is for the issuer {}", found.issuer)));
        }
        if !found.endpoints().all(|endpoint| is_secure_for_tokens(endpoint, allow_http)) {
            return Err(invalid_issuer("one of its endpoints is not encrypted"));
        }
        let DiscoveryDocument { issuer, token_endpoint, revocation_endpoint, .. } = found;
        Ok(Self {
            http,
            client: OAuthClient { issuer, client_id, token_endpoint, revocation_endpoint, scope: None },
            authorization_endpoint: found.authorization_endpoint,
            device_authorization_endpoint: found.device_authorization_endpoint,
        })
    }

    /// The issuer with the scopes that are requested from it, which are stored with the login.
    #[must_use]
    pub fn with_scope(mut self, scope: &str) -> Self {
        self.client.scope = Some(scope.to_owned());
        self
    }

    /// Begins the authorization code flow with PKCE (RFC 7636).
    ///
    /// # Errors
    /// If the issuer does not support it.
    pub fn begin_authorization_code_flow(
        &self,
        scope: &str,
        redirect: Url,
        prompt: Prompt,
    ) -> Result<BrowserSignIn, CliError> {
        let endpoint =
            self.authorization_endpoint.clone().ok_or_else(|| self.unsupported_flow_error("browser sign-in"))?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let redirect = RedirectUrl::from_url(redirect);
        let client = self.client.oauth().set_auth_uri(AuthUrl::from_url(endpoint));
        let mut request = client.authorize_url(CsrfToken::new_random).add_scopes(scopes(scope));
        if prompt == Prompt::SignIn {
            request = request.add_extra_param("prompt", "login").add_extra_param("max_age", "0");
        }
        let (url, state) = request.set_pkce_challenge(challenge).set_redirect_uri(Cow::Borrowed(&redirect)).url();
        Ok(BrowserSignIn { url, state, verifier, redirect })
    }

    /// Exchanges the authorization code of the redirect for tokens.
    ///
    /// # Errors
    /// If the redirect does not belong to this sign-in, or the issuer refuses the request.
    pub async fn finish_authorization_code_flow(
        &self,
        sign_in: BrowserSignIn,
        response: AuthorizationResponse,
        clock: &dyn Clock,
    ) -> Result<StoredTokens, CliError> {
        if response.state.as_deref() != Some(sign_in.state.secret()) {
            return Err(CliError::NotSignedIn("the redirect belongs to another sign-in; try again".to_owned()));
        }
        if let Some(error) = response.error {
            let detail = response.error_description.map(|detail| format!(": {detail}")).unwrap_or_default();
            return Err(CliError::NotSignedIn(format!("the issuer refused the sign-in ({error}{detail})")));
        }
        if response.iss.is_some_and(|issuer| issuer != self.client.issuer) {
            return Err(CliError::NotSignedIn("the redirect comes from a different issuer".to_owned()));
        }
        let code = response.code.ok_or_else(|| CliError::NotSignedIn("the redirect contains no code".to_owned()))?;
        let client = self.client.oauth();
        let request = client.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(sign_in.verifier);
        let request = request.set_redirect_uri(Cow::Borrowed(&sign_in.redirect));
        let tokens =
            request.request_async(&sender(&self.http)).await.map_err(|error| self.client.token_error(error))?;
        Ok(self.client.login(&tokens, None, clock.now()))
    }

    /// Begins the device flow (RFC 8628).
    ///
    /// # Errors
    /// If the issuer does not support it, or refuses the request.
    pub async fn begin_device_flow(&self, scope: &str) -> Result<DeviceAuthorization, CliError> {
        let endpoint = self.device_authorization_endpoint.clone();
        let endpoint = endpoint.ok_or_else(|| self.unsupported_flow_error("the device flow"))?;
        let client = self.client.oauth().set_device_authorization_url(DeviceAuthorizationUrl::from_url(endpoint));
        let request = client.exchange_device_code().add_scopes(scopes(scope));
        let response = request.request_async(&sender(&self.http)).await;
        response.map(DeviceAuthorization).map_err(|error| self.client.token_error(error))
    }

    /// Waits until the user has signed in on the other device.
    ///
    /// # Errors
    /// If the user refuses, or the code expires.
    pub async fn finish_device_flow(
        &self,
        code: &DeviceAuthorization,
        clock: &dyn Clock,
    ) -> Result<StoredTokens, CliError> {
        let client = self.client.oauth();
        let request = client.exchange_device_access_token::<EmptyExtraDeviceAuthorizationFields>(&code.0);
        let request = request.set_time_fn(|| clock.now());
        let tokens = request.request_async(&sender(&self.http), tokio::time::sleep, None).await;
        Ok(self.client.login(&tokens.map_err(|error| self.client.token_error(error))?, None, clock.now()))
    }

    fn unsupported_flow_error(&self, flow: &str) -> CliError {
        CliError::Failed(format!("the issuer {} does not support {flow}", self.client.issuer))
    }
}

impl AuthorizationResponse {
    /// Sets a parameter; unknown ones are ignored.
    pub fn set(&mut self, name: &str, value: String) {
        let field = match name {
            "code" => &mut self.code,
            "state" => &mut self.state,
            "iss" => &mut self.iss,
            "error" => &mut self.error,
            "error_description" => &mut self.error_description,
            _ => return,
        };
        *field = Some(value);
    }

    /// Whether the sign-in has ended, with a code or an error.
    pub fn has_result(&self) -> bool {
        self.code.is_some() || self.error.is_some()
    }
}

impl DeviceAuthorization {
    /// The URL to open on the other device.
    pub fn verification_uri(&self) -> &str {
        self.0.verification_uri().as_str()
    }

    /// The code to enter at that URL.
    pub fn user_code(&self) -> &str {
        self.0.user_code().secret()
    }
}

impl OAuthClient {
    /// The issuer's identifier, which is also its URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Id of this program at the issuer.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The scopes that were requested, if they are known.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// Gets a new access token for a refresh token.
    ///
    /// # Errors
    /// [`CliError::NotSignedIn`] if the issuer no longer accepts the refresh token.
    pub async fn refresh(
        &self,
        http: &reqwest::Client,
        refresh_token: &str,
        clock: &dyn Clock,
    ) -> Result<StoredTokens, CliError> {
        let token = RefreshToken::new(refresh_token.to_owned());
        let answer = self.oauth().exchange_refresh_token(&token).request_async(&sender(http)).await;
        Ok(self.login(&answer.map_err(|error| self.token_error(error))?, Some(refresh_token), clock.now()))
    }

    /// Revokes the refresh token (RFC 7009), if the issuer supports that. (Not with the `oauth2` crate, which requires
    /// HTTPS for this even if the issuer is on this machine.)
    ///
    /// # Errors
    /// If the issuer cannot be reached, or refuses the request.
    pub async fn revoke(&self, http: &reqwest::Client, refresh_token: &str) -> Result<(), CliError> {
        let Some(endpoint) = self.revocation_endpoint.clone() else { return Ok(()) };
        let pairs = [("token", refresh_token), ("token_type_hint", "refresh_token"), ("client_id", &self.client_id)];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = http.post(endpoint).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let response = request.send().await.map_err(|error| connection_error(&self.issuer, error))?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(CliError::Failed(format!("{} returned {}", self.issuer, response.status())))
    }

    fn oauth(&self) -> TokenClient {
        let client = BasicClient::new(ClientId::new(self.client_id.clone())).set_auth_type(AuthType::RequestBody);
        client.set_token_uri(TokenUrl::from_url(self.token_endpoint.clone()))
    }

    /// Converts a token response to a login. Without a new refresh token, the login keeps the old one.
    fn login(&self, tokens: &BasicTokenResponse, refresh_token: Option<&str>, now: DateTime<Utc>) -> StoredTokens {
        StoredTokens {
            access_token: tokens.access_token().secret().clone(),
            expires_at: tokens
                .expires_in()
                .and_then(|ttl| now.checked_add_signed(chrono::TimeDelta::from_std(ttl).ok()?)),
            refresh_token: tokens
                .refresh_token()
                .map(|token| token.secret().clone())
                .or(refresh_token.map(str::to_owned)),
            client: Some(self.clone()),
        }
    }

    fn token_error<T>(&self, error: RequestTokenError<HttpError, StandardErrorResponse<T>>) -> CliError
    where
        T: oauth2::ErrorResponseType + Display + 'static,
    {
        let issuer = &self.issuer;
        match error {
            RequestTokenError::ServerResponse(refusal) => {
                CliError::NotSignedIn(format!("{issuer} refused the request ({refusal}); run `platform login`"))
            }
            RequestTokenError::Request(HttpError::Request(error)) => connection_error(issuer, error),
            // The error is not shown, because it may contain tokens.
            RequestTokenError::Parse(..) => CliError::Failed(format!("{issuer} returned an invalid token response")),
            RequestTokenError::Request(HttpError::Response(_)) | RequestTokenError::Other(_) => {
                CliError::Failed(format!("{issuer} returned no token and no error"))
            }
        }
    }
}

fn scopes(scope: &str) -> impl Iterator<Item = Scope> {
    scope.split_whitespace().map(|scope| Scope::new(scope.to_owned()))
}

/// Adapts the HTTP client for the requests of the `oauth2` crate.
fn sender(
    http: &reqwest::Client,
) -> impl Fn(HttpRequest) -> BoxFuture<'static, Result<HttpResponse, HttpError>> + use<> {
    let http = http.clone();
    move |request| {
        let http = http.clone();
        async move {
            let response = http.execute(request.try_into()?).await?;
            let mut answer = oauth2::http::Response::builder().status(response.status());
            for (name, value) in response.headers() {
                answer = answer.header(name, value);
            }
            Ok(answer.body(response.bytes().await?.to_vec())?)
        }
        .boxed()
    }
}
