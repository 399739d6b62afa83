//! Token sources for requests: the token from the environment, or a stored login that is refreshed when it expires.

use super::store::{CredentialStore, StoredTokens};
use crate::api::{BaseUrl, TokenSource};
use crate::error::CliError;
use chrono::TimeDelta;
use domain::ports::Clock;
use futures::future::{BoxFuture, FutureExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

/// A token that expires within this time is refreshed before it is sent, so that it does not expire in transit.
const EXPIRY_MARGIN: TimeDelta = TimeDelta::seconds(30);

/// A token source with a token that is not refreshed.
pub struct FixedTokenSource(pub SecretString);

/// A token source without a token, for a user who is not signed in.
pub struct NoTokenSource;

/// A token source with a stored login, which it refreshes.
pub struct RefreshingTokenSource {
    /// Stores refreshed tokens.
    pub store: CredentialStore,
    /// The platform that the login is for.
    pub address: BaseUrl,
    /// Client for requests to the issuer.
    pub http: reqwest::Client,
    /// Tells when a token expires.
    pub clock: Box<dyn Clock>,
    /// The current tokens.
    pub login: Mutex<StoredTokens>,
}

impl TokenSource for FixedTokenSource {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, CliError>> {
        std::future::ready(Ok(self.0.clone())).boxed()
    }

    fn token_after_rejection<'a>(
        &'a self,
        _rejected: &'a SecretString,
    ) -> BoxFuture<'a, Result<Option<SecretString>, CliError>> {
        std::future::ready(Ok(None)).boxed()
    }
}

impl TokenSource for NoTokenSource {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, CliError>> {
        let text = "not signed in: run `platform login`, or set PLATFORM_TOKEN";
        std::future::ready(Err(CliError::NotSignedIn(text.to_owned()))).boxed()
    }

    fn token_after_rejection<'a>(
        &'a self,
        _rejected: &'a SecretString,
    ) -> BoxFuture<'a, Result<Option<SecretString>, CliError>> {
        std::future::ready(Ok(None)).boxed()
    }
}

impl TokenSource for RefreshingTokenSource {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, CliError>> {
        async move {
            let mut login = self.login.lock().await;
            let expires_soon = login.expires_at.is_some_and(|at| at <= self.clock.now() + EXPIRY_MARGIN);
            if expires_soon && let Some(refreshed) = self.refresh(&login).await? {
                *login = refreshed;
            }
            Ok(SecretString::from(login.access_token.as_str()))
        }
        .boxed()
    }

    fn token_after_rejection<'a>(
        &'a self,
        rejected: &'a SecretString,
    ) -> BoxFuture<'a, Result<Option<SecretString>, CliError>> {
        async move {
            let mut login = self.login.lock().await;
            if login.access_token == rejected.expose_secret() {
                let Some(refreshed) = self.refresh(&login).await? else { return Ok(None) };
                *login = refreshed;
            }
            Ok(Some(SecretString::from(login.access_token.as_str())))
        }
        .boxed()
    }
}

impl RefreshingTokenSource {
    /// Gets new tokens with the refresh token; `None` if there is none. Issuers that rotate refresh tokens accept each
    /// only once, so if another process has already refreshed, its stored tokens are returned.
    async fn refresh(&self, old: &StoredTokens) -> Result<Option<StoredTokens>, CliError> {
        let locked_store = self.store.lock()?;
        if let Some(login) = locked_store.login(&self.address)?
            && login.access_token != old.access_token
        {
            return Ok(Some(login));
        }
        let (Some(client), Some(refresh_token)) = (&old.client, &old.refresh_token) else { return Ok(None) };
        let login = client.refresh(&self.http, refresh_token, self.clock.as_ref()).await?;
        locked_store.save_renewed(&self.address, login.clone())?;
        Ok(Some(login))
    }
}
