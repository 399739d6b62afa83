//! Why a tool of an MCP server could not be called. No error quotes the server.

use crate::egress::EgressError;
use domain::error::{Classify, ErrorKind};
use domain::ports::SealError;
use std::time::Duration;

/// Why an MCP server's tools could not be listed or called.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    /// The address is no URL.
    #[error("the address of the MCP server is not a URL")]
    InvalidUrl,
    /// The address may not be connected to, or has no host.
    #[error("the MCP server may not be connected to: {0}")]
    Egress(#[from] EgressError),
    /// The stored token cannot be read.
    #[error(transparent)]
    Token(#[from] SealError),
    /// The server did not answer in time.
    #[error("the MCP server did not answer within {} s", limit.as_secs())]
    TimedOut {
        /// The time limit.
        limit: Duration,
    },
    /// No connection, or the peer does not speak MCP.
    #[error("the MCP server cannot be reached, or does not speak MCP over streamable HTTP")]
    Unreachable,
    /// The server supports no revision of MCP that the platform supports.
    #[error("the MCP server speaks no revision of MCP that the platform knows")]
    UnknownRevision,
    /// The server rejects the credential.
    #[error("the MCP server refused the token")]
    Unauthorized,
    /// The server answered with an error of the protocol.
    #[error("the MCP server answered with the error {code}")]
    Rejected {
        /// Code of the JSON-RPC error.
        code: i32,
    },
    /// The connection broke off, or the answer was too large, after the call was sent.
    #[error("the answer of the MCP server broke off, or was larger than {} KiB", limit >> 10)]
    Interrupted {
        /// Maximum size of an answer, in bytes.
        limit: usize,
    },
    /// The tool requests input from the user, which is not supported.
    #[error("the tool asked for input, which the platform does not pass on")]
    NeedsInput,
    /// The server failed several times in a row.
    #[error("the MCP server failed several times and is left alone for a moment")]
    LeftAlone {
        /// Time until the next attempt.
        retry_after: Duration,
    },
    /// The definition is not the one that an administrator allowed.
    #[error("the tool is off: its definition has changed, and an administrator has not allowed the new one")]
    DefinitionChanged,
    /// The model has read content that must not be sent in the arguments of a call.
    #[error("what was read in this turn is classified above what may be sent to the MCP server")]
    ArgumentsAboveClassification,
    /// The server does not have the tool any more.
    #[error("the MCP server has no such tool any more")]
    Missing,
}

impl McpError {
    /// Whether the server is failing, as opposed to refusing a request.
    #[must_use]
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unreachable | Self::Interrupted { .. })
    }

    /// Stable code for the audit log and for programs.
    #[must_use]
    pub fn audit_code(&self) -> &'static str {
        match self {
            Self::InvalidUrl | Self::Egress(_) => "egress_refused",
            Self::Token(_) => "token_unreadable",
            Self::TimedOut { .. } => "timeout",
            Self::Unreachable | Self::UnknownRevision => "unreachable",
            Self::Unauthorized => "server_refused_token",
            Self::Rejected { .. } => "server_error",
            Self::Interrupted { .. } => "interrupted",
            Self::NeedsInput => "needs_input",
            Self::LeftAlone { .. } => "left_alone",
            Self::DefinitionChanged => "tool_changed",
            Self::Missing => "tool_missing",
            Self::ArgumentsAboveClassification => "arguments_above_classification",
        }
    }
}

impl Classify for McpError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::DefinitionChanged | Self::Missing => ErrorKind::Conflict,
            Self::ArgumentsAboveClassification => ErrorKind::Forbidden,
            Self::Token(source) => source.kind(),
            _ => ErrorKind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::DefinitionChanged | Self::Missing => self.audit_code(),
            other => other.kind().code(),
        }
    }

    fn public_detail(&self) -> Option<String> {
        if let Self::Egress(_) | Self::Token(_) = self {
            return Some("The MCP server cannot be used as it is set up; an administrator must look at it.".to_owned());
        }
        let mut sentence = self.to_string();
        // All messages begin with a lower-case ASCII letter.
        if let Some(first) = sentence.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Some(format!("{sentence}."))
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::LeftAlone { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}
