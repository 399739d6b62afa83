//! Reads Markdown (CommonMark with tables, footnotes and front matter) into blocks of plain text.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, MetadataBlockKind, Options, Parser, Tag, TagEnd};

use super::clean::{clean, clean_line};
use super::reader::Reader;
use super::text::DecodedText;
use super::{Block, BlockKind, Limits, Page, ParsedDocument, ReadError, text};

/// Reads Markdown. Markup is removed, so the text is what a renderer would show.
pub(super) struct MarkdownReader;

impl Reader for MarkdownReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError> {
        let DecodedText { text: source, warnings } = text::decode_within_limits(bytes, limits)?;
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
            | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
        let mut builder = Builder::default();
        for event in Parser::new_ext(&source, options) {
            builder.handle_event(event);
        }
        builder.flush(BlockKind::Paragraph);
        let title = builder.title.or_else(|| first_title(&builder.blocks));
        Ok(ParsedDocument {
            title,
            pages: vec![Page { blocks: builder.blocks, ..Page::default() }],
            warnings,
            ..ParsedDocument::default()
        })
    }
}

/// The text of the first level-1 heading.
fn first_title(blocks: &[Block]) -> Option<String> {
    blocks.iter().find(|block| block.kind == BlockKind::Heading { level: 1 }).map(|block| block.text.clone())
}

/// Builds blocks from parser events.
#[derive(Default)]
struct Builder {
    blocks: Vec<Block>,
    title: Option<String>,
    text: String,
    cells: Vec<String>,
    /// The next number of each open list, outermost list first; `None` for unordered lists.
    lists: Vec<Option<u64>>,
    in_code: bool,
    in_metadata: bool,
    html: String,
}

impl Builder {
    fn handle_event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start_tag(tag),
            Event::End(tag) => self.end_tag(tag),
            Event::Text(text) | Event::Code(text) => self.text.push_str(&text),
            Event::SoftBreak => self.text.push(' '),
            Event::HardBreak => self.text.push('\n'),
            Event::Html(html) => self.html.push_str(&html),
            Event::FootnoteReference(label) => self.text.push_str(&format!("[{label}]")),
            Event::TaskListMarker(done) => self.text.push_str(if done { "[x] " } else { "[ ] " }),
            Event::InlineMath(math) | Event::DisplayMath(math) => self.text.push_str(&math),
            Event::InlineHtml(tag) if tag.starts_with("<br") => self.text.push('\n'),
            Event::InlineHtml(_) | Event::Rule => {}
        }
    }

    fn start_tag(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::CodeBlock(kind) => {
                self.flush(BlockKind::Paragraph);
                self.in_code = true;
                // The info string of a code fence, such as `sql`, names the language. Keep it so that a search for the
                // language finds the code.
                if let CodeBlockKind::Fenced(info) = kind
                    && !info.is_empty()
                {
                    self.text.push_str(&info);
                    self.text.push('\n');
                }
            }
            Tag::List(first) => {
                self.flush(BlockKind::ListItem);
                self.lists.push(first);
            }
            Tag::Item => self.start_item(),
            Tag::FootnoteDefinition(label) => self.text.push_str(&format!("[{label}] ")),
            Tag::MetadataBlock(_) => self.in_metadata = true,
            Tag::Heading { .. } | Tag::Table(_) => self.flush(BlockKind::Paragraph),
            _ => {}
        }
    }

    fn start_item(&mut self) {
        self.flush(BlockKind::ListItem);
        let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(8));
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            _ => "- ".to_owned(),
        };
        self.text = format!("{indent}{marker}");
    }

    fn end_tag(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => self.end_paragraph(),
            TagEnd::Heading(level) => self.flush(BlockKind::Heading { level: level_number(level) }),
            TagEnd::CodeBlock => {
                self.in_code = false;
                self.push(BlockKind::Code, |text| clean(text).trim_end().to_owned());
            }
            TagEnd::Item => self.flush(BlockKind::ListItem),
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::TableCell => self.cells.push(clean_line(&std::mem::take(&mut self.text))),
            TagEnd::TableHead => self.end_row(true),
            TagEnd::TableRow => self.end_row(false),
            TagEnd::HtmlBlock => {
                let html = std::mem::take(&mut self.html);
                self.text.push_str(unescape(&strip_tags(&html)).trim_start());
                self.flush(BlockKind::Paragraph);
            }
            TagEnd::MetadataBlock(kind) => self.end_metadata(kind),
            TagEnd::FootnoteDefinition => self.flush(BlockKind::Paragraph),
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        let kind = if self.lists.is_empty() { BlockKind::Paragraph } else { BlockKind::ListItem };
        self.flush(kind);
    }

    fn end_row(&mut self, header: bool) {
        let cells = std::mem::take(&mut self.cells);
        if cells.iter().any(|cell| !cell.is_empty()) {
            self.blocks.push(Block::new(BlockKind::TableRow { header }, cells.join(" | ")));
        }
    }

    /// Takes the title from the front matter and ignores everything else in it.
    fn end_metadata(&mut self, kind: MetadataBlockKind) {
        let separator = if kind == MetadataBlockKind::PlusesStyle { '=' } else { ':' };
        let metadata = std::mem::take(&mut self.text);
        self.in_metadata = false;
        self.title = metadata.lines().find_map(|line| {
            let (key, value) = line.split_once(separator)?;
            let value = clean_line(value.trim().trim_matches(['"', '\'']));
            (key.trim().eq_ignore_ascii_case("title") && !value.is_empty()).then_some(value)
        });
    }

    /// Ends the current block, which becomes a list item inside a list. Does nothing in code and front matter.
    fn flush(&mut self, kind: BlockKind) {
        let kind = if kind == BlockKind::Paragraph && !self.lists.is_empty() { BlockKind::ListItem } else { kind };
        if !self.in_code && !self.in_metadata {
            self.push(kind, |text| text.lines().map(clean_indented).collect::<Vec<_>>().join("\n"));
        }
    }

    /// Adds the collected text as a block, unless nothing remains of it after `clean_text`.
    fn push(&mut self, kind: BlockKind, clean_text: impl Fn(&str) -> String) {
        let text = clean_text(&std::mem::take(&mut self.text));
        if !text.trim().is_empty() && text.trim() != "-" {
            self.blocks.push(Block::new(kind, text));
        }
    }
}

/// Normalizes a line but keeps its indentation, which shows the nesting of list items.
fn clean_indented(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    format!("{}{}", &line[..indent], clean_line(line))
}

fn level_number(level: HeadingLevel) -> u8 {
    level as u8
}

/// Returns the text of an HTML block, without tags, comments, scripts and styles.
fn strip_tags(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let lower: String = rest.chars().take(8).collect::<String>().to_ascii_lowercase();
        let end = match lower.as_str() {
            tag if tag.starts_with("<!--") => "-->",
            tag if tag.starts_with("<script") => "</script>",
            tag if tag.starts_with("<style") => "</style>",
            _ => ">",
        };
        rest = rest.find(end).map_or("", |at| &rest[at + end.len()..]);
        out.push(' ');
    }
    out.push_str(rest);
    out
}

/// Replaces the most common HTML character references.
fn unescape(text: &str) -> String {
    const NAMED: [(&str, &str); 5] = [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    NAMED.iter().fold(text.to_owned(), |text, (name, character)| text.replace(name, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> ParsedDocument {
        MarkdownReader.read(source.as_bytes(), &Limits::default()).unwrap()
    }

    fn blocks(source: &str) -> Vec<(BlockKind, String)> {
        read(source).pages.remove(0).blocks.into_iter().map(|block| (block.kind, block.text)).collect()
    }

    #[test]
    fn front_matter_gives_the_title_and_no_text() {
        let document = read("---\ntitle: \"Pump manual\"\nauthor: x\n---\n\n# One\n\nText.\n");
        assert_eq!(document.title.as_deref(), Some("Pump manual"));
        assert_eq!(document.pages[0].blocks[0], Block::new(BlockKind::Heading { level: 1 }, "One"));
    }

    #[test]
    fn without_front_matter_the_first_heading_is_the_title() {
        assert_eq!(read("Intro\n\n# Pump\n").title.as_deref(), Some("Pump"));
    }

    #[test]
    fn each_table_row_is_a_block_and_the_header_row_is_flagged() {
        assert_eq!(
            blocks("| Tag | Range |\n|---|---|\n| PIT-1001 | 0-10 bar |\n"),
            [
                (BlockKind::TableRow { header: true }, "Tag | Range".into()),
                (BlockKind::TableRow { header: false }, "PIT-1001 | 0-10 bar".into())
            ]
        );
    }

    #[test]
    fn code_keeps_its_lines_and_markup_is_resolved() {
        assert_eq!(
            blocks("Press **start** on [the panel](http://x).\n\n```st\nIF a THEN\n  b := 1;\n```\n"),
            [
                (BlockKind::Paragraph, "Press start on the panel.".into()),
                (BlockKind::Code, "st\nIF a THEN\n  b := 1;".into())
            ]
        );
    }

    #[test]
    fn lists_keep_their_numbers_and_nesting() {
        assert_eq!(
            blocks("1. open\n2. close\n   - slowly\n"),
            [
                (BlockKind::ListItem, "1. open".into()),
                (BlockKind::ListItem, "2. close".into()),
                (BlockKind::ListItem, "  - slowly".into())
            ]
        );
    }

    #[test]
    fn html_comments_and_scripts_are_omitted() {
        assert_eq!(
            blocks("<div>shown&nbsp;R&amp;D<!-- hidden --><script>x</script></div>\n"),
            [(BlockKind::Paragraph, "shown R&D".into())]
        );
    }
}
