//! Reads the server-sent events (SSE) of a streamed answer.
//!
//! reqwest-eventsource is not used, because it hides the response headers, in which LiteLLM reports fallbacks, and
//! buffers lines of any length. Its parser, eventsource-stream, is used here behind a length guard; see the ADR on
//! reading model streams.

use super::http::{OpenAiClient, read_limited};
use super::stream::MAX_ANSWER_BYTES;
use bytes::Bytes;
use domain::model::ModelError;
use eventsource_stream::{EventStreamError, Eventsource};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

/// Maximum length of a line in bytes. An event contains a few words, or at most a whole tool call. The parser rescans
/// an unfinished line with every chunk, so longer lines would be expensive.
const MAX_LINE_BYTES: usize = 256 << 10;

/// Maximum length of an event in bytes. The parser buffers all lines of an event until the empty line that ends it.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// Stream of the events' data, including `[DONE]`. Dropping it aborts the request.
pub(super) type Events = BoxStream<'static, Result<String, ModelError>>;

/// Returns the events of `response`. If the server does not stream, its JSON document becomes one event.
///
/// # Errors
/// If the response is an HTML page, or a JSON document that is too long or not UTF-8.
pub(super) async fn events(client: &OpenAiClient, response: Response) -> Result<Events, ModelError> {
    let content_type =
        response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    if content_type.starts_with("text/html") {
        return Err(client.invalid_response("the response is an HTML page"));
    }
    if content_type.starts_with("application/json") {
        let body = read_limited(client, response, MAX_ANSWER_BYTES).await?;
        let body = String::from_utf8(body).map_err(|_| client.invalid_response("the answer is not UTF-8"))?;
        return Ok(stream::iter([Ok(body), Ok("[DONE]".to_owned())]).boxed());
    }
    let backend = client.name().to_owned();
    let mut validator = ChunkValidator::default();
    // Some servers omit the empty line after the last event.
    let final_empty_line = stream::iter([Ok(Bytes::from_static(b"\n\n"))]);
    let bytes = response.bytes_stream().map_err(|_| StreamError::Transport).chain(final_empty_line);
    let validated = bytes.map(move |chunk| chunk.and_then(|chunk| validator.validate(chunk)));
    Ok(validated
        .eventsource()
        .map(move |event| event.map(|event| event.data).map_err(|error| to_model_error(&backend, error)))
        .boxed())
}

/// Why an event stream is rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum StreamError {
    Transport,
    TooLong,
    NotUtf8,
}

fn to_model_error(backend: &str, error: EventStreamError<StreamError>) -> ModelError {
    let backend = backend.to_owned();
    match error {
        EventStreamError::Transport(StreamError::Transport) => {
            ModelError::Interrupted { backend, reason: "the connection was closed early".to_owned() }
        }
        EventStreamError::Transport(StreamError::TooLong) => ModelError::InvalidResponse {
            backend,
            reason: "a line exceeds 256 KiB, or an event exceeds 1 MiB".to_owned(),
        },
        EventStreamError::Transport(StreamError::NotUtf8) | EventStreamError::Utf8(_) => {
            ModelError::InvalidResponse { backend, reason: "the stream is not UTF-8".to_owned() }
        }
        EventStreamError::Parser(_) => {
            ModelError::InvalidResponse { backend, reason: "the stream has no events".to_owned() }
        }
    }
}

/// Rejects what the parser would silently accept: overlong lines and events, and invalid UTF-8.
#[derive(Default)]
struct ChunkValidator {
    /// Bytes of the current line.
    line_bytes: usize,
    /// Bytes since the last empty line.
    event_bytes: usize,
    /// Incomplete UTF-8 sequence at the end of the previous chunk.
    incomplete: Vec<u8>,
}

impl ChunkValidator {
    fn validate(&mut self, chunk: Bytes) -> Result<Bytes, StreamError> {
        for part in chunk.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line_bytes += part.len();
            self.event_bytes += part.len();
            if self.line_bytes > MAX_LINE_BYTES || self.event_bytes > MAX_EVENT_BYTES {
                return Err(StreamError::TooLong);
            }
            if matches!(part, b"\n" | b"\r") && self.line_bytes == part.len() {
                self.event_bytes = 0;
            }
            if part.ends_with(b"\n") || part.ends_with(b"\r") {
                self.line_bytes = 0;
            }
        }
        let mut unchecked = std::mem::take(&mut self.incomplete);
        unchecked.extend_from_slice(&chunk);
        if let Err(error) = std::str::from_utf8(&unchecked) {
            if error.error_len().is_some() {
                return Err(StreamError::NotUtf8);
            }
            self.incomplete = unchecked.split_off(error.valid_up_to());
        }
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate_all(chunks: &[&[u8]]) -> Result<(), StreamError> {
        let mut validator = ChunkValidator::default();
        chunks.iter().try_for_each(|chunk| validator.validate(Bytes::copy_from_slice(chunk)).map(drop))
    }

    #[test]
    fn a_character_may_be_split_over_chunks_but_must_be_complete() {
        assert_eq!(validate_all(&[b"95 \xc2", b"\xb0C"]), Ok(()));
        assert_eq!(validate_all(&[b"\xf0", b"\x9f", b"\x94", b"\xa5"]), Ok(()));
        assert_eq!(validate_all(&[b"95 \xc2", b"C"]), Err(StreamError::NotUtf8));
        assert_eq!(validate_all(&[b"\xff"]), Err(StreamError::NotUtf8));
    }

    #[test]
    fn the_length_of_an_event_is_limited_across_lines() {
        let line = [&[b'a'; 1_000][..], b"\n"].concat();
        let long_event: Vec<&[u8]> = vec![&line; 1_100];
        assert_eq!(validate_all(&long_event), Err(StreamError::TooLong));
        let ended_events: Vec<&[u8]> = long_event.iter().flat_map(|line| [*line, b"\n"]).collect();
        assert_eq!(validate_all(&ended_events), Ok(()));
        let crlf_events: Vec<&[u8]> = vec![b"data: x\r\n\r\n"; 200_000];
        assert_eq!(validate_all(&crlf_events), Ok(()));
    }

    #[test]
    fn the_length_of_a_line_is_limited_across_chunks() {
        let incomplete = vec![b'a'; MAX_LINE_BYTES / 2 + 1];
        assert_eq!(validate_all(&[&incomplete, b"\n", &incomplete, b"\r", &incomplete]), Ok(()));
        assert_eq!(validate_all(&[&incomplete, &incomplete]), Err(StreamError::TooLong));
    }
}
