//! Neutralizes markup in a streamed answer that could make the reader's client send a request.
//!
//! Answers quote documents verbatim, and a document may contain `![](https://example.com/?q=…)`. A client that renders
//! it would send data about the user's question to that server. So images, links, HTML tags and URLs are changed so
//! that Markdown and HTML renderers do not recognize them. Only images and links to an absolute path on the platform
//! itself stay as they are. The change is a zero-width space within the markup, so the visible text stays the same.
//! Code blocks are treated in the same way, because only the renderer knows where one ends.

/// Zero-width space; breaks markup without changing the visible text.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// Schemes that renderers turn into links automatically (autolinks of GitHub Flavored Markdown).
const SCHEMES: &[&[char]] = &[&['h', 't', 't', 'p', ':'], &['h', 't', 't', 'p', 's', ':'], &['f', 't', 'p', ':']];
/// Number of preceding characters to remember: the length of the longest scheme with its colon.
const LOOKBEHIND: usize = 6;

/// Sanitizes an answer piece by piece, and keeps the state between pieces.
#[derive(Clone, Debug)]
pub struct MarkupSanitizer {
    /// The last characters that were emitted, in lower case; U+0000 before the beginning.
    last_emitted: [char; LOOKBEHIND],
    /// `(` or `(/` after an emitted `]`, held back until the next character shows where the link leads.
    pending: String,
}

impl Default for MarkupSanitizer {
    fn default() -> Self {
        Self { last_emitted: ['\0'; LOOKBEHIND], pending: String::new() }
    }
}

impl MarkupSanitizer {
    /// Sanitizes the next piece of the answer. The beginning of a link may be held back until the next piece.
    pub fn push(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        for c in piece.chars() {
            match (self.pending.as_str(), c) {
                ("(", '/') => self.pending.push(c),
                // A path on the platform. `//` and `/\` would start the name of another host.
                ("(/", c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~') => {
                    let pending = std::mem::take(&mut self.pending);
                    self.emit_all(&pending, &mut out);
                    self.emit(c, &mut out);
                }
                ("", '(') if self.ends_with(&[']']) => self.pending.push(c),
                ("", c) => self.sanitize(c, &mut out),
                _ => {
                    self.flush(&mut out);
                    self.sanitize(c, &mut out);
                }
            }
        }
        out
    }

    /// Returns the text that was held back. Must be called at the end of the answer.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.flush(&mut out);
        out
    }

    /// Emits the held-back start of a link that does not lead to an absolute path on the platform, with a break in it.
    fn flush(&mut self, out: &mut String) {
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            out.push(ZERO_WIDTH_SPACE);
            self.emit_all(&pending, out);
        }
    }

    fn sanitize(&mut self, c: char, out: &mut String) {
        if self.begins_markup(c) {
            out.push(ZERO_WIDTH_SPACE);
            self.last_emitted = ['\0'; LOOKBEHIND];
        }
        self.emit(c, out);
    }

    /// Returns whether `c`, after the emitted text, would form markup that a renderer acts on.
    fn begins_markup(&self, c: char) -> bool {
        match c {
            // A reference definition: `[label]: https://…`
            ':' => self.ends_with(&[']']),
            // `www.` without a scheme.
            '.' => self.ends_with(&['w', 'w', 'w']),
            // The end of a tag, or a scheme: `</a`, `https:/…`
            '/' => self.ends_with(&['<']) || SCHEMES.iter().any(|scheme| self.ends_with(scheme)),
            // A tag, a comment or an autolink: `<img`, `<!--`, `<https:`
            '!' | '?' => self.ends_with(&['<']),
            c => c.is_ascii_alphabetic() && self.ends_with(&['<']),
        }
    }

    /// Whether the emitted text ends with these characters.
    fn ends_with(&self, ending: &[char]) -> bool {
        self.last_emitted.ends_with(ending)
    }

    fn emit_all(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            self.emit(c, out);
        }
    }

    fn emit(&mut self, c: char, out: &mut String) {
        out.push(c);
        self.last_emitted.rotate_left(1);
        self.last_emitted[LOOKBEHIND - 1] = c.to_ascii_lowercase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sanitized text, pushed in pieces of `size` characters.
    fn sanitize_in_pieces(text: &str, size: usize) -> String {
        let mut sanitizer = MarkupSanitizer::default();
        let chars: Vec<char> = text.chars().collect();
        let mut out: String =
            chars.chunks(size).map(|piece| sanitizer.push(&piece.iter().collect::<String>())).collect();
        out.push_str(&sanitizer.finish());
        out
    }

    #[test]
    fn active_markup_is_broken_wherever_the_pieces_end() {
        for (markup, active_part) in [
            ("![x](https://evil.example/?q=1)", "]("),
            ("[x](https://evil.example)", "]("),
            ("[x](//evil.example)", "]("),
            ("[x](/\\evil.example)", "]("),
            ("[x](javascript:alert(1))", "]("),
            ("![x](data:image/png;base64,AA)", "]("),
            ("[x]: https://evil.example", "]:"),
            ("https://evil.example", "https:/"),
            ("HTTPS://evil.example", "HTTPS:/"),
            ("ftp://evil.example", "ftp:/"),
            ("www.evil.example", "www."),
            ("<https://evil.example>", "<h"),
            ("<img src=x>", "<img"),
            ("</a>", "</"),
            ("<!-- x", "<!"),
            ("[x](", "]("),
        ] {
            for size in 1..=markup.len() {
                let out = sanitize_in_pieces(markup, size);
                assert!(!out.contains(active_part), "{markup} in pieces of {size}: {out}");
                assert_eq!(out.replace(ZERO_WIDTH_SPACE, ""), markup, "only breaks are added");
            }
        }
    }

    #[test]
    fn plain_text_and_links_to_the_platform_are_unchanged() {
        for text in [
            "The torque is 480 N·m [1][2]. See [Annex] (page 3): p < 5 bar, 3<5.",
            "[the manual](/v1/documents/0190/content) and ![p](/ui/page.png)",
            "ratio 1:2, C:/plant, opc.tcp://server:4840, P&ID",
        ] {
            for size in [1, 3, text.len()] {
                assert_eq!(sanitize_in_pieces(text, size), text);
            }
        }
    }

    proptest! {
        #[test]
        fn the_size_of_pieces_makes_no_difference_and_no_text_is_removed(
            text in "[\\[\\](/:.<a-zhtps!w]{0,40}",
            size in 1_usize..5,
        ) {
            let out = sanitize_in_pieces(&text, size);
            prop_assert_eq!(&out, &sanitize_in_pieces(&text, text.len().max(1)));
            prop_assert_eq!(out.replace(ZERO_WIDTH_SPACE, ""), text);
        }
    }
}
