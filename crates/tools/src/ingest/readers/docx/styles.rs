//! Styles that make a paragraph a heading, list item, code or hidden text. Works in any language version of Word.

use std::collections::HashMap;

use super::super::ReadError;
use super::super::xml::{Token, XmlReader};
use super::shading::is_background;

/// One style definition (`w:style`).
#[derive(Debug, Default, Clone)]
struct Style {
    name: String,
    based_on: Option<String>,
    /// Outline level: 0 for the outermost heading, 9 for body text.
    outline: Option<u8>,
    numbering: Option<Numbering>,
    vanish: Option<bool>,
    shaded: bool,
}

/// A reference to a list and to one of its levels.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Numbering {
    /// Id of the list. `None` keeps the list of the style; `0` takes the paragraph out of any list.
    pub list: Option<u32>,
    pub level: Option<usize>,
}

/// The styles of a document, by id.
#[derive(Debug, Default)]
pub(super) struct Styles {
    styles: HashMap<String, Style>,
    default: Option<String>,
}

/// Maximum length of a chain of styles that are based on each other; a crafted file may contain a cycle.
const MAX_ANCESTORS: usize = 20;

impl Styles {
    /// Parses the styles part (`styles.xml`).
    ///
    /// # Errors
    /// `Corrupt` for malformed XML.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        let mut styles = Self::default();
        let mut xml = XmlReader::new(text);
        let mut current: Option<(String, Style)> = None;
        loop {
            match xml.next()? {
                Token::StartTag(element) => match (element.name(), &mut current) {
                    ("style", _) => {
                        let id = element.attribute("styleId").unwrap_or_default();
                        let is_default =
                            element.attribute("default").is_some_and(|value| value == "1" || value == "true");
                        if is_default && element.attribute("type").is_some_and(|kind| kind == "paragraph") {
                            styles.default = Some(id.clone());
                        }
                        current = Some((id, Style::default()));
                    }
                    ("name", Some((_, style))) => style.name = element.value().unwrap_or_default().to_lowercase(),
                    ("basedOn", Some((_, style))) => style.based_on = element.value(),
                    ("outlineLvl", Some((_, style))) => {
                        style.outline = element.value().and_then(|level| level.parse().ok())
                    }
                    ("shd", Some((_, style))) => style.shaded |= is_background(&element),
                    ("vanish", Some((_, style))) => style.vanish = Some(element.is_on()),
                    ("numId", Some((_, style))) => {
                        style.numbering.get_or_insert_default().list = element.value().and_then(|id| id.parse().ok());
                    }
                    ("ilvl", Some((_, style))) => {
                        style.numbering.get_or_insert_default().level =
                            element.value().and_then(|level| level.parse().ok());
                    }
                    _ => {}
                },
                Token::EndTag(name) if name == "style" => {
                    if let Some((id, style)) = current.take() {
                        styles.styles.insert(id, style);
                    }
                }
                Token::EndOfDocument => return Ok(styles),
                _ => {}
            }
        }
    }

    /// Returns the heading level of a style, 1 to 6. It comes from the outline level or from the English style name,
    /// which Word writes in every language version (`heading 2`, even if the id is `berschrift2`).
    pub fn heading_level(&self, id: Option<&str>) -> Option<u8> {
        let level = self.with_ancestors(id).find_map(|style| {
            let named = style.name.strip_prefix("heading ").and_then(|level| level.parse::<u8>().ok());
            style.outline.or(named.map(|level| level.saturating_sub(1)))
        });
        level.filter(|level| *level < 9).map(|level| (level + 1).min(6)).or_else(|| self.is_title(id).then_some(1))
    }

    /// Whether this is the style of the document title.
    pub fn is_title(&self, id: Option<&str>) -> bool {
        self.with_ancestors(id).any(|style| style.name == "title")
    }

    /// Whether this is a style for source code.
    pub fn is_code(&self, id: Option<&str>) -> bool {
        self.with_ancestors(id).any(|style| {
            matches!(style.name.as_str(), "html preformatted" | "macro text" | "plain text" | "source code" | "code")
        })
    }

    /// Whether a style hides its text.
    pub fn is_hidden(&self, id: Option<&str>) -> bool {
        self.with_ancestors(id).find_map(|style| style.vanish).unwrap_or(false)
    }

    /// The list that a style assigns to its paragraphs, if any.
    pub fn numbering(&self, id: Option<&str>) -> Option<Numbering> {
        self.with_ancestors(id).find_map(|style| style.numbering.clone().filter(|numbering| numbering.list.is_some()))
    }

    /// Whether a run's character style hides it; false for a run without a style.
    pub fn is_hidden_run(&self, id: Option<&str>) -> bool {
        id.is_some() && self.is_hidden(id)
    }

    /// Whether paragraphs of this style have a background that is not white.
    pub fn is_shaded(&self, id: Option<&str>) -> bool {
        self.with_ancestors(id).any(|style| style.shaded)
    }

    /// The style and its ancestors, nearest first; without an id, starts at the default paragraph style.
    fn with_ancestors<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Style> {
        let first = id.or(self.default.as_deref()).and_then(|id| self.styles.get(id));
        std::iter::successors(first, |style| self.styles.get(style.based_on.as_deref()?)).take(MAX_ANCESTORS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"<w:styles xmlns:w="x">
        <w:style w:type="paragraph" w:default="1" w:styleId="Standard"><w:name w:val="Normal"/></w:style>
        <w:style w:styleId="berschrift2"><w:name w:val="heading 2"/><w:basedOn w:val="Standard"/></w:style>
        <w:style w:styleId="Kapitel"><w:name w:val="Werk Kapitel"/><w:basedOn w:val="berschrift2"/>
            <w:pPr><w:numPr><w:ilvl w:val="1"/><w:numId w:val="7"/></w:numPr></w:pPr></w:style>
        <w:style w:styleId="Anlage"><w:name w:val="Anlage"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>
        <w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>
        <w:style w:styleId="Loop"><w:name w:val="loop"/><w:basedOn w:val="Loop"/></w:style></w:styles>"#;

    #[test]
    fn headings_are_found_by_outline_level_or_inherited_name() {
        let styles = Styles::parse(SAMPLE).unwrap();
        let level = |id| styles.heading_level(Some(id));
        assert_eq!(level("berschrift2"), Some(2));
        assert_eq!(level("Kapitel"), Some(2));
        assert_eq!(level("Anlage"), Some(1));
        assert_eq!(level("Titel"), Some(1));
        assert_eq!(level("Loop"), None);
        assert_eq!(styles.heading_level(None), None);
    }

    #[test]
    fn a_style_can_assign_a_list() {
        let styles = Styles::parse(SAMPLE).unwrap();
        assert_eq!(styles.numbering(Some("Kapitel")), Some(Numbering { list: Some(7), level: Some(1) }));
    }
}
