//! The errors of this program, and their exit codes.

use std::process::ExitCode;
use thiserror::Error;

/// Why a command failed. The text is for people and never contains a token.
#[derive(Debug, Error)]
pub enum CliError {
    /// The server rejected the request, or something failed on this machine.
    #[error("{0}")]
    Failed(String),
    /// The arguments or the environment are invalid.
    #[error("{0}")]
    Usage(String),
    /// There is no token, or the server does not accept it.
    #[error("{0}")]
    NotSignedIn(String),
    /// The platform wants a more recent sign-in for this.
    #[error("{0}")]
    StepUpRequired(String),
    /// The user is signed in but not allowed to do this.
    #[error("{0}")]
    Refused(String),
    /// The server, or the issuer of tokens, did not respond.
    #[error("{0}")]
    NotReachable(String),
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The reader of the output has closed it, as `head` does.
    #[error("the output was closed")]
    OutputClosed,
}

impl CliError {
    /// The exit code, as the manual page lists it.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::OutputClosed => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotSignedIn(_) | Self::StepUpRequired(_) => 3,
            Self::Refused(_) => 4,
            Self::NotReachable(_) => 5,
            Self::Interrupted => 130,
        })
    }

    /// An error on this machine, such as in the file system or the terminal. `what` says what failed.
    pub fn failed_locally(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }
}
