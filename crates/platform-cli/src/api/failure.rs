//! Failures below HTTP: no response, or an incomplete one.

use crate::error::CliError;
use std::error::Error;

/// Returns the error for a request without a response, or with an incomplete one. `server` is the URL of the server.
pub fn connection_error(server: &str, error: reqwest::Error) -> CliError {
    let error = error.without_url();
    if error.is_builder() {
        return CliError::failed_locally("the request cannot be built", error);
    }
    let timed_out = error.is_timeout();
    let reason = if timed_out { "it did not respond in time".to_owned() } else { root_cause(&error) };
    CliError::NotReachable(format!("{server} is not reachable: {reason}"))
}

/// Returns the innermost cause, which names the reason; the outer errors only say that something failed.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
