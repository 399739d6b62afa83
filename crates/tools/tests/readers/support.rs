//! Fixtures, and summaries of read documents.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use tools::ingest::isolate::{ChildLimits, ChildParser, PagesRead, ParseError, Parser as _, ParserProgram, SourceFile};
use tools::ingest::readers::{BlockKind, Limits, ReadDocument, ReadError, read, sniff};

/// Time limit of a child, as in production.
const TIME: Duration = Duration::from_secs(45);

/// The bytes of a fixture.
pub fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Detects the format of bytes and reads them with the default limits.
pub fn read_bytes(bytes: &[u8], name: &str) -> Result<ReadDocument, ReadError> {
    let format = sniff(bytes, name).ok_or(ReadError::Unsupported)?;
    read(format, bytes, name, &Limits::default())
}

/// The program that reads one document.
pub fn program() -> ParserProgram {
    let program = env!("CARGO_BIN_EXE_parse-document").into();
    ParserProgram { program, args: Vec::new(), limits: ChildLimits::default() }
}

/// A file as the blob store returns it, in pieces.
pub fn source(bytes: &[u8], name: &str) -> SourceFile {
    let pieces: Vec<_> = bytes.chunks(50_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    SourceFile { name: name.into(), size: bytes.len() as u64, bytes: stream::iter(pieces).boxed() }
}

/// Reads bytes in a child process.
pub fn read_isolated(bytes: &[u8], name: &str, limits: &Limits) -> Result<ReadDocument, ParseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let parser = ChildParser::new(program(), TIME, limits.clone());
    runtime.block_on(parser.parse(source(bytes, name), &PagesRead::default()))
}

/// Reads bytes in this process and in a child; both must give the same result.
pub fn read_both(bytes: &[u8], name: &str, limits: &Limits) -> Result<ReadDocument, ReadError> {
    let here = sniff(bytes, name).ok_or(ReadError::Unsupported).and_then(|format| read(format, bytes, name, limits));
    let isolated = read_isolated(bytes, name, limits);
    match (&here, isolated) {
        (Ok(here), Ok(isolated)) => assert!(*here == isolated, "{name}: the child read something else"),
        (Err(here), Err(ParseError::Document(isolated))) => {
            assert_eq!((here.code(), here.to_string()), (isolated.code.as_str(), isolated.detail), "{name}");
        }
        (here, isolated) => panic!("{name}: {here:?} here, {isolated:?} in the child"),
    }
    here
}

/// Reads a fixture that must be readable.
pub fn document(name: &str) -> ReadDocument {
    read_bytes(&bytes(name), name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks of all pages as `kind: text`.
pub fn lines(document: &ReadDocument) -> Vec<String> {
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

/// All text, for tests that search in it.
pub fn text(document: &ReadDocument) -> String {
    lines(document).join("\n")
}
