//! The parent's side of the isolation: starts one child process per document.

use super::collect::Collector;
use super::exit::ChildExit;
use super::frame::{self, ChildLimits, Request};
use super::parser::{PagesReadSender, ParseError, Parser, SourceFile};
use crate::ingest::readers::{Limits, ParsedDocument};
use async_trait::async_trait;
use domain::ports::ByteStream;
use futures::stream::StreamExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};

/// Number of bytes of a child's standard error that are inspected for the reason of an abort. They are not logged.
const MAX_STDERR: u64 = 4 << 10;

/// The program that reads a document; its `main` must pass the arguments after `args` to [`super::child::run`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParserProgram {
    /// Path of the program.
    pub program: PathBuf,
    /// Arguments that select the subcommand which calls [`super::child::run`].
    pub args: Vec<String>,
    /// Resource limits that the child sets on itself.
    pub limits: ChildLimits,
}

/// Parses each document in its own child process.
///
/// The child gets an empty environment and `/` as its working directory. The file's bytes are streamed from the blob
/// store to the child, so this process never holds the whole file. The child is killed at the time limit, and when the
/// future is dropped.
pub struct ChildParser {
    program: ParserProgram,
    timeout: Duration,
    limits: Limits,
}

impl ChildParser {
    /// Parses documents with `program`. `timeout` is the wall-clock limit per document, from the start of the child to
    /// its result; `limits` apply to the extracted content.
    #[must_use]
    pub fn new(program: ParserProgram, timeout: Duration, limits: Limits) -> Self {
        Self { program, timeout, limits }
    }

    fn spawn_child(&self) -> Result<Child, ParseError> {
        let mut command = Command::new(&self.program.program);
        command.args(&self.program.args).args(self.program.limits.to_args()).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.spawn().map_err(|error| ParseError::Unavailable {
            reason: format!("the parser could not be started: {error}"),
            counts_as_attempt: false,
        })
    }

    async fn communicate(
        &self,
        child: &mut Child,
        file: SourceFile,
        pages: &PagesReadSender,
    ) -> Result<ParsedDocument, ParseError> {
        let (Some(input), Some(mut output), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(ParseError::Unavailable {
                reason: "the parser has no pipes".to_owned(),
                counts_as_attempt: true,
            });
        };
        let request = Request { name: file.name, size: file.size, limits: self.limits.clone() };
        let collector = Collector::new(&self.limits, pages);
        // `try_join!` returns at the first `Err`, so `Err` is used for any result, be it a document or an error.
        let read = async { collector.collect(&mut output).await.map_or(Ok(()), Err) };
        let send = async { send(input, &request, file.bytes).await.map_err(Err) };
        match tokio::try_join!(read, send, read_stderr(stderr)) {
            Err(result) => result,
            Ok(((), (), stderr)) => Err(self.exit_error(child, &stderr).await),
        }
    }

    /// Waits for a child that closed its output without a result, and determines why.
    async fn exit_error(&self, child: &mut Child, stderr: &[u8]) -> ParseError {
        let ChildLimits { memory_bytes: memory, cpu_time: cpu } = self.program.limits;
        match child.wait().await {
            Ok(status) => ChildExit { status, stderr, cpu_limit: cpu, memory_limit: memory }.error(),
            Err(error) => ParseError::Unavailable {
                reason: format!("the parser's exit status could not be read: {error}"),
                counts_as_attempt: true,
            },
        }
    }
}

#[async_trait]
impl Parser for ChildParser {
    async fn parse(&self, file: SourceFile, pages: &PagesReadSender) -> Result<ParsedDocument, ParseError> {
        let mut child = self.spawn_child()?;
        let result = tokio::time::timeout(self.timeout, self.communicate(&mut child, file, pages)).await;
        // The child is no longer needed; `kill` also reaps the process.
        let _ = child.kill().await;
        result.unwrap_or_else(|_elapsed| Err(ParseError::timeout(self.timeout)))
    }
}

/// Sends the request and the file to the child. A failed write is not an error here, because the child's exit status
/// gives the reason.
async fn send(mut input: ChildStdin, request: &Request, mut bytes: ByteStream) -> Result<(), ParseError> {
    let Ok(request) = frame::encode(request) else { return Ok(()) };
    if input.write_all(&request).await.is_err() {
        return Ok(());
    }
    while let Some(piece) = bytes.next().await {
        if input.write_all(&piece.map_err(ParseError::Blob)?).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads standard error to its end; keeps the first [`MAX_STDERR`] bytes and discards the rest.
async fn read_stderr<E>(mut stderr: ChildStderr) -> Result<Vec<u8>, E> {
    let mut head = Vec::new();
    let _ = (&mut stderr).take(MAX_STDERR).read_to_end(&mut head).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    Ok(head)
}
