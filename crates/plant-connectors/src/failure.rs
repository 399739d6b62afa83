//! Error messages, which state the cause and the remedy.

use domain::plant::{CertificateThumbprint, ConnectorError};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// Maximum length of a plant system's text in an error, in characters.
const MAX_FOREIGN_TEXT: usize = 120;

pub fn configuration(detail: impl Into<String>) -> ConnectorError {
    ConnectorError::Configuration { detail: detail.into() }
}

pub fn unreachable(detail: impl Into<String>) -> ConnectorError {
    ConnectorError::Unreachable { detail: detail.into() }
}

pub fn access_denied(detail: impl Into<String>) -> ConnectorError {
    ConnectorError::AccessDenied { detail: detail.into() }
}

pub fn invalid_response(detail: impl Into<String>) -> ConnectorError {
    ConnectorError::InvalidResponse { detail: detail.into() }
}

pub fn untrusted(thumbprint: String) -> ConnectorError {
    ConnectorError::UntrustedCertificate { thumbprint: CertificateThumbprint(thumbprint) }
}

pub fn timed_out(limit: Duration) -> ConnectorError {
    ConnectorError::TimedOut { seconds: limit.as_secs().max(1) }
}

/// A connection that failed or broke.
pub fn io(error: &io::Error) -> ConnectorError {
    let detail = match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused; is the server running, and is the port right?",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => "the connection broke",
        ErrorKind::UnexpectedEof => "the server closed the connection",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no route to the server; ask for the network",
        ErrorKind::TimedOut => "the connection timed out; a firewall may drop it",
        _ => return unreachable(foreign(&error.to_string())),
    };
    unreachable(detail)
}

/// The innermost I/O error of an error, if there is one.
pub fn find_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    find(error)
}

/// The innermost error of a type within an error, if there is one.
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(current) = next {
        found = current.downcast_ref::<E>().or(found);
        next = current.source();
    }
    found
}

/// Text of a plant system, shortened and without control characters, so that an error can contain it.
pub fn foreign(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_FOREIGN_TEXT).collect();
    clean.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_short_line() {
        assert_eq!(foreign("bad\nthing\u{1b}[2J "), "bad thing [2J");
        assert_eq!(foreign(&"x".repeat(500)).len(), MAX_FOREIGN_TEXT);
    }

    #[test]
    fn a_refused_connection_says_what_to_look_at() {
        let error = io(&io::Error::from(ErrorKind::ConnectionRefused));
        assert!(error.to_string().contains("connection refused"), "{error}");
    }
}
