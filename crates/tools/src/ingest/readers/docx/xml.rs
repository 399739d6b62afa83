//! XML as tokens with local names. Document types, custom entities and deep nesting are refused.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::super::ReadError;

/// Deepest nesting; Word itself stays below a hundred.
const MAX_DEPTH: usize = 512;

/// A token of the document.
pub(super) enum Token<'a> {
    /// A start tag; an empty element is followed by its end tag.
    Open(Element<'a>),
    /// Local name of an end tag.
    Close(String),
    /// Text with resolved references.
    Text(String),
    End,
}

/// A start tag.
pub(super) struct Element<'a>(BytesStart<'a>);

impl Element<'_> {
    /// The local name.
    pub fn name(&self) -> &str {
        self.0.local_name().into_inner()
    }

    /// The value of an attribute by its local name.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let attribute =
            self.0.attributes().with_checks(false).flatten().find(|a| a.key.local_name().as_ref() == name)?;
        attribute.normalized_value(XmlVersion::Implicit1_0).ok().map(|value| value.into_owned())
    }

    /// The `val` attribute.
    pub fn value(&self) -> Option<String> {
        self.attribute("val")
    }

    /// Whether a toggle property is on, which is the default without a value.
    pub fn is_on(&self) -> bool {
        !matches!(self.value().as_deref(), Some("0" | "false" | "off" | "none"))
    }
}

/// Reads tokens from XML text.
pub(super) struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    depth: usize,
}

impl<'a> Xml<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Self { reader, depth: 0 }
    }

    /// # Errors
    /// `Corrupt` for malformed XML, a document type declaration, or too deep nesting.
    pub fn next(&mut self) -> Result<Token<'a>, ReadError> {
        loop {
            let event =
                self.reader.read_event().map_err(|_| ReadError::corrupt("a part of it is not well-formed XML"))?;
            return Ok(match event {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(ReadError::corrupt("its XML is nested too deeply"));
                    }
                    Token::Open(Element(start))
                }
                Event::End(end) => {
                    self.depth = self.depth.saturating_sub(1);
                    Token::Close(end.local_name().into_inner().to_owned())
                }
                Event::Text(text) => Token::Text(text.xml10_content().into_owned()),
                Event::CData(text) => Token::Text(text.xml10_content().into_owned()),
                Event::GeneralRef(reference) => {
                    Token::Text(resolve(&reference, reference.resolve_char_ref().ok().flatten()))
                }
                Event::DocType(_) => return Err(ReadError::corrupt("it declares a document type")),
                Event::Eof if self.depth > 0 => return Err(ReadError::corrupt("a part of it ends early")),
                Event::Eof => Token::End,
                _ => continue,
            });
        }
    }

    /// Skips the element that was just opened.
    ///
    /// # Errors
    /// Same as [`Xml::next`].
    pub fn skip(&mut self) -> Result<(), ReadError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            self.next()?;
        }
        Ok(())
    }

    /// Calls `each` for every element inside the one that was just opened, up to its end.
    ///
    /// # Errors
    /// Same as [`Xml::next`].
    pub fn inside(&mut self, mut each: impl FnMut(&Element<'a>)) -> Result<(), ReadError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            if let Token::Open(element) = self.next()? {
                each(&element);
            }
        }
        Ok(())
    }
}

/// Resolves a character reference or one of the five predefined entities.
fn resolve(name: &str, character: Option<char>) -> String {
    let named = match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    };
    character.or(named).map(String::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str) -> Result<String, ReadError> {
        let mut xml = Xml::new(source);
        let mut out = String::new();
        loop {
            match xml.next()? {
                Token::Text(text) => out.push_str(&text),
                Token::End => return Ok(out),
                _ => {}
            }
        }
    }

    #[test]
    fn references_resolve_and_custom_entities_do_not_exist() {
        assert_eq!(text("<a>x &lt; &#228;&#x41; &own;</a>").unwrap(), "x < äA ");
    }

    #[test]
    fn document_types_and_deep_nesting_are_refused() {
        assert!(text("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>").is_err());
        assert!(text(&"<a>".repeat(600)).is_err());
        assert!(text("<a><b></b>").is_err());
    }
}
