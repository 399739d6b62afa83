//! The placeholders that replace values in a prompt: `[EMAIL_BKTQRW]`, or `[PHONE_BKTQRW_TF]`.
//!
//! The six letters are a keyed digest (HMAC-SHA-256) of the value, with a key for each conversation that is derived
//! from the platform's secret. Thus the same value has the same placeholder in every turn and on every replica, without
//! storage or coordination. Without the key, nobody can test a guess, and a model server cannot link two conversations.
//! The last two letters distinguish the spellings of one value; they are omitted if it is written in its canonical
//! form. All letters are consonants, so that a placeholder contains no digits that a pattern could match and does not
//! form a word by accident.

use aws_lc_rs::hmac;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use uuid::Uuid;

/// The letters that tags consist of.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Length of a value's tag, in letters.
const TAG_LENGTH: usize = 6;
/// Length of a spelling's tag, in letters.
const SPELLING_TAG_LENGTH: usize = 2;

/// Derives the key of each conversation.
#[derive(Clone)]
pub struct PlaceholderKeys {
    key: hmac::Key,
}

impl PlaceholderKeys {
    /// Derives the keys from the platform's secret, from which other keys may be derived too.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"placeholders");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    /// The key for a tenant's `scope`, within which placeholders are stable: the id of a conversation or user, or nil
    /// for the whole tenant.
    #[must_use]
    pub fn key_for_scope(&self, tenant: Uuid, scope: Uuid) -> PlaceholderKey {
        let derived = hmac::sign(&self.key, &[*tenant.as_bytes(), *scope.as_bytes()].concat());
        PlaceholderKey { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }
}

impl std::fmt::Debug for PlaceholderKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlaceholderKeys(…)")
    }
}

/// The key of one conversation or other scope.
#[derive(Clone)]
pub struct PlaceholderKey {
    key: hmac::Key,
}

impl std::fmt::Debug for PlaceholderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlaceholderKey(…)")
    }
}

impl PlaceholderKey {
    fn tag(&self, parts: &[&str], attempt: u32, length: usize) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.update(&attempt.to_be_bytes());
        let digest = context.sign();
        let letter = |pair: &[u8]| {
            let number = pair.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
            char::from(LETTERS[number % LETTERS.len()])
        };
        digest.as_ref().chunks(2).take(length).map(letter).collect()
    }
}

/// The placeholders of one request to a model, with the values that they stand for. It lives as long as the request and
/// is never stored.
#[derive(Default)]
pub struct Placeholders {
    /// The spelling for each placeholder without its brackets.
    values: BTreeMap<String, String>,
    /// The placeholder without brackets for each pattern and spelling.
    names: BTreeMap<Spelling, String>,
    /// Words of the texts that look like placeholders but are not.
    literal_words: BTreeSet<String>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Spelling {
    pattern: String,
    spelled: String,
}

impl std::fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Placeholders({})", self.values.len())
    }
}

impl Placeholders {
    /// Starts without placeholders. Words in `texts` that look like one are never used as one.
    pub(super) fn for_texts<'a>(texts: impl Iterator<Item = Cow<'a, str>>) -> Self {
        let mut literal = BTreeSet::new();
        for text in texts {
            literal.extend(words(&text).filter(|word| is_placeholder(word)).map(ToOwned::to_owned));
        }
        Self { literal_words: literal, ..Self::default() }
    }

    /// The placeholder of a value, in brackets.
    pub(super) fn placeholder_for(
        &mut self,
        key: &PlaceholderKey,
        pattern: &str,
        canonical: &str,
        spelled: &str,
    ) -> String {
        let spelling = Spelling { pattern: pattern.to_owned(), spelled: spelled.to_owned() };
        if let Some(name) = self.names.get(&spelling) {
            return format!("[{name}]");
        }
        let mut attempt = 0;
        let name = loop {
            let plain = format!("{}_{}", pattern.to_uppercase(), key.tag(&[pattern, canonical], attempt, TAG_LENGTH));
            let name = if spelled == canonical {
                plain.clone()
            } else {
                format!("{plain}_{}", key.tag(&[pattern, canonical, spelled], attempt, SPELLING_TAG_LENGTH))
            };
            attempt += 1;
            if !self.literal_words.contains(&plain)
                && !self.literal_words.contains(&name)
                && !self.values.contains_key(&name)
            {
                break name;
            }
        };
        self.values.insert(name.clone(), spelled.to_owned());
        self.names.insert(spelling, name.clone());
        format!("[{name}]")
    }

    /// Whether there is nothing to restore.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value that `word`, a placeholder without its brackets, stands for.
    pub(super) fn value(&self, word: &str) -> Option<&str> {
        let exact = self.values.get(word);
        exact.or_else(|| self.first_spelling(word)).map(String::as_str)
    }

    /// Returns the first spelling of a value whose spelling tag the model has left out.
    fn first_spelling(&self, word: &str) -> Option<&String> {
        if self.literal_words.contains(word) || !is_placeholder(word) {
            return None;
        }
        let prefix = format!("{word}_");
        let (name, value) = self.values.range(prefix.clone()..).next()?;
        (name.len() == prefix.len() + SPELLING_TAG_LENGTH && name.starts_with(&prefix)).then_some(value)
    }

    /// Whether a placeholder begins with `word`.
    pub(super) fn has_placeholder_with_prefix(&self, word: &str) -> bool {
        self.values.range(word.to_owned()..).next().is_some_and(|(name, _)| name.starts_with(word))
    }
}

/// Whether a byte can be part of a placeholder without its brackets.
pub(super) const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii() || !is_word_byte(char as u8)).filter(|word| !word.is_empty())
}

/// Returns the ranges of all placeholders in brackets, including words that only look like one.
pub(super) fn placeholders_in(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open = None;
    for (at, byte) in text.bytes().enumerate() {
        match (byte, open) {
            (b'[', _) => open = Some(at),
            (b']', Some(start)) => {
                if is_placeholder(&text[start + 1..at]) {
                    found.push(start..at + 1);
                }
                open = None;
            }
            _ if !is_word_byte(byte) => open = None,
            _ => {}
        }
    }
    found
}

/// Whether `word` has the form of a placeholder: a name in capitals, a value's tag, and optionally a spelling's tag.
fn is_placeholder(word: &str) -> bool {
    let is_tag = |tag: &str, length| tag.len() == length && tag.bytes().all(|byte| LETTERS.contains(&byte));
    let Some((head, tail)) = word.rsplit_once('_') else { return false };
    let is_name = |name: &str| {
        let is_capital = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        name.starts_with(|char: char| char.is_ascii_uppercase()) && name.len() <= 40 && name.bytes().all(is_capital)
    };
    if is_tag(tail, TAG_LENGTH) {
        return is_name(head);
    }
    is_tag(tail, SPELLING_TAG_LENGTH)
        && head.rsplit_once('_').is_some_and(|(name, tag)| is_tag(tag, TAG_LENGTH) && is_name(name))
}
