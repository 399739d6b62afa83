//! Finds phone numbers. A number with a country code, or in a national form, needs no word before it; any other run of
//! digits needs one such as `Tel.`. Phone numbers have no checksum, so only country codes, lengths and grouping are
//! checked.

use super::FoldedMatch;
use super::context::{follows_word, last_match_end, precedes_word, text_after, text_before};
use super::words::{NON_PHONE_WORDS, PHONE_WORDS, UNITS, any_of};
use regex::Regex;
use std::ops::Range;

/// Length of the text before a candidate that is searched for words, in bytes.
const LOOKBEHIND_BYTES: usize = 40;

/// Country codes of one and two digits (ITU-T E.164); all others have three.
const COUNTRY_CODES: &[&str] = &[
    "1", "7", "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48",
    "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84",
    "86", "90", "91", "92", "93", "94", "95", "98",
];

/// Finds phone numbers.
#[derive(Debug)]
pub(in super::super) struct PhoneMatcher {
    international: Regex,
    national: Vec<Regex>,
    after_word: Regex,
    phone_words: Regex,
    non_phone_words: Regex,
    non_phone_word_directly_before: Regex,
    unit: Regex,
}

impl PhoneMatcher {
    pub(in super::super) fn new() -> Result<Self, regex::Error> {
        let phone = any_of(PHONE_WORDS);
        let other = format!(r"(?i)\b{}\b", any_of(NON_PHONE_WORDS));
        let filler = concat!(
            r"(?:[ \t-]+(?:no|nr|number|nummer|ext|extension|intern)\b\.?)?",
            r"(?:[ \t]*\([\p{L} -]{1,24}\)|(?:[ \t]+\p{L}[\p{L}-]{1,23}){1,2}[ \t]*:)?",
            r#"["'|]?(?-u:\s)*[:=#|]?(?-u:\s)*["'|]?"#,
        );
        let number = r"\(?[0-9](?:[ \t]?[-./()]{0,2}[ \t]?[0-9]){2,14}";
        Ok(Self {
            international: Regex::new(
                r"(?:\(?\+[ \t]?|\b00[ \t]?)[1-9](?:[ \t]?[-./]?[ \t]?\(?[0-9]\)?|\r?\n[ \t]*[0-9]){6,15}",
            )?,
            national: national_forms()?,
            after_word: Regex::new(&format!(r#"(?i)\b{phone}\b\.?["'|]?{filler}({number})"#))?,
            phone_words: Regex::new(&format!(r"(?i)\b{phone}\b|\btel:|(?:nummer|number)\b"))?,
            non_phone_words: Regex::new(&other)?,
            non_phone_word_directly_before: Regex::new(&format!(
                r"{other}[\s.:=#-]*(?:(?:is|ist|no|nr|number|nummer)\b[\s.:=#-]*)?$"
            ))?,
            unit: Regex::new(&format!(r"^ ?(?:°|%|(?i:{})\b)", any_of(UNITS)))?,
        })
    }

    pub(in super::super) fn find(&self, text: &str) -> Vec<FoldedMatch> {
        let mut matches: Vec<FoldedMatch> = Vec::new();
        matches
            .extend(self.international.find_iter(text).filter_map(|run| self.international_match(text, run.range())));
        for form in &self.national {
            matches.extend(form.find_iter(text).filter_map(|run| self.national_match(text, run.range())));
        }
        let numbers_after_word = self.after_word.captures_iter(text).filter_map(|run| run.get(1));
        matches.extend(numbers_after_word.filter_map(|run| self.match_after_word(text, run.range())));
        matches
    }

    fn international_match(&self, text: &str, range: Range<usize>) -> Option<FoldedMatch> {
        let mut range = trim_unmatched_brackets(text, range);
        let has_plus = text[range.clone()].contains('+');
        let max_digits = if has_plus { 15 } else { 17 };
        range.end = range.start + end_of_digits(&text[range.clone()], max_digits);
        let digits = digits(&text[range.clone()]);
        let number = if has_plus { digits.as_str() } else { &digits[2..] };
        let has_country_code =
            COUNTRY_CODES.iter().any(|code| number.starts_with(code)) || has_three_digit_code(number);
        let min_digits = if has_plus { 8 } else { 9 };
        // A plus sign begins a number even directly after a letter: `Tel+49 …`, `x+1-281-…`.
        let is_part_of_word =
            if has_plus { text[..range.start].ends_with(char::is_numeric) } else { follows_word(text, range.start) };
        if number.len() < min_digits
            || !has_country_code
            || is_part_of_word
            || !self.may_end_at(text, range.end)
            || is_counting(&text[range.clone()])
        {
            return None;
        }
        let head = text_before(text, range.start, LOOKBEHIND_BYTES);
        if self.non_phone_word_directly_before.is_match(head) || (!has_plus && self.follows_non_phone_word(head)) {
            return None;
        }
        let number = self::digits(&text[range.clone()].replace("(0)", ""));
        let number = if has_plus { number.as_str() } else { number.trim_start_matches("00") };
        Some(FoldedMatch { range, canonical: format!("+{number}") })
    }

    fn national_match(&self, text: &str, range: Range<usize>) -> Option<FoldedMatch> {
        let follows_separator = text[..range.start].ends_with(['-', '.', '/', ',', '+', '_']);
        if follows_separator || follows_word(text, range.start) || !self.may_end_at(text, range.end) {
            return None;
        }
        if is_counting(&text[range.clone()]) {
            return None;
        }
        let number = digits(&text[range.clone()]);
        let head = text_before(text, range.start, LOOKBEHIND_BYTES);
        if self.follows_non_phone_word(head) || !has_plausible_length(&number) {
            return None;
        }
        Some(FoldedMatch { range, canonical: number })
    }

    /// Checks a number of any form directly after a word such as `Tel.`.
    fn match_after_word(&self, text: &str, range: Range<usize>) -> Option<FoldedMatch> {
        let range = trim_unmatched_brackets(text, range);
        let number = digits(&text[range.clone()]);
        let is_time = text_after(text, range.end, 4).starts_with(':');
        if is_time || !self.may_end_at(text, range.end) || self.unit.is_match(text_after(text, range.end, 16)) {
            return None;
        }
        let is_date = text[range.clone()].matches('.').count() == 2 && number.len() == 8;
        let is_pair = number.len() <= 4 && number.len() < range.len();
        (!is_date && !is_pair && number.len() >= 3).then_some(FoldedMatch { range, canonical: number })
    }

    fn follows_non_phone_word(&self, head: &str) -> bool {
        if self.non_phone_word_directly_before.is_match(head) {
            return true;
        }
        let other = last_match_end(&self.non_phone_words, head);
        other.is_some_and(|other| last_match_end(&self.phone_words, head).is_none_or(|phone| phone < other))
    }

    fn may_end_at(&self, text: &str, end: usize) -> bool {
        let tail = text_after(text, end, 16);
        let continues_with_digit = tail
            .strip_prefix(['.', ',', '-', '/', ':'])
            .is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()));
        !precedes_word(text, end) && !continues_with_digit && !tail.starts_with('_')
    }
}

/// National forms, without a country code. They match grouped digits only: a bare run of digits needs a word before it.
fn national_forms() -> Result<Vec<Regex>, regex::Error> {
    let s = r"(?:[ \t]{0,2}[-/.][ \t]{0,2}|[ \t])";
    [
        // Germany, Austria, Switzerland: area code, then the subscriber's number in up to four groups.
        format!(r"0[2-9][0-9]{{1,4}}{s}[1-9][0-9]{{1,7}}(?:[ \t-][0-9]{{1,5}}){{0,4}}"),
        format!(r"01[5-7][0-9]{{1,2}}{s}[0-9]{{2,8}}(?:[ \t-][0-9]{{2,5}}){{0,4}}"),
        r"\(0[1-9][0-9]{1,4}\)(?:[ \t]?[-/]?[ \t]?|\r?\n)[0-9]{2,8}(?:(?:[ \t-]|\r?\n)[0-9]{1,5}){0,4}".to_owned(),
        r"0[2-9] [0-9]{2,3} ?[/-] ?[0-9]{2}(?: [0-9]{2}){1,3}".to_owned(),
        format!(r"0(?:800|180[ -]?[1-6]|900|700){s}[0-9]{{2,8}}(?:[ \t-][0-9]{{1,5}}){{0,4}}"),
        // The United Kingdom.
        concat!(
            r"0(?:2[0-9][ -][0-9]{4}[ -][0-9]{4}|1[0-9]{2}[ -][0-9]{3}[ -][0-9]{4}|",
            r"[17][0-9]{4}[ -][0-9]{6}|[17][0-9]{4}[ -][0-9]{3}[ -][0-9]{3})",
        )
        .to_owned(),
        // France: pairs of digits, and service numbers.
        r"0[1-9](?:(?: [0-9]{2}){4}|(?:\.[0-9]{2}){4}|(?:-[0-9]{2}){4})".to_owned(),
        r"0 ?8[0-9]{2}(?:(?: [0-9]{2}){3}|(?: [0-9]{3}){2})".to_owned(),
        // North America.
        r"(?:\+?1[-. ])?(?:\([2-9][0-9]{2}\)[ ]?|[2-9][0-9]{2}[-./])[2-9][0-9]{2}[-. ][0-9]{4}".to_owned(),
        r"1[-. ][2-9][0-9]{2}[-. ][2-9][0-9]{2}[-. ][0-9]{4}".to_owned(),
    ]
    .iter()
    .map(|form| Regex::new(form))
    .collect()
}

/// Whether a national number has a plausible length.
fn has_plausible_length(number: &str) -> bool {
    let longest = if number.starts_with("015") || number.starts_with("01") { 12 } else { 13 };
    (9..=longest).contains(&number.len())
}

/// Whether the groups of digits count up or down in equal steps, as in a list of positions: `01 02 03 04 05`.
fn is_counting(text: &str) -> bool {
    let groups = text.split(|char: char| !char.is_ascii_digit()).filter(|group| !group.is_empty());
    let numbers: Vec<i64> = groups.map(|group| group.parse().unwrap_or_default()).collect();
    let steps: Vec<i64> = numbers.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.len() >= 3 && steps[0] != 0 && steps.iter().all(|step| *step == steps[0])
}

fn has_three_digit_code(number: &str) -> bool {
    let first = number.get(..2).unwrap_or_default();
    matches!(
        first,
        "21" | "22" | "23" | "24" | "25" | "26" | "29" | "35" | "37" | "38" | "42" | "50" | "59" | "67" | "68" | "69"
    ) || matches!(first, "80" | "85" | "88" | "96" | "97" | "99")
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Returns the end of the first `count` digits, as a byte index.
fn end_of_digits(text: &str, count: usize) -> usize {
    let found = text.char_indices().filter(|(_, char)| char.is_ascii_digit());
    found.take(count).last().map_or(0, |(at, _)| at + 1)
}

/// Removes an unmatched bracket from the start or the end of the range.
fn trim_unmatched_brackets(text: &str, range: Range<usize>) -> Range<usize> {
    let run = &text[range.clone()];
    let (open, close) = (run.matches('(').count(), run.matches(')').count());
    let end = if close > open && run.ends_with(')') { range.end - 1 } else { range.end };
    let start = if open > close && run.starts_with('(') { range.start + 1 } else { range.start };
    start..end
}
