//! Finds employee and serial numbers. Their form differs from plant to plant, so they are recognized by the words
//! before the number. Only some have a prefix that shows their kind, such as `EMP-20417` and `SN-44710`.

use super::FoldedMatch;
use super::context::{follows_word, precedes_word, text_after};
use super::words::{EMPLOYEE_WORDS, GERMAN_EMPLOYEE_WORDS, GERMAN_SERIAL_WORDS, PERSON_WORDS, QUANTITY_WORDS, any_of};
use regex::Regex;
use std::ops::Range;

/// Maximum distance between a word and its value, in bytes.
const MAX_GAP_BYTES: usize = 96;
/// Maximum number of values in a list.
const MAX_LIST: usize = 64;

/// Finds one kind of identifier.
#[derive(Debug)]
pub(in super::super) struct IdentifierMatcher {
    /// Words before an identifier of this kind.
    words: Regex,
    /// Text that is allowed between the words and the value.
    filler: Regex,
    /// Separator between the values of a list.
    list_separator: Regex,
    /// A unit or noun after a number, which makes the number a quantity.
    quantity_word: Regex,
    /// Words for a person. A number directly after one is an identifier, unless it is a quantity or a year.
    person_words: Option<Regex>,
    /// Values with a prefix that shows their kind.
    prefixed_values: Regex,
    /// Values that look like an identifier but are something else.
    excluded: Regex,
    /// Minimum number of digits of a value.
    min_digits: usize,
}

impl IdentifierMatcher {
    pub(in super::super) fn employee_ids() -> Result<Self, regex::Error> {
        let number = r"(?:(?:identification[ _-]?)?(?:numbers?|nummern?|nos?\b\.?|nrn?\b\.?|ids?\b|#|code))";
        let word = [
            format!(r"{}[ \t._-]{{0,3}}{number}(?:[ \t]{number})?", any_of(EMPLOYEE_WORDS)),
            format!(
                r"{}[ \t.-]{{0,3}}(?:nummern?\b|nrn?\b\.?|no\b\.?|ids?\b|kennung\b|kennzahl\b|kennziffer\b)",
                any_of(GERMAN_EMPLOYEE_WORDS)
            ),
            r"(?:persnr\b|p[ .-]{0,2}nr\b|id[ -]card[ \t]+(?:no\b|number))\.?".to_owned(),
            r"(?:id|number|nummer)[ \t]+(?:of|von|des|der)[ \t]+(?:the[ \t]+)?".to_owned()
                + "(?:employee|worker|operator|mitarbeiter(?:s|in)?)",
            r"(?:empid|badge|werksausweis|dienstausweis)\b".to_owned(),
        ];
        let loose = concat!(
            r"(?:[ \t]*[:#(]{1,2}[ \t]*|[ \t]+#?)(?:(?:with|mit)[ \t]+(?:(?:the|der)[ \t]+)?)?",
            r"(?:(?:nr|no|ids?|number|nummer)\b[.:#]?[ \t]*)?",
        );
        Self::new(IdentifierPatterns {
            words: &format!(r"(?i)\b(?:{})", word.join("|")),
            person_words: Some(&format!(r"(?i)\b{}{loose}", any_of(PERSON_WORDS))),
            prefixed_values: r"(?i)\b(?:empl?|eid)(?:[-_][a-z0-9]{0,4}-?[0-9]{3,9}|[-_ .]{0,2}[0-9]{3,9})\b",
            excluded: r"^(?:reader|leser)$",
            min_digits: 3,
        })
    }

    pub(in super::super) fn equipment_serials() -> Result<Self, regex::Error> {
        let number = r"(?:numbers?\b|nummern?\b|nos?\b\.?|nrn?\b\.?|n°|#|id\b)";
        let german = any_of(GERMAN_SERIAL_WORDS);
        let word = [
            format!(r"serial[ \t._-]{{0,3}}{number}"),
            format!(r"{german}[ \t.-]{{0,3}}(?:nummern?\b|nrn?\b\.?|no\b\.?)"),
            r"serials?\b|ser\.?[ \t-]{0,2}(?:no\b\.?|#)|s/n\b|snr\b\.?|sernr\b\.?".to_owned(),
        ];
        let signs = r"\bSN\b|\bsn[:=# ]|\bS\.N\.|\bS/No\b\.?";
        Self::new(IdentifierPatterns {
            words: &format!(r"\b(?i:{})|(?i:seriennummern?)\b|{signs}", word.join("|")),
            person_words: None,
            prefixed_values: r"\b(?:S/N|SN|SNR|SER)[-_][A-Z0-9][A-Z0-9_-]{2,}\b|\bSN[0-9]{4,}[A-Z0-9-]*\b",
            excluded: concat!(
                r"(?i)^(?:com[0-9]{1,2}|rs-?(?:232|422|485)[a-z]?|29500(?:-[0-9]+)?|",
                r"usb[0-9.]*|ttys?[a-z]*[0-9]+|rj-?[0-9]+)$",
            ),
            min_digits: 2,
        })
    }

    fn new(patterns: IdentifierPatterns<'_>) -> Result<Self, regex::Error> {
        Ok(Self {
            words: Regex::new(patterns.words)?,
            filler: Regex::new(concat!(
                r#"^["'|)\]*]{0,3}(?:[ \t]+(?:of|for|von|vom|des|der)\b[^\n:;=]{1,48}?"#,
                r"(?:[:=]|[ \t](?:is|ist|lautet)\b)|",
                r"(?-u:\s)*(?:is|ist|lautet|are|sind|lauten|war|was|sei)\b[ \t]*[:=]?)?",
                r#"(?:[ \t]*\([^()\n]{1,16}\))?(?-u:\s)*(?:[-:=#|,]{1,2}(?-u:\s)*)?["'|(\[]{0,2}(?-u:\s)*"#,
            ))?,
            list_separator: Regex::new(concat!(
                r"^(?-u:\s)*(?:,|;|/|&|\+|\b(?:and|und|or|oder|sowie)\b)(?-u:\s)*",
                r#"(?:(?:and|und|or|oder)\b(?-u:\s)*)?["']?"#,
            ))?,
            quantity_word: Regex::new(&format!(r"^[ \t]?(?:[%°]|(?i:{})\b)", any_of(QUANTITY_WORDS)))?,
            person_words: patterns.person_words.map(Regex::new).transpose()?,
            prefixed_values: Regex::new(patterns.prefixed_values)?,
            excluded: Regex::new(patterns.excluded)?,
            min_digits: patterns.min_digits,
        })
    }

    pub(in super::super) fn find(&self, text: &str) -> Vec<FoldedMatch> {
        let mut matches = Vec::new();
        let prefixed_ranges = self.prefixed_values.find_iter(text).map(|found| found.range());
        matches.extend(
            prefixed_ranges.filter(|range| !precedes_word(text, range.end)).map(|range| folded_match(text, range)),
        );
        for word in self.words.find_iter(text) {
            self.list_after(text, word.end(), &mut matches);
        }
        for word in self.person_words.iter().flat_map(|words| words.find_iter(text)) {
            matches.extend(self.match_after_person_word(text, word.end()));
        }
        matches
    }

    fn list_after(&self, text: &str, end: usize, matches: &mut Vec<FoldedMatch>) {
        let Some(filler) = self.filler.find(text_after(text, end, MAX_GAP_BYTES)) else { return };
        let mut at = end + filler.end();
        let mut first: Option<Range<usize>> = None;
        for _ in 0..MAX_LIST {
            let Some(value) = self.identifier_at(text, at) else { return };
            if first.as_ref().is_some_and(|first| !is_alike(&text[first.clone()], &text[value.clone()])) {
                return;
            }
            let end = value.end;
            matches.push(folded_match(text, value.clone()));
            first.get_or_insert(value);
            let Some(separator) = self.list_separator.find(text_after(text, end, 16)) else { return };
            at = end + separator.end();
        }
    }

    /// The identifier that begins at `at`, if there is one.
    fn identifier_at(&self, text: &str, at: usize) -> Option<Range<usize>> {
        if follows_word(text, at) {
            return None;
        }
        let window = text_after(text, at, MAX_GAP_BYTES);
        let mut end = token_length(window)?;
        while let Some(next) = self.next_group(window, end) {
            end = next;
        }
        let value = &window[..end];
        let digits = value.chars().filter(char::is_ascii_digit).count();
        let is_quantity =
            value.bytes().all(|byte| byte.is_ascii_digit()) && self.quantity_word.is_match(&window[end..]);
        let has_valid_length =
            digits >= self.min_digits && value.len() >= 4.min(self.min_digits + 2) && value.len() <= 40;
        (has_valid_length && !is_quantity && !self.excluded.is_match(value)).then_some(at..at + end)
    }

    /// The end of the group that continues the value after one space, as in `FX 44 120`.
    fn next_group(&self, window: &str, end: usize) -> Option<usize> {
        let rest = window[end..].strip_prefix(' ')?;
        let length = token_length(rest)?;
        let (group, value) = (&rest[..length], &window[..end]);
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let last = value.rsplit(' ').next().unwrap_or(value);
        let is_prefix = !value.contains(' ') && value.len() <= 4 && value.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_grouped = is_digits(last) && last.len() <= 4 && value.len() + length <= 16;
        let is_group = is_digits(group) && (is_prefix || (is_grouped && group.len() <= 4));
        (is_group && !self.quantity_word.is_match(&rest[length..])).then_some(end + 1 + length)
    }

    /// Returns the number directly after a word for a person, unless it is a quantity or a year.
    fn match_after_person_word(&self, text: &str, at: usize) -> Option<FoldedMatch> {
        let range = self.identifier_at(text, at)?;
        let value = &text[range.clone()];
        let (letters, digits) =
            value.split_at(value.len() - value.bytes().rev().take_while(u8::is_ascii_digit).count());
        let is_year = letters.is_empty() && digits.len() == 4 && (digits.starts_with("19") || digits.starts_with("20"));
        let has_short_prefix = letters.trim_end_matches('-').len() <= 3
            && letters.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        (digits.len() >= 4 && has_short_prefix && !is_year).then(|| folded_match(text, range))
    }
}

/// The regular expressions of one kind of identifier.
struct IdentifierPatterns<'a> {
    words: &'a str,
    person_words: Option<&'a str>,
    prefixed_values: &'a str,
    excluded: &'a str,
    min_digits: usize,
}

fn folded_match(text: &str, range: Range<usize>) -> FoldedMatch {
    let value = text[range.clone()].chars().filter(|char| !char.is_whitespace());
    FoldedMatch { canonical: value.flat_map(char::to_uppercase).collect(), range }
}

/// Length of the token at the start of `text`: letters and digits, with signs between them.
fn token_length(text: &str) -> Option<usize> {
    let is_part = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.' | '/' | '~');
    let run = text.find(|char| !is_part(char)).unwrap_or(text.len());
    let run = text[..run].trim_end_matches(|char: char| !char.is_alphanumeric());
    let starts_with_alphanumeric = run.starts_with(|char: char| char.is_alphanumeric());
    (starts_with_alphanumeric && !run.is_empty()).then_some(run.len())
}

/// Whether two values of a list have the same form.
fn is_alike(first: &str, next: &str) -> bool {
    let letters = |text: &str| text.bytes().take_while(u8::is_ascii_alphabetic).count();
    letters(first) == letters(next) && first.len().abs_diff(next.len()) <= 2
}
