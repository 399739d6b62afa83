//! Mutations of valid files, as proptest strategies: random changes of bytes, and changes of tokens that the format
//! knows.

use std::io::{Cursor, Read as _, Write as _};
use std::ops::Range;

use lopdf::Document;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::support::bytes;

/// A mutation of a file. An [`Index`] selects a position or a length.
#[derive(Debug, Clone)]
pub enum Mutation {
    /// Flips one bit of the byte at a position.
    Flip(Index, u8),
    /// Removes everything from a position on.
    Truncate(Index),
    /// Removes a block: position, length.
    Drop(Index, Index),
    /// Repeats a block: position, length, number of extra copies.
    Repeat(Index, Index, u8),
    /// Overwrites another position with a copy of a block: source position, length, target position.
    Splice(Index, Index, Index),
    /// Replaces the token at a position with a fixed one.
    ReplaceToken(Index, &'static str),
    /// Replaces the token at the second position with a copy of the token at the first.
    CopyToken(Index, Index),
}

/// Maximum number of bytes that are removed, copied or repeated.
const MAX_BLOCK_BYTES: usize = 600;
/// Files larger than this, in bytes, are not mutated further.
const MAX_FILE_BYTES: usize = 4 << 20;

/// Tokens that parsers of numbers and names may handle badly, for PDF and XML.
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

/// A strategy for one to eight random mutations.
pub fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let index = any::<Index>;
    let mutation = prop_oneof![
        3 => (index(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        1 => index().prop_map(Mutation::Truncate),
        1 => (index(), index()).prop_map(|(at, length)| Mutation::Drop(at, length)),
        2 => (index(), index(), any::<u8>()).prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        2 => (index(), index(), index()).prop_map(|(from, length, to)| Mutation::Splice(from, length, to)),
        6 => (index(), select(TOKENS.to_vec())).prop_map(|(at, token)| Mutation::ReplaceToken(at, token)),
        4 => (index(), index()).prop_map(|(from, to)| Mutation::CopyToken(from, to)),
    ];
    prop::collection::vec(mutation, 1..9)
}

/// Applies mutations to a file, in order.
pub fn apply(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        if bytes.is_empty() || bytes.len() > MAX_FILE_BYTES {
            break;
        }
        mutation.apply(&mut bytes);
    }
    bytes
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let block = |at: &Index, length: &Index| -> Range<usize> {
            let start = at.index(bytes.len());
            start..(start + 1 + length.index(MAX_BLOCK_BYTES)).min(bytes.len())
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
            Self::ReplaceToken(at, token) => {
                let range = token_at(bytes, at.index(bytes.len()));
                bytes.splice(range, token.bytes());
            }
            Self::CopyToken(from, to) => {
                let token = bytes[token_at(bytes, from.index(bytes.len()))].to_vec();
                let range = token_at(bytes, to.index(bytes.len()));
                bytes.splice(range, token);
            }
        }
    }
}

/// The range of the token at or after a position: letters, digits, and the other characters of numbers and names.
fn token_at(bytes: &[u8], at: usize) -> Range<usize> {
    let is_token_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"/.:+-_".contains(byte);
    let start = bytes[at..].iter().position(is_token_byte).map_or(at, |skip| at + skip);
    let before = bytes[..start].iter().rev().take_while(|byte| is_token_byte(byte)).take(40).count();
    let after = bytes[start..].iter().take_while(|byte| is_token_byte(byte)).take(40).count();
    start - before..start + after
}

/// A PDF fixture with uncompressed streams, so that mutations hit their content.
pub fn decompressed_pdf(name: &str) -> Vec<u8> {
    let mut document = Document::load_mem(&bytes(name)).unwrap();
    document.decompress();
    let mut out = Vec::new();
    document.save_to(&mut out).unwrap();
    out
}

/// The names and contents of all parts of a DOCX fixture.
pub fn unzip_fixture(name: &str) -> Vec<(String, Vec<u8>)> {
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

/// Builds a ZIP archive with these parts.
pub fn build_zip(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, part) in parts {
        archive.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        archive.write_all(part).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
