//! The events of an answer: the only place that knows how server-sent events are read.
//!
//! Why not reqwest-eventsource: it hides the answer's headers, where LiteLLM says that a fallback served, and it reads
//! a line of any length into memory. Its parser, eventsource-stream, is used here behind a guard; docs/adr has the
//! decision on reading the streams of models.

use super::http::{Server, read_limited};
use super::stream::MOST_ANSWER_BYTES;
use bytes::Bytes;
use domain::model::ModelError;
use eventsource_stream::{EventStreamError, Eventsource};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

/// Longest line, bytes: one event is a few words, or at most one whole tool call. The parser reads an unfinished line
/// again with each chunk, so that a longer one would cost more than it is worth.
const LONGEST_LINE: usize = 256 << 10;

/// Longest event, bytes: several lines make one, and the parser keeps them until the empty line after them.
const LONGEST_EVENT: usize = 1 << 20;

/// The data of each event, `[DONE]` included. Dropping it ends the request.
pub(super) type Events = BoxStream<'static, Result<String, ModelError>>;

/// The events of `response`. A server that does not stream sends one JSON document, which becomes one event.
///
/// # Errors
/// Where the answer is no answer of a model, but a page for people.
pub(super) async fn events(server: &Server, response: Response) -> Result<Events, ModelError> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    if kind.starts_with("text/html") {
        return Err(server.garbled("an HTML page came instead of an answer"));
    }
    if kind.starts_with("application/json") {
        let body = read_limited(server, response, MOST_ANSWER_BYTES).await?;
        let body = String::from_utf8(body).map_err(|_| server.garbled("the answer is not UTF-8"))?;
        return Ok(stream::iter([Ok(body), Ok("[DONE]".to_owned())]).boxed());
    }
    let backend = server.name().to_owned();
    let mut guard = Guard::default();
    // The last event may lack its empty line.
    let end = stream::iter([Ok(Bytes::from_static(b"\n\n"))]);
    let bytes = response.bytes_stream().map_err(|_| Fault::Transport).chain(end);
    let checked = bytes.map(move |chunk| chunk.and_then(|chunk| guard.check(chunk)));
    Ok(checked
        .eventsource()
        .map(move |event| event.map(|event| event.data).map_err(|error| fault(&backend, error)))
        .boxed())
}

/// What can be wrong with a stream of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Transport,
    TooLong,
    NotUtf8,
}

fn fault(backend: &str, error: EventStreamError<Fault>) -> ModelError {
    let backend = backend.to_owned();
    match error {
        EventStreamError::Transport(Fault::Transport) => {
            ModelError::Interrupted { backend, reason: "the connection was cut".to_owned() }
        }
        EventStreamError::Transport(Fault::TooLong) => ModelError::InvalidResponse {
            backend,
            reason: "a line is longer than 256 KiB, or an event than 1 MiB".to_owned(),
        },
        EventStreamError::Transport(Fault::NotUtf8) | EventStreamError::Utf8(_) => {
            ModelError::InvalidResponse { backend, reason: "the stream is not UTF-8".to_owned() }
        }
        EventStreamError::Parser(_) => {
            ModelError::InvalidResponse { backend, reason: "the stream has no events".to_owned() }
        }
    }
}

/// Stops what the parser would swallow in silence: a line or an event without end, and bytes that are no UTF-8.
#[derive(Default)]
struct Guard {
    line: usize,
    /// Bytes since the last empty line.
    event: usize,
    /// The beginning of a character whose rest comes in the next chunk.
    half: Vec<u8>,
}

impl Guard {
    fn check(&mut self, chunk: Bytes) -> Result<Bytes, Fault> {
        for part in chunk.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line += part.len();
            self.event += part.len();
            if self.line > LONGEST_LINE || self.event > LONGEST_EVENT {
                return Err(Fault::TooLong);
            }
            if matches!(part, b"\n" | b"\r") && self.line == part.len() {
                self.event = 0;
            }
            if part.ends_with(b"\n") || part.ends_with(b"\r") {
                self.line = 0;
            }
        }
        let mut joined = std::mem::take(&mut self.half);
        joined.extend_from_slice(&chunk);
        if let Err(error) = std::str::from_utf8(&joined) {
            if error.error_len().is_some() {
                return Err(Fault::NotUtf8);
            }
            self.half = joined.split_off(error.valid_up_to());
        }
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]]) -> Result<(), Fault> {
        let mut guard = Guard::default();
        chunks.iter().try_for_each(|chunk| guard.check(Bytes::copy_from_slice(chunk)).map(drop))
    }

    #[test]
    fn a_character_may_be_split_over_chunks_but_must_be_whole_in_the_end() {
        assert_eq!(check(&[b"95 \xc2", b"\xb0C"]), Ok(()));
        assert_eq!(check(&[b"\xf0", b"\x9f", b"\x94", b"\xa5"]), Ok(()));
        assert_eq!(check(&[b"95 \xc2", b"C"]), Err(Fault::NotUtf8));
        assert_eq!(check(&[b"\xff"]), Err(Fault::NotUtf8));
    }

    #[test]
    fn an_event_may_not_grow_over_lines_without_end() {
        let line = [&[b'a'; 1_000][..], b"\n"].concat();
        let many: Vec<&[u8]> = vec![&line; 1_100];
        assert_eq!(check(&many), Err(Fault::TooLong));
        let ended: Vec<&[u8]> = many.iter().flat_map(|line| [*line, b"\n"]).collect();
        assert_eq!(check(&ended), Ok(()));
        let windows: Vec<&[u8]> = vec![b"data: x\r\n\r\n"; 200_000];
        assert_eq!(check(&windows), Ok(()));
    }

    #[test]
    fn a_line_may_not_grow_over_chunks_without_end() {
        let half = vec![b'a'; LONGEST_LINE / 2 + 1];
        assert_eq!(check(&[&half, b"\n", &half, b"\r", &half]), Ok(()));
        assert_eq!(check(&[&half, &half]), Err(Fault::TooLong));
    }
}
