//! Where the access tokens of requests come from.

use crate::error::CliError;
use futures::future::BoxFuture;
use secrecy::SecretString;

/// A source of access tokens.
pub trait TokenSource {
    /// Returns the token to send.
    ///
    /// # Errors
    /// [`CliError::NotSignedIn`] if there is none.
    fn token(&self) -> BoxFuture<'_, Result<SecretString, CliError>>;

    /// Returns a new token after the platform has rejected `rejected`; `None` if there is no other token.
    ///
    /// # Errors
    /// If the issuer cannot be reached.
    fn token_after_rejection<'a>(
        &'a self,
        rejected: &'a SecretString,
    ) -> BoxFuture<'a, Result<Option<SecretString>, CliError>>;
}
