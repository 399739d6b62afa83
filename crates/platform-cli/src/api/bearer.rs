//! Where the tokens of requests come from.

use crate::error::CliError;
use futures::future::BoxFuture;
use secrecy::SecretString;

/// A source of access tokens.
pub trait Bearer {
    /// The token to show.
    ///
    /// # Errors
    /// [`CliError::NotSignedIn`] if there is none.
    fn token(&self) -> BoxFuture<'_, Result<SecretString, CliError>>;

    /// A token in place of one that the platform did not accept; `None` if there is no other.
    ///
    /// # Errors
    /// If the issuer cannot be reached.
    fn renewed<'a>(&'a self, refused: &'a SecretString) -> BoxFuture<'a, Result<Option<SecretString>, CliError>>;
}
