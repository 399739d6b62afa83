//! Helpers to load fixtures, to read them in this process or in a child process, and to summarize documents.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use tools::ingest::isolate::{
    ChildLimits, ChildParser, PagesReadSender, ParseError, Parser as _, ParserProgram, SourceFile,
};
use tools::ingest::readers::{BlockKind, Limits, ParsedDocument, ReadError, read, sniff};

/// Time limit of a child process, as in production.
const TIME_LIMIT: Duration = Duration::from_secs(45);

/// The content of a fixture in `testdata`.
pub fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Detects the format of a file and reads it with the default limits.
pub fn read_bytes(bytes: &[u8], name: &str) -> Result<ParsedDocument, ReadError> {
    let format = sniff(bytes, name).ok_or(ReadError::Unsupported)?;
    read(format, bytes, name, &Limits::default())
}

/// The program that reads one document, with the default resource limits.
pub fn program() -> ParserProgram {
    let program = env!("CARGO_BIN_EXE_parse-document").into();
    ParserProgram { program, args: Vec::new(), limits: ChildLimits::default() }
}

/// A source file whose bytes arrive in pieces, as from the blob store.
pub fn source(bytes: &[u8], name: &str) -> SourceFile {
    let pieces: Vec<_> = bytes.chunks(50_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    SourceFile { name: name.into(), size: bytes.len() as u64, bytes: stream::iter(pieces).boxed() }
}

/// Reads a file in a child process.
pub fn read_isolated(bytes: &[u8], name: &str, limits: &Limits) -> Result<ParsedDocument, ParseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let parser = ChildParser::new(program(), TIME_LIMIT, limits.clone());
    runtime.block_on(parser.parse(source(bytes, name), &PagesReadSender::default()))
}

/// Reads a file in this process and in a child process, and asserts that both give the same result.
pub fn read_in_both_processes(bytes: &[u8], name: &str, limits: &Limits) -> Result<ParsedDocument, ReadError> {
    let in_process =
        sniff(bytes, name).ok_or(ReadError::Unsupported).and_then(|format| read(format, bytes, name, limits));
    let isolated = read_isolated(bytes, name, limits);
    match (&in_process, isolated) {
        (Ok(in_process), Ok(isolated)) => {
            assert!(*in_process == isolated, "{name}: the child read a different document")
        }
        (Err(in_process), Err(ParseError::Document(isolated))) => {
            assert_eq!(
                (in_process.code(), in_process.to_string()),
                (isolated.code.as_str(), isolated.detail),
                "{name}"
            );
        }
        (in_process, isolated) => panic!("{name}: {in_process:?} here, {isolated:?} in the child"),
    }
    in_process
}

/// Reads a fixture, which must be readable.
pub fn document(name: &str) -> ParsedDocument {
    read_bytes(&bytes(name), name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks of all pages, each as `kind: text`.
pub fn lines(document: &ParsedDocument) -> Vec<String> {
    let blocks = document.pages.iter().flat_map(|page| &page.blocks);
    blocks
        .map(|block| {
            let kind = match block.kind {
                BlockKind::Heading { level } => format!("h{level}"),
                BlockKind::Paragraph => "p".into(),
                BlockKind::ListItem => "li".into(),
                BlockKind::TableRow { header: true } => "th".into(),
                BlockKind::TableRow { header: false } => "tr".into(),
                BlockKind::Code => "code".into(),
            };
            format!("{kind}: {}", block.text)
        })
        .collect()
}

/// The text of all pages, for tests that search in it.
pub fn text(document: &ParsedDocument) -> String {
    lines(document).join("\n")
}
