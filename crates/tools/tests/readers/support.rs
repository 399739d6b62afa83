//! Fixtures and short forms of what was read.

use std::path::PathBuf;

use tools::ingest::readers::{BlockKind, Limits, ReadDocument, ReadError, read, sniff};

/// The bytes of a fixture.
pub fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Sniffs and reads bytes with the default limits.
pub fn read_bytes(bytes: &[u8], name: &str) -> Result<ReadDocument, ReadError> {
    let format = sniff(bytes, name).ok_or(ReadError::Unsupported)?;
    read(format, bytes, name, &Limits::default())
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

/// All text, for tests that only ask what is in it.
pub fn text(document: &ReadDocument) -> String {
    lines(document).join("\n")
}
