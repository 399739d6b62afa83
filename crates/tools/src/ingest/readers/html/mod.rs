//! Reads HTML: the visible text of a page, with headings, lists and tables.
//!
//! Only the tokenizer of html5ever is used, and not its tree: for deeply nested or badly nested markup the tree's
//! algorithm takes time that grows with the square of the file's size. Scripts, styles and hidden elements are left
//! out.

mod builder;
mod elements;
mod table;

use std::cell::RefCell;

use encoding_rs::Encoding;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, CharacterTokens, EndTag, StartTag, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer,
    TokenizerOpts,
};

use builder::Builder;

use super::reader::Reader;
use super::text::decode_within_limits;
use super::{Block, BlockKind, Limits, Page, ParsedDocument, ReadError, Warning, is_meaningful_title};

/// Number of bytes at the beginning in which a page declares its encoding.
const CHARSET_WINDOW: usize = 1024;

/// Reads HTML files.
pub(super) struct HtmlReader;

impl Reader for HtmlReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError> {
        let (source, mut warnings) = decode(bytes, limits)?;
        let HtmlText { blocks, title, has_hidden_text } = parse(&source, limits)?;
        if has_hidden_text {
            warnings.push(Warning::HiddenText { pages: Vec::new() });
        }
        let first_heading = || {
            blocks.iter().find(|block| block.kind == BlockKind::Heading { level: 1 }).map(|block| block.text.clone())
        };
        let title = title.filter(|title| is_meaningful_title(title)).or_else(first_heading);
        let pages = vec![Page { blocks, ..Page::default() }];
        Ok(ParsedDocument { title, pages, warnings, ..ParsedDocument::default() })
    }
}

/// The text of a page.
pub(super) struct HtmlText {
    pub blocks: Vec<Block>,
    pub title: Option<String>,
    /// Whether text was left out because it is hidden.
    pub has_hidden_text: bool,
}

/// Parses HTML of any quality.
///
/// # Errors
/// `TooLarge` if the text exceeds the limit.
pub(super) fn parse(source: &str, limits: &Limits) -> Result<HtmlText, ReadError> {
    let sink = Sink(RefCell::new(Builder::new(limits.max_text_bytes)));
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(source));
    // The sink never suspends the tokenizer, so one call reads everything.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.into_inner().finish()
}

struct Sink(RefCell<Builder>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut builder = self.0.borrow_mut();
        match token {
            TagToken(tag) if tag.kind == StartTag => {
                builder.start(&tag);
                return match &*tag.name {
                    "script" => TokenSinkResult::RawData(RawKind::ScriptData),
                    "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
                    "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
                    "plaintext" => TokenSinkResult::Plaintext,
                    _ => TokenSinkResult::Continue,
                };
            }
            TagToken(tag) if tag.kind == EndTag => builder.end(&tag.name),
            CharacterTokens(text) => builder.text(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// Decodes a page: by its byte order mark, as UTF-8 if it is valid, else in the encoding that it declares.
fn decode(bytes: &[u8], limits: &Limits) -> Result<(String, Vec<Warning>), ReadError> {
    let declared = if Encoding::for_bom(bytes).is_none() && std::str::from_utf8(bytes).is_err() {
        declared_encoding(bytes)
    } else {
        None
    };
    let decoded = match declared {
        Some(encoding) => {
            let (text, _) = encoding.decode_without_bom_handling(bytes);
            decode_within_limits(text.as_bytes(), limits)?
        }
        None => decode_within_limits(bytes, limits)?,
    };
    Ok((decoded.text, decoded.warnings))
}

/// The encoding that the page declares in a `meta` element.
fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(CHARSET_WINDOW)]).to_ascii_lowercase();
    let (_, rest) = head.split_once("charset=")?;
    let label = rest.trim_start_matches(['"', '\'', ' ']);
    let label = label.split(|c: char| !(c.is_ascii_alphanumeric() || "-_:".contains(c))).next()?;
    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests;
