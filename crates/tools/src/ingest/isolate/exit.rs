//! What a child's end says about the document.

use super::ParseError;
use super::child::{MISUSED, UNCONFINED};
use crate::ingest::readers::ReadError;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

/// How Rust announces an allocation that failed, on standard error, before it aborts.
const OUT_OF_MEMORY: &[u8] = b"memory allocation of ";
/// The status of a Rust program that ended in a panic.
const PANICKED: i32 = 101;

/// How a child ended that has not answered.
pub(super) struct End<'a> {
    pub(super) status: ExitStatus,
    /// The beginning of what it wrote to standard error.
    pub(super) stderr: &'a [u8],
    /// The processor time that it had.
    pub(super) cpu: Duration,
    /// The memory that it had, in bytes.
    pub(super) memory: u64,
}

impl End<'_> {
    /// Why there is no answer.
    pub(super) fn reason(&self) -> ParseError {
        match (self.status.signal(), self.status.code()) {
            (Some(signal), _) => self.of_signal(signal),
            (None, Some(0 | PANICKED)) => ParseError::gave_up(),
            (None, Some(code)) if code == i32::from(UNCONFINED) => {
                unavailable("the parser could not confine itself".to_owned(), false)
            }
            (None, Some(code)) if code == i32::from(MISUSED) => {
                unavailable("the parser did not understand what it was asked".to_owned(), true)
            }
            (None, code) => unavailable(format!("the parser ended with status {}", code.unwrap_or(-1)), true),
        }
    }

    fn of_signal(&self, signal: i32) -> ParseError {
        if signal == Signal::XCPU.as_raw() {
            return ParseError::timeout(self.cpu);
        }
        if signal == Signal::ABORT.as_raw() && contains(self.stderr, OUT_OF_MEMORY) {
            return ReadError::TooLarge { what: "bytes of memory were not enough to read it", limit: self.memory }
                .into();
        }
        let crashes = [Signal::ABORT, Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE, Signal::SYS, Signal::TRAP];
        if crashes.iter().any(|crash| crash.as_raw() == signal) {
            return ParseError::gave_up();
        }
        unavailable(format!("the parser was ended from outside by signal {signal}"), true)
    }
}

fn unavailable(reason: String, counts: bool) -> ParseError {
    ParseError::Unavailable { reason, counts }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::document::FailureCode;

    fn reason(raw: i32, stderr: &[u8]) -> ParseError {
        let status = ExitStatus::from_raw(raw);
        End { status, stderr, cpu: Duration::from_secs(30), memory: 512 << 20 }.reason()
    }

    fn code(raw: i32, stderr: &[u8]) -> Option<FailureCode> {
        match reason(raw, stderr) {
            ParseError::Document(failure) => Some(failure.code),
            _ => None,
        }
    }

    #[test]
    fn what_the_file_did_is_told_from_what_others_did() {
        assert_eq!(code(Signal::XCPU.as_raw(), b""), Some(FailureCode::Timeout));
        assert_eq!(code(Signal::ABORT.as_raw(), b"memory allocation of 7 bytes failed"), Some(FailureCode::TooLarge));
        assert_eq!(code(Signal::ABORT.as_raw(), b"has overflowed its stack"), Some(FailureCode::Corrupt));
        assert_eq!(code(Signal::SEGV.as_raw(), b""), Some(FailureCode::Corrupt));
        assert_eq!(code(PANICKED << 8, b""), Some(FailureCode::Corrupt));
        for (raw, may_be_its_fault) in
            [(Signal::KILL.as_raw(), true), (2 << 8, true), (i32::from(UNCONFINED) << 8, false)]
        {
            let reason = reason(raw, b"");
            assert!(
                matches!(reason, ParseError::Unavailable { counts, .. } if counts == may_be_its_fault),
                "{reason:?}"
            );
        }
    }
}
