//! Changes to valid files, random ones and ones that know the format, as proptest strategies.

use std::io::{Cursor, Read as _, Write as _};
use std::ops::Range;

use lopdf::Document;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::support::bytes;

/// A change of bytes at any position.
#[derive(Debug, Clone)]
pub enum Change {
    /// Flips one bit.
    Flip(Index, u8),
    /// Cuts off the rest.
    Truncate(Index),
    /// Removes a block.
    Drop(Index, Index),
    /// Repeats a block.
    Repeat(Index, Index, u8),
    /// Overwrites another position with a copy of a block.
    Splice(Index, Index, Index),
    /// Replaces a token by a fixed one.
    Token(Index, &'static str),
    /// Replaces a token by another token of the file.
    Swap(Index, Index),
}

/// Largest block that is copied or repeated.
const BLOCK: usize = 600;
/// Files above this size are not changed further.
const MAX_FILE: usize = 4 << 20;

/// Tokens that number and name parsers may handle badly, for PDF and XML.
const TOKENS: [&str; 30] = [
    "0",
    "-1",
    "1",
    "4294967295",
    "-2147483648",
    "9223372036854775807",
    "99999999999999999999",
    "1e38",
    "0.0000001",
    "NaN",
    "null",
    "true",
    "<<",
    ">>",
    "[",
    "]",
    "(",
    ")",
    "/Kids",
    "/Parent",
    "/Length",
    "1 0 R",
    "3 0 R",
    "stream",
    "endobj",
    "w:tbl",
    "w:tc",
    "/w:p",
    "&#0;",
    "<",
];

/// One to eight random changes.
pub fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<Index>;
    let change = prop_oneof![
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => at().prop_map(Change::Truncate),
        1 => (at(), at()).prop_map(|(at, length)| Change::Drop(at, length)),
        2 => (at(), at(), any::<u8>()).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        2 => (at(), at(), at()).prop_map(|(from, length, to)| Change::Splice(from, length, to)),
        6 => (at(), select(TOKENS.to_vec())).prop_map(|(at, token)| Change::Token(at, token)),
        4 => (at(), at()).prop_map(|(from, to)| Change::Swap(from, to)),
    ];
    prop::collection::vec(change, 1..9)
}

/// Applies all changes to a file.
pub fn apply(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() || bytes.len() > MAX_FILE {
            break;
        }
        change.apply(&mut bytes);
    }
    bytes
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let block = |at: &Index, length: &Index| -> Range<usize> {
            let start = at.index(bytes.len());
            start..(start + 1 + length.index(BLOCK)).min(bytes.len())
        };
        match self {
            Self::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Self::Drop(at, length) => drop(bytes.drain(block(at, length))),
            Self::Repeat(at, length, times) => {
                let block = block(at, length);
                let copies = bytes[block.clone()].repeat(usize::from(*times));
                bytes.splice(block.end..block.end, copies);
            }
            Self::Splice(from, length, to) => {
                let part = bytes[block(from, length)].to_vec();
                let to = to.index(bytes.len());
                let end = (to + part.len()).min(bytes.len());
                bytes.splice(to..end, part);
            }
            Self::Token(at, token) => {
                let range = token_at(bytes, at.index(bytes.len()));
                bytes.splice(range, token.bytes());
            }
            Self::Swap(from, to) => {
                let token = bytes[token_at(bytes, from.index(bytes.len()))].to_vec();
                let range = token_at(bytes, to.index(bytes.len()));
                bytes.splice(range, token);
            }
        }
    }
}

/// The word at or after a position: letters, digits, and characters of numbers and names.
fn token_at(bytes: &[u8], at: usize) -> Range<usize> {
    let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"/.:+-_".contains(byte);
    let start = bytes[at..].iter().position(in_word).map_or(at, |skip| at + skip);
    let before = bytes[..start].iter().rev().take_while(|byte| in_word(byte)).take(40).count();
    let after = bytes[start..].iter().take_while(|byte| in_word(byte)).take(40).count();
    start - before..start + after
}

/// A PDF with uncompressed streams, so that changes hit their content.
pub fn unpacked_pdf(name: &str) -> Vec<u8> {
    let mut document = Document::load_mem(&bytes(name)).unwrap();
    document.decompress();
    let mut out = Vec::new();
    document.save_to(&mut out).unwrap();
    out
}

/// The parts of a ZIP archive.
pub fn unzipped(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(bytes(name))).unwrap();
    let count = archive.len();
    let read = |number| {
        let mut entry = archive.by_index(number).unwrap();
        let mut part = Vec::new();
        entry.read_to_end(&mut part).unwrap();
        (entry.name().unwrap().into_owned(), part)
    };
    (0..count).map(read).collect()
}

/// A ZIP archive with these parts.
pub fn zipped(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, part) in parts {
        archive.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        archive.write_all(part).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
