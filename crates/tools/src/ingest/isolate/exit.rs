//! Determines why a child exited without a result, from its exit status and standard error.

use super::child::{EXIT_INVALID_INPUT, EXIT_SANDBOX_FAILED};
use super::parser::ParseError;
use crate::ingest::readers::ReadError;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

/// Start of the message that a Rust program writes to standard error before it aborts after a failed allocation.
const OUT_OF_MEMORY_MESSAGE: &[u8] = b"memory allocation of ";
/// Exit status of a Rust program that panicked.
const EXIT_PANICKED: i32 = 101;

/// How a child exited without a result.
pub(super) struct ChildExit<'a> {
    pub(super) status: ExitStatus,
    /// The first bytes of its standard error.
    pub(super) stderr: &'a [u8],
    /// Its CPU time limit.
    pub(super) cpu_limit: Duration,
    /// Its memory limit in bytes.
    pub(super) memory_limit: u64,
}

impl ChildExit<'_> {
    /// Converts the exit to the error of the parser.
    pub(super) fn error(&self) -> ParseError {
        match (self.status.signal(), self.status.code()) {
            (Some(signal), _) => self.signal_error(signal),
            (None, Some(0 | EXIT_PANICKED)) => ParseError::parser_crashed(),
            (None, Some(code)) if code == i32::from(EXIT_SANDBOX_FAILED) => {
                unavailable("the parser could not sandbox itself".to_owned(), false)
            }
            (None, Some(code)) if code == i32::from(EXIT_INVALID_INPUT) => {
                unavailable("the parser got invalid arguments, or its pipe was closed".to_owned(), true)
            }
            (None, code) => unavailable(format!("the parser exited with status {}", code.unwrap_or(-1)), true),
        }
    }

    fn signal_error(&self, signal: i32) -> ParseError {
        if signal == Signal::XCPU.as_raw() {
            return ParseError::timeout(self.cpu_limit);
        }
        if signal == Signal::ABORT.as_raw() && contains(self.stderr, OUT_OF_MEMORY_MESSAGE) {
            return ReadError::TooLarge { what: "bytes of memory needed to read it", limit: self.memory_limit }.into();
        }
        let crashes = [Signal::ABORT, Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE, Signal::SYS, Signal::TRAP];
        if crashes.iter().any(|crash| crash.as_raw() == signal) {
            return ParseError::parser_crashed();
        }
        unavailable(format!("the parser was killed by signal {signal}"), true)
    }
}

fn unavailable(reason: String, counts_as_attempt: bool) -> ParseError {
    ParseError::Unavailable { reason, counts_as_attempt }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::document::FailureCode;

    fn error_of(raw: i32, stderr: &[u8]) -> ParseError {
        let status = ExitStatus::from_raw(raw);
        ChildExit { status, stderr, cpu_limit: Duration::from_secs(30), memory_limit: 512 << 20 }.error()
    }

    fn failure_code(raw: i32, stderr: &[u8]) -> Option<FailureCode> {
        match error_of(raw, stderr) {
            ParseError::Document(failure) => Some(failure.code),
            _ => None,
        }
    }

    #[test]
    fn failures_caused_by_the_file_differ_from_failures_of_the_platform() {
        assert_eq!(failure_code(Signal::XCPU.as_raw(), b""), Some(FailureCode::Timeout));
        assert_eq!(
            failure_code(Signal::ABORT.as_raw(), b"memory allocation of 7 bytes failed"),
            Some(FailureCode::TooLarge)
        );
        assert_eq!(failure_code(Signal::ABORT.as_raw(), b"has overflowed its stack"), Some(FailureCode::Corrupt));
        assert_eq!(failure_code(Signal::SEGV.as_raw(), b""), Some(FailureCode::Corrupt));
        assert_eq!(failure_code(EXIT_PANICKED << 8, b""), Some(FailureCode::Corrupt));
        for (raw, expected) in
            [(Signal::KILL.as_raw(), true), (2 << 8, true), (i32::from(EXIT_SANDBOX_FAILED) << 8, false)]
        {
            let error = error_of(raw, b"");
            assert!(
                matches!(error, ParseError::Unavailable { counts_as_attempt, .. } if counts_as_attempt == expected),
                "{error:?}"
            );
        }
    }
}
