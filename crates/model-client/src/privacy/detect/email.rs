//! Finds email addresses: for each `@`, or a spelling of it such as `(at)`, it looks for a local part to the left and a
//! domain to the right.

use super::FoldedMatch;
use super::context::{text_after, text_before};
use regex::{Match, Regex};
use std::ops::Range;

/// Longest local part, in bytes.
const MAX_LOCAL: usize = 128;
/// Longest domain, in bytes.
const MAX_DOMAIN: usize = 300;

/// Finds email addresses.
#[derive(Debug)]
pub(in super::super) struct EmailMatcher {
    separator: Regex,
    domain: Regex,
    dot: Regex,
    dotted_prefix: Regex,
    mail_word_before: Regex,
    known_tld_suffix: Regex,
}

impl EmailMatcher {
    pub(in super::super) fn new() -> Result<Self, regex::Error> {
        // Only known top-level domains continue after a line break, because a sentence may end after an address.
        let known = r"(?:com|org|net|edu|gov|info|example|local|test|eu|de|at|ch|uk|fr|nl|it|es|pl|be|us)\b";
        let label = r"[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?";
        let dot = r"(?:\.| ?[\[({] ?(?i:dot|punkt) ?[\])}] ?| (?i:dot|punkt) )";
        let broken = format!(r"\.[ \t]*\r?\n[ \t]*{known}(?:\.{known})*");
        let whole = format!(r"(?:{dot}{label})*{dot}(?:xn--[a-z0-9-]+|\p{{L}}{{2,}})");
        let domain = format!("^{label}(?:{dot}{label})*?(?:{broken}|{whole})");
        Ok(Self {
            separator: Regex::new(concat!(
                r"(?-u:\s){0,3}(?:@|[\[({<] ?(?i:at|ät|@) ?[\])}>])(?-u:\s){0,3}|",
                r" ?[-_](?i:at)[-_] ?| (?i:at) |&#64;|%40",
            ))?,
            domain: Regex::new(&domain)?,
            dotted_prefix: Regex::new(r"[\p{L}\p{N}_-]+(?: ?[\[({] ?(?i:dot|punkt) ?[\])}] ?| (?i:dot|punkt) )$")?,
            mail_word_before: Regex::new(r"(?i)\b(?:e-?)?mails?\b[^\n]{0,16}$")?,
            known_tld_suffix: Regex::new(&format!(r"\.{known}$"))?,
            dot: Regex::new(r"(?i)(?:dot|punkt)")?,
        })
    }

    pub(in super::super) fn find(&self, text: &str) -> Vec<FoldedMatch> {
        self.separator.find_iter(text).filter_map(|separator| self.match_at_separator(text, separator)).collect()
    }

    fn match_at_separator(&self, text: &str, separator: Match<'_>) -> Option<FoldedMatch> {
        let sign = separator.as_str().trim();
        let (left, right) = surrounding_spaces(separator.as_str(), sign);
        let has_break = separator.as_str().contains('\n');
        if sign == "@" && !has_break && (left.is_empty() != right.is_empty() || left.len() > 1 || right.len() > 1) {
            return None;
        }
        let local = local_part(text, separator.start())?;
        let domain = self.domain.find(text_after(text, separator.end(), MAX_DOMAIN))?;
        let local = self.extend_over_dot_words(text, local);
        if !sign.contains(['@', '[', '(', '{', '<', '&', '%']) && !self.is_written_out(text, &local, domain.as_str()) {
            return None;
        }
        let range = local.start..separator.end() + domain.end();
        let host = self.dot.replace_all(domain.as_str(), ".");
        let is_kept = |char: &char| !char.is_whitespace() && !matches!(char, '(' | ')' | '[' | ']' | '{' | '}');
        let host: String = host.chars().filter(is_kept).collect();
        let name: String = text[local].chars().filter(|char| !char.is_whitespace()).collect();
        Some(FoldedMatch { range, canonical: format!("{name}@{host}").to_lowercase() })
    }

    /// Whether the word `at` replaces the `@` of an address here.
    fn is_written_out(&self, text: &str, local: &Range<usize>, domain: &str) -> bool {
        if self.dot.is_match(domain) {
            return true;
        }
        let has_dot_or_underscore = text[local.clone()].contains(['.', '_']);
        let follows_mail_word = || self.mail_word_before.is_match(text_before(text, local.start, 32));
        self.known_tld_suffix.is_match(domain) && (has_dot_or_underscore || follows_mail_word())
    }

    /// Extends the local part to the left by names that are joined by a word for a dot, as in `jane dot doe`.
    fn extend_over_dot_words(&self, text: &str, local: Range<usize>) -> Range<usize> {
        let mut start = local.start;
        for _ in 0..3 {
            let Some(prefix) = self.dotted_prefix.find(text_before(text, start, 64)) else { break };
            start -= prefix.len();
        }
        start..local.end
    }
}

/// The white space on both sides of the sign.
fn surrounding_spaces<'a>(separator: &'a str, sign: &str) -> (&'a str, &'a str) {
    separator.split_once(sign).unwrap_or(("", ""))
}

fn local_part(text: &str, end: usize) -> Option<Range<usize>> {
    if let Some(quoted) = quoted_local_part(text, end) {
        return Some(quoted);
    }
    let start = run_start(text, end);
    let name = text[start..end].trim_start_matches(|char: char| !char.is_alphanumeric() && char != '_');
    let start = end - name.len();
    // A name that was wrapped after a hyphen or an underscore begins in the line above.
    let above =
        text[..start].trim_end_matches([' ', '\t']).strip_suffix('\n').map(|above| above.trim_end_matches('\r'));
    if let Some(above) = above.filter(|above| above.ends_with(['-', '_']) && !name.is_empty()) {
        let start_above = run_start(text, above.len());
        if above[start_above..].contains(char::is_alphanumeric) {
            return Some(start_above..end);
        }
    }
    (!name.is_empty()).then_some(start..end)
}

fn run_start(text: &str, end: usize) -> usize {
    let limit = end.saturating_sub(MAX_LOCAL);
    let run = text[..end].char_indices().rev().take_while(|(at, char)| *at >= limit && is_local_part_char(*char));
    run.last().map_or(end, |(at, _)| at)
}

fn is_local_part_char(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '.' | '_' | '%' | '+' | '\'' | '&' | '-') || is_combining_mark(char)
}

/// Combining diacritical marks.
fn is_combining_mark(char: char) -> bool {
    ('\u{300}'..='\u{36F}').contains(&char)
}

fn quoted_local_part(text: &str, end: usize) -> Option<Range<usize>> {
    let inside = text[..end].strip_suffix('"')?;
    let limit = inside.len().saturating_sub(MAX_LOCAL);
    let open = inside.char_indices().rev().take_while(|(at, char)| *at >= limit && *char != '\n');
    let open = open.into_iter().find(|(_, char)| *char == '"')?.0;
    (open + 1 < inside.len()).then_some(open..end)
}
