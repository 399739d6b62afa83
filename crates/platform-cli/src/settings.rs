//! Settings from the environment: the token, and the directory for stored logins.
//!
//! The token is not an argument, because other users of the machine can read the arguments of a process.

use crate::error::CliError;
use chrono::{DateTime, Utc};
use domain::ports::Clock;
use etcetera::base_strategy::{BaseStrategy as _, Xdg};
use secrecy::SecretString;
use std::path::PathBuf;

/// Environment variable with an access token, which is used instead of a stored one.
pub const TOKEN_VARIABLE: &str = "PLATFORM_TOKEN";

/// The token from the environment; `None` if the variable is not set or empty.
///
/// # Errors
/// If it contains characters that are not allowed in tokens. The message does not repeat it.
#[expect(clippy::disallowed_methods, reason = "the settings of this program come from its user's environment")]
pub fn token() -> Result<Option<SecretString>, CliError> {
    match std::env::var(TOKEN_VARIABLE) {
        Ok(token) if token.trim().is_empty() => Ok(None),
        Ok(token) => parse_token(&token).map(Some),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(CliError::Usage(format!("{TOKEN_VARIABLE} is not a token"))),
    }
}

/// Removes the white space around a token and checks its characters.
///
/// # Errors
/// If it contains characters that are not allowed in tokens, or is empty. The message does not repeat it.
pub fn parse_token(token: &str) -> Result<SecretString, CliError> {
    let token = token.trim();
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        let text = "the given token is invalid: it is empty, or contains white space or other invalid characters";
        return Err(CliError::Usage(text.to_owned()));
    }
    Ok(SecretString::from(token))
}

/// Returns the directory for the state of this program, such as stored logins.
///
/// # Errors
/// If the user has no home directory.
pub fn state_dir() -> Result<PathBuf, CliError> {
    let strategy =
        Xdg::new().map_err(|error| CliError::failed_locally("no directory for the login was found", error))?;
    Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("platform"))
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place: everything else takes a Clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn white_space_around_a_token_is_removed() {
        assert_eq!(parse_token(" a.b-c_d~ \n").unwrap().expose_secret(), "a.b-c_d~");
    }

    #[test]
    fn an_invalid_token_is_refused_without_repeating_it() {
        for wrong in ["", " \n", "secret words", "secret\u{e9}", "secret\u{7}"] {
            let error = parse_token(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
