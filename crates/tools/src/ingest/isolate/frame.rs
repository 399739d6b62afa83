//! The protocol between parent and child: JSON messages with a length prefix of 32 bits, little-endian.
//!
//! The parent sends a [`Request`], then the file's bytes. The child sends any number of [`Frame`]s, the last of which
//! is [`Frame::End`] or [`Frame::Failed`].

use crate::ingest::readers::{Limits, Page, Warning};
use domain::document::DocumentFailure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Maximum size of a request's JSON, in bytes; a file name is far shorter.
const MAX_REQUEST_BYTES: u32 = 1 << 20;
/// Payloads of at least this many bytes are decoded on a blocking thread.
const MIN_BLOCKING_DECODE_BYTES: usize = 256 << 10;

/// Resource limits that the child sets on itself. The limits on extracted content are part of the [`Request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildLimits {
    /// Maximum address space in bytes, including the program itself.
    pub memory_bytes: u64,
    /// Maximum CPU time; applied in whole seconds, at least 1.
    pub cpu_time: Duration,
}

impl Default for ChildLimits {
    fn default() -> Self {
        Self { memory_bytes: 512 << 20, cpu_time: Duration::from_secs(30) }
    }
}

impl ChildLimits {
    /// Converts to command-line arguments (bytes, seconds), so that the child can sandbox itself before it reads any
    /// input.
    pub(super) fn to_args(self) -> [String; 2] {
        [self.memory_bytes.to_string(), self.cpu_time.as_secs().max(1).to_string()]
    }

    /// Parses the arguments of [`ChildLimits::to_args`]; `None` for anything else.
    pub(super) fn from_args(args: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut numbers = args.into_iter().map(|argument| argument.to_str()?.parse::<u64>().ok());
        let (memory_bytes, cpu) = (numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(Self { memory_bytes, cpu_time: Duration::from_secs(cpu) })
    }
}

/// The message that the parent sends before the file's bytes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Name of the file.
    pub name: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// Limits on the extracted content.
    pub limits: Limits,
}

/// A message from the child.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Frame {
    /// Number of pages read so far.
    PagesRead(u32),
    /// The next page that has content.
    Page(Page),
    /// The document is complete. The fields are those of [`crate::ingest::readers::ParsedDocument`].
    End {
        /// Title from the document's metadata or content, if any.
        title: Option<String>,
        /// Number of pages in the file.
        page_count: Option<u32>,
        /// Problems that the document's owner should know about.
        warnings: Vec<Warning>,
    },
    /// The document cannot be read.
    Failed(DocumentFailure),
}

/// Encodes a message: the length of the JSON, then the JSON.
pub(super) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size_of::<u32>()];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - size_of::<u32>()).map_err(io::Error::other)?;
    bytes[..size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Writes a message and flushes it.
pub(super) fn write_message(output: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    output.write_all(&encode(message)?)?;
    output.flush()
}

/// Reads the request from the parent.
pub(super) fn read_request(input: &mut impl Read) -> io::Result<Request> {
    let mut length = [0; size_of::<u32>()];
    input.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length).min(MAX_REQUEST_BYTES);
    let mut payload = vec![0; length as usize];
    input.read_exact(&mut payload)?;
    Ok(serde_json::from_slice(&payload)?)
}

/// Why no frame could be read.
#[derive(Debug)]
pub(super) enum FrameError {
    /// The child closed its output, possibly in the middle of a frame.
    Closed,
    /// The bytes are not a frame.
    Invalid,
    /// The frame has this many bytes, which is more than `remaining`.
    TooLong(u64),
}

/// Reads the next frame, whose JSON may have at most `remaining` bytes, and subtracts its size from `remaining`.
pub(super) async fn read_frame(input: &mut (impl AsyncRead + Unpin), remaining: &mut u64) -> Result<Frame, FrameError> {
    let length = u64::from(input.read_u32_le().await.map_err(|_| FrameError::Closed)?);
    *remaining = remaining.checked_sub(length).ok_or(FrameError::TooLong(length))?;
    // Do not preallocate: the announced length is untrusted.
    let mut payload = Vec::new();
    let received = input.take(length).read_to_end(&mut payload).await.map_err(|_| FrameError::Closed)?;
    if (received as u64) < length {
        return Err(FrameError::Closed);
    }
    if payload.len() < MIN_BLOCKING_DECODE_BYTES {
        return decode(&payload);
    }
    tokio::task::spawn_blocking(move || decode(&payload)).await.unwrap_or(Err(FrameError::Invalid))
}

fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(payload).map_err(|_| FrameError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_is_read_as_written_and_its_size_is_subtracted() {
        let frame =
            Frame::Failed(DocumentFailure { code: domain::document::FailureCode::NoText, detail: "No text.".into() });
        let bytes = encode(&frame).unwrap();
        let mut remaining = 1000;
        assert_eq!(read_frame(&mut bytes.as_slice(), &mut remaining).await.unwrap(), frame);
        assert_eq!(remaining, 1000 - (bytes.len() as u64 - 4));
        let mut short = bytes.len() as u64 - 5;
        assert!(matches!(read_frame(&mut bytes.as_slice(), &mut short).await, Err(FrameError::TooLong(_))));
        assert!(matches!(read_frame(&mut &bytes[..9], &mut remaining).await, Err(FrameError::Closed)));
        assert!(matches!(read_frame(&mut b"\x02\0\0\0no".as_slice(), &mut remaining).await, Err(FrameError::Invalid)));
    }

    #[test]
    fn limits_round_trip_through_arguments_and_invalid_arguments_are_refused() {
        let limits = ChildLimits { memory_bytes: 7 << 20, cpu_time: Duration::from_secs(2) };
        let args = |args: &[&str]| ChildLimits::from_args(args.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(ChildLimits::from_args(limits.to_args().map(OsString::from)), Some(limits));
        for invalid in [&["1"][..], &[], &["1", "x"], &["1", "2", "3"], &["-1", "2"]] {
            assert_eq!(args(invalid), None, "{invalid:?}");
        }
    }
}
