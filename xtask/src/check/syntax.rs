//! The sources as syntax trees, for checks that comments and strings must not confuse.

use anyhow::{Context as _, Result};
use syn::{Attribute, Meta};

use super::workspace::TextFile;

/// A parsed source file.
pub struct ParsedFile {
    /// Path from the root of the checkout.
    pub path: String,
    /// Syntax tree of the file.
    pub file: syn::File,
}

/// Parses all sources.
///
/// # Errors
/// If a source is not valid Rust.
pub fn parse(sources: &[TextFile]) -> Result<Vec<ParsedFile>> {
    let parse = |source: &TextFile| {
        let file = syn::parse_file(&source.content).with_context(|| format!("cannot parse {}", source.path))?;
        Ok(ParsedFile { path: source.path.clone(), file })
    };
    sources.iter().map(parse).collect()
}

/// Whether the attributes include exactly `#[cfg(test)]`, and not a combination of conditions.
pub fn is_cfg_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

#[cfg(test)]
pub mod samples {
    use super::*;

    /// A source with this content.
    pub fn source(path: &str, content: &str) -> ParsedFile {
        ParsedFile { path: path.to_owned(), file: syn::parse_file(content).expect("valid Rust") }
    }

    #[test]
    fn only_exactly_cfg_test_marks_a_test() {
        let marks_a_test = |text: &str| {
            let file = syn::parse_file(&format!("{text} mod x {{}}")).expect("valid Rust");
            match &file.items[0] {
                syn::Item::Mod(module) => is_cfg_test(&module.attrs),
                _ => false,
            }
        };
        assert!(marks_a_test("#[cfg(test)]"));
        assert!(!marks_a_test("#[cfg(any(test, feature = \"testing\"))]"));
        assert!(!marks_a_test("#[derive(Debug)]"));
    }
}
