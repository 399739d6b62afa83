//! Splits a question into words, numbers and identifiers of equipment and documents (`P-101A`, `SOP-MNT-014`).

use std::borrow::Cow;
use std::ops::Range;

/// Letters that, before a number, name a grade, a size or a standard: `VG46` is not equipment.
const GRADES: &[&str] = &["DIN", "DN", "EN", "IP", "ISO", "PN", "SIL", "VG", "PT", "HLP", "CLP", "FFP", "M"];

/// A word, number or identifier, and its position in the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token<'t> {
    /// The word as written.
    pub text: &'t str,
    /// The word in lower case.
    pub lower: Cow<'t, str>,
    /// The byte range of the word in the text.
    pub span: Range<usize>,
    pub kind: TokenKind,
    /// Whether punctuation that ends a sentence or a clause follows.
    pub ends_clause: bool,
}

/// Kind of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// An identifier of equipment or of a document.
    Identifier,
    Number,
    Word,
}

/// An identifier, with a normalized form for comparisons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identifier {
    /// As written; the second one in `P-101A/B` is completed to `P-101B`.
    pub text: String,
    /// The letters and digits only, in upper case.
    pub normalized: String,
}

impl Identifier {
    fn new(text: &str) -> Self {
        let normalized = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
        Self { text: text.to_owned(), normalized }
    }

    /// The letters before the first digit: the kind of equipment.
    pub fn prefix(&self) -> &str {
        let end = self.normalized.find(|c: char| c.is_ascii_digit()).unwrap_or(self.normalized.len());
        &self.normalized[..end]
    }

    /// The normalized identifier without the letter that distinguishes redundant units (`P101` for `P101A`); `None` if
    /// it has no such letter.
    pub fn group(&self) -> Option<&str> {
        let base = self.normalized.strip_suffix(|c: char| c.is_ascii_alphabetic())?;
        base.ends_with(|c: char| c.is_ascii_digit()).then_some(base)
    }

    /// The identifier of the other unit of a redundant pair: `P-101B` for `P-101A`. `None` if the letter is not A or B.
    pub fn twin(&self) -> Option<Self> {
        self.group()?;
        let swapped = match self.text.chars().last()? {
            'A' => 'B',
            'B' => 'A',
            'a' => 'b',
            'b' => 'a',
            _ => return None,
        };
        Some(Self::new(&format!("{}{swapped}", &self.text[..self.text.len() - 1])))
    }
}

/// The tokens of a text, in order.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found: Vec<Token<'_>> = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let inside = c.is_alphanumeric() || (start.is_some() && "-/._".contains(c));
        match (inside, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found.extend(token(text, from, at));
                start = None;
            }
            _ => {}
        }
        if let Some(last) = found.last_mut().filter(|_| start.is_none()) {
            last.ends_clause |= ",;:?!.–—\n".contains(c);
        }
    }
    found
}

fn token(text: &str, from: usize, to: usize) -> Option<Token<'_>> {
    let written = &text[from..to];
    let kept = written.trim_end_matches(|c: char| !c.is_alphanumeric());
    let ends_clause = written[kept.len()..].contains('.');
    let kind = match kept.chars().next()? {
        first if first.is_numeric() => TokenKind::Number,
        _ if is_identifier(kept) => TokenKind::Identifier,
        _ => TokenKind::Word,
    };
    let span = from..from + kept.len();
    Some(Token { text: kept, lower: lower_case(kept), span, kind, ends_clause })
}

/// Returns a word in lower case; borrowed if it is already.
pub fn lower_case(word: &str) -> Cow<'_, str> {
    let is_lower = word.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(word) } else { Cow::Owned(word.to_lowercase()) }
}

/// Whether a word is an identifier: up to six letters, and then at least two digits, or at least one after a hyphen.
fn is_identifier(word: &str) -> bool {
    let letters = word.chars().take_while(char::is_ascii_alphabetic).count();
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let allowed = word.chars().all(|c| c.is_ascii_alphanumeric() || "-/._".contains(c));
    let hyphenated = word[..letters.min(word.len())].len() < word.len() && word[letters..].starts_with('-');
    let is_grade = !hyphenated && GRADES.iter().any(|grade| word[..letters].eq_ignore_ascii_case(grade));
    allowed && (1..=6).contains(&letters) && (digits >= 2 || (digits == 1 && hyphenated)) && !is_grade
}

/// The identifiers in a token: `P-101A/B` names two.
pub fn identifiers(token: &Token<'_>) -> Vec<Identifier> {
    let mut found: Vec<Identifier> = Vec::new();
    if token.kind != TokenKind::Identifier {
        return found;
    }
    for part in token.text.split('/').filter(|part| !part.is_empty()) {
        let first = found.last().map(|first| first.text.clone());
        let is_letter = part.len() == 1 && part.starts_with(|c: char| c.is_ascii_alphabetic());
        let text = match first.filter(|first| is_letter && first.ends_with(|c: char| c.is_ascii_alphabetic())) {
            Some(first) => format!("{}{part}", &first[..first.len() - 1]),
            None => part.to_owned(),
        };
        found.push(Identifier::new(&text));
    }
    found
}

/// All identifiers in a text, each once, in order.
pub fn identifiers_in(text: &str) -> Vec<Identifier> {
    let mut found: Vec<Identifier> = Vec::new();
    for identifier in tokens(text).iter().flat_map(identifiers) {
        if !found.iter().any(|known| known.normalized == identifier.normalized) {
            found.push(identifier);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(text: &str) -> Vec<String> {
        identifiers_in(text).into_iter().map(|identifier| identifier.normalized).collect()
    }

    #[test]
    fn identifiers_are_distinguished_from_words_numbers_and_grades() {
        assert_eq!(
            normalized("Is P-101A/B like p101a, SOP-MNT-014 or KT-900?"),
            ["P101A", "P101B", "SOPMNT014", "KT900"]
        );
        for text in ["VG46 and ISO9001", "H2S at 16 bar", "24/7", "start-up", "0.25 mm", "CO2"] {
            assert_eq!(normalized(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn the_twin_of_a_unit_has_the_other_letter() {
        let twin = |text: &str| identifiers_in(text)[0].twin().map(|twin| twin.text);
        assert_eq!(twin("P-101A"), Some("P-101B".to_owned()));
        assert_eq!((twin("P-101"), twin("P-101C")), (None, None));
    }

    #[test]
    fn spans_match_the_text_and_clauses_end_at_punctuation() {
        let text = "Nein, ich meinte P-720B. Öl?";
        let found = tokens(text);
        assert!(found.iter().all(|token| text[token.span.clone()] == *token.text));
        let ends: Vec<_> = found.iter().filter(|token| token.ends_clause).map(|token| token.text).collect();
        assert_eq!(ends, ["Nein", "P-720B", "Öl"]);
    }
}
