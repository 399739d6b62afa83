//! The parent: one child process for each document, watched from the first byte to its end.

use super::collect::Collector;
use super::exit::End;
use super::frame::{self, ChildLimits, Request};
use super::{PagesRead, ParseError, Parser, SourceFile};
use crate::ingest::readers::{Limits, ReadDocument};
use async_trait::async_trait;
use domain::ports::ByteStream;
use futures::stream::StreamExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};

/// Bytes of a child's standard error that are looked at, for the reason of an abort; none is ever logged.
const STDERR: u64 = 4 << 10;

/// The program that reads a document: one whose `main` hands the arguments after `args` to [`super::child::run`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParserProgram {
    /// Its path.
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
    /// What it may use.
    pub limits: ChildLimits,
}

/// Reads each document in a child process of its own.
///
/// The child gets no environment, the root as its directory, and the file's bytes as they come from the storage: this
/// process never holds the whole file. The child is killed when the time is up and when the reading is dropped.
pub struct ChildParser {
    program: ParserProgram,
    time: Duration,
    limits: Limits,
}

impl ChildParser {
    /// Reads with `program`, each document within `time` (wall clock, from the start of the child to its end) and
    /// `limits`.
    #[must_use]
    pub fn new(program: ParserProgram, time: Duration, limits: Limits) -> Self {
        Self { program, time, limits }
    }

    fn start(&self) -> Result<Child, ParseError> {
        let mut command = Command::new(&self.program.program);
        command.args(&self.program.args).args(self.program.limits.to_args()).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.spawn().map_err(|error| ParseError::Unavailable {
            reason: format!("the parser could not be started: {error}"),
            counts: false,
        })
    }

    async fn watch(&self, child: &mut Child, file: SourceFile, pages: &PagesRead) -> Result<ReadDocument, ParseError> {
        let (Some(input), Some(mut output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(ParseError::Unavailable { reason: "the parser has no pipes".to_owned(), counts: true });
        };
        let request = Request { name: file.name, size: file.size, limits: self.limits.clone() };
        let collector = Collector::new(&self.limits, pages);
        // An answer ends the wait for everything else, a refusal and a document alike.
        let read = async { collector.collect(&mut output).await.map_or(Ok(()), Err) };
        let fed = async { feed(input, &request, file.bytes).await.map_err(Err) };
        match tokio::try_join!(read, fed, beginning(errors)) {
            Err(answer) => answer,
            Ok(((), (), stderr)) => Err(self.end(child, &stderr).await),
        }
    }

    /// Why a child that has closed its output has not answered.
    async fn end(&self, child: &mut Child, stderr: &[u8]) -> ParseError {
        let ChildLimits { memory_bytes: memory, cpu } = self.program.limits;
        match child.wait().await {
            Ok(status) => End { status, stderr, cpu, memory }.reason(),
            Err(error) => ParseError::Unavailable { reason: format!("the parser was lost: {error}"), counts: true },
        }
    }
}

#[async_trait]
impl Parser for ChildParser {
    async fn parse(&self, file: SourceFile, pages: &PagesRead) -> Result<ReadDocument, ParseError> {
        let mut child = self.start()?;
        let watched = tokio::time::timeout(self.time, self.watch(&mut child, file, pages)).await;
        // Whatever it still does is of no use; this also removes it from the process table.
        let _ = child.kill().await;
        watched.unwrap_or_else(|_elapsed| Err(ParseError::timeout(self.time)))
    }
}

/// Hands the file to the child. A child that has stopped reading says why in another way.
async fn feed(mut input: ChildStdin, request: &Request, mut bytes: ByteStream) -> Result<(), ParseError> {
    let Ok(request) = frame::encode(request) else { return Ok(()) };
    if input.write_all(&request).await.is_err() {
        return Ok(());
    }
    while let Some(piece) = bytes.next().await {
        if input.write_all(&piece.map_err(ParseError::Bytes)?).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The beginning of what the child complains about; the rest is thrown away.
async fn beginning<E>(mut errors: ChildStderr) -> Result<Vec<u8>, E> {
    let mut kept = Vec::new();
    let _ = (&mut errors).take(STDERR).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
    Ok(kept)
}
