//! Reads XML as tokens with local names. Rejects document type declarations and deep nesting, and ignores custom
//! entities.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::ReadError;

/// Maximum nesting depth of elements; Word itself stays below a hundred.
const MAX_DEPTH: usize = 512;

/// One token of an XML document.
pub(super) enum Token<'a> {
    /// A start tag. An empty element is returned as a start tag followed by an end tag.
    StartTag(Element<'a>),
    /// An end tag, with its local name.
    EndTag(String),
    /// Text; character references and predefined entities are resolved.
    Text(String),
    /// The end of the document.
    EndOfDocument,
}

/// A start tag with its attributes.
pub(super) struct Element<'a>(BytesStart<'a>);

impl Element<'_> {
    /// The element's name without its namespace prefix.
    pub fn name(&self) -> &str {
        self.0.local_name().into_inner()
    }

    /// The value of the attribute with this local name.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let attribute =
            self.0.attributes().with_checks(false).flatten().find(|a| a.key.local_name().as_ref() == name)?;
        attribute.normalized_value(XmlVersion::Implicit1_0).ok().map(|value| value.into_owned())
    }

    /// The value of the attribute with this local name and any namespace prefix.
    pub fn prefixed_attribute(&self, name: &str) -> Option<String> {
        let is_wanted = |key: &str| key.split_once(':').is_some_and(|(_, local)| local == name);
        let attribute = self.0.attributes().with_checks(false).flatten().find(|a| is_wanted(a.key.as_ref()))?;
        attribute.normalized_value(XmlVersion::Implicit1_0).ok().map(|value| value.into_owned())
    }

    /// The value of the `val` attribute, which holds the value of most properties.
    pub fn value(&self) -> Option<String> {
        self.attribute("val")
    }

    /// Whether a toggle property is on; a missing `val` attribute means on.
    pub fn is_on(&self) -> bool {
        !matches!(self.value().as_deref(), Some("0" | "false" | "off" | "none"))
    }
}

/// Reads tokens from XML text.
pub(super) struct XmlReader<'a> {
    reader: Reader<&'a [u8]>,
    /// Number of elements that are open at the current position.
    depth: usize,
}

impl<'a> XmlReader<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Self { reader, depth: 0 }
    }

    /// Reads the next token; processing instructions and XML comments are skipped.
    ///
    /// # Errors
    /// `Corrupt` for malformed XML, for a document type declaration, and for too deep nesting.
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
                    Token::StartTag(Element(start))
                }
                Event::End(end) => {
                    self.depth = self.depth.saturating_sub(1);
                    Token::EndTag(end.local_name().into_inner().to_owned())
                }
                Event::Text(text) => Token::Text(text.xml10_content().into_owned()),
                Event::CData(text) => Token::Text(text.xml10_content().into_owned()),
                Event::GeneralRef(reference) => {
                    Token::Text(resolve_reference(&reference, reference.resolve_char_ref().ok().flatten()))
                }
                Event::DocType(_) => return Err(ReadError::corrupt("it declares a document type")),
                Event::Eof if self.depth > 0 => return Err(ReadError::corrupt("a part of it ends early")),
                Event::Eof => Token::EndOfDocument,
                _ => continue,
            });
        }
    }

    /// Skips the rest of the element whose start tag was just read.
    ///
    /// # Errors
    /// Same as [`XmlReader::next`].
    pub fn skip(&mut self) -> Result<(), ReadError> {
        let outer_depth = self.depth.saturating_sub(1);
        while self.depth > outer_depth {
            self.next()?;
        }
        Ok(())
    }

    /// Calls `each` for every start tag inside the element that was just opened, at any depth, and reads up to its end.
    ///
    /// # Errors
    /// Same as [`XmlReader::next`].
    pub fn for_each_inside(&mut self, mut each: impl FnMut(&Element<'a>)) -> Result<(), ReadError> {
        let outer_depth = self.depth.saturating_sub(1);
        while self.depth > outer_depth {
            if let Token::StartTag(element) = self.next()? {
                each(&element);
            }
        }
        Ok(())
    }
}

/// Returns the text of a character reference or of one of the five predefined entities; empty for any other entity.
fn resolve_reference(name: &str, character: Option<char>) -> String {
    let predefined = match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    };
    character.or(predefined).map(String::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str) -> Result<String, ReadError> {
        let mut xml = XmlReader::new(source);
        let mut out = String::new();
        loop {
            match xml.next()? {
                Token::Text(text) => out.push_str(&text),
                Token::EndOfDocument => return Ok(out),
                _ => {}
            }
        }
    }

    #[test]
    fn references_are_resolved_and_custom_entities_are_dropped() {
        assert_eq!(text("<a>x &lt; &#228;&#x41; &own;</a>").unwrap(), "x < äA ");
    }

    #[test]
    fn document_types_and_deep_nesting_are_refused() {
        assert!(text("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>").is_err());
        assert!(text(&"<a>".repeat(600)).is_err());
        assert!(text("<a><b></b>").is_err());
    }
}
