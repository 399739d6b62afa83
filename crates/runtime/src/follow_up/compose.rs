//! Builds standalone questions from the words of a question and the words that are carried over from earlier turns.

use super::lexicon::{self, is_one_of};
use super::question::{Question, is_content_token, topics};
use super::tokens::{Identifier, Token, TokenKind, tokens};
use std::borrow::Cow;
use std::ops::Range;

/// The question, followed by the carried words that it does not contain.
pub fn with_carried_words(question: &str, carried: &[String]) -> String {
    let mut text = question.to_owned();
    for word in carried {
        let known = tokens(&text);
        let is_known = tokens(word).iter().all(|token| known.iter().any(|known| known.lower == token.lower));
        if !is_known {
            text.push(' ');
            text.push_str(word);
        }
    }
    text.trim().to_owned()
}

/// The question with its identifiers replaced by the given ones, or with these appended if it has none.
pub fn with_identifiers(question: &str, identifiers: &[Identifier]) -> String {
    let texts: Vec<&str> = identifiers.iter().map(|identifier| identifier.text.as_str()).collect();
    let all = tokens(question);
    let mut spans = all.iter().filter(|token| token.kind == TokenKind::Identifier).map(|token| token.span.clone());
    let Some(first) = spans.next() else {
        return with_carried_words(question, &texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    };
    let mut text = question[..first.start].to_owned();
    text.push_str(&texts.join(" "));
    let mut from = first.end;
    for span in spans {
        text.push_str(&question[from..span.start]);
        from = span.end;
    }
    text.push_str(&question[from..]);
    text
}

/// The question about another topic. The topic replaces the sequence of nouns that shares a word with it, or otherwise
/// the first sequence of nouns that is not what the question asks for ("which pressure").
pub fn with_topic(question: &str, topic: &str, user_capitalizes_nouns: bool) -> String {
    let all = tokens(question);
    let nouns: Vec<Range<usize>> =
        topics(&all, user_capitalizes_nouns).iter().map(|token| token.span.clone()).collect();
    let is_noun = |at: usize| nouns.contains(&all[at].span) && !precedes_identifier(&all, &all[at]);
    let is_asked_for = |at: usize| at > 0 && is_one_of(&all[at - 1].lower, lexicon::ASKED_FOR);
    let noun_ranges = consecutive_ranges(all.len(), is_noun);
    let topic_words: Vec<Cow<'_, str>> = tokens(topic).into_iter().map(|token| token.lower).collect();
    let shares_word = |range: &&Range<usize>| {
        let mut nouns = all[(*range).clone()].iter();
        nouns.any(|token| topic_words.contains(&token.lower))
    };
    let replaced =
        noun_ranges.iter().find(shares_word).or_else(|| noun_ranges.iter().find(|range| !is_asked_for(range.start)));
    let Some(replaced) = replaced else { return with_carried_words(question, &[topic.to_owned()]) };
    // A number after the nouns belongs to them: "building 3".
    let has_number = all.get(replaced.end).is_some_and(|next| next.kind == TokenKind::Number);
    let last = if has_number { replaced.end } else { replaced.end - 1 };
    format!("{}{topic}{}", &question[..all[replaced.start].span.start], &question[all[last].span.end..])
}

/// The ranges of consecutive indexes below `count` for which `holds` is true.
fn consecutive_ranges(count: usize, holds: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for index in (0..count).filter(|index| holds(*index)) {
        match ranges.last_mut() {
            Some(range) if range.end == index => range.end = index + 1,
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}

/// Whether the token is the noun in front of an identifier ("pump P-101A").
fn precedes_identifier(all: &[Token<'_>], token: &Token<'_>) -> bool {
    let next = all.iter().find(|next| next.span.start > token.span.start);
    next.is_some_and(|next| next.kind == TokenKind::Identifier) && !token.ends_clause
}

/// The words from the first content word to the last one, without identifiers. Includes a number after the last one.
pub fn content_phrase(question: &Question<'_>, content: &[&Token<'_>]) -> String {
    let (Some(first), Some(last)) = (content.first(), content.last()) else { return String::new() };
    let body = question.text_without_opener();
    let start = question.tokens().first().map_or(0, |token| token.span.start);
    let number = question.tokens().iter().find(|token| token.span.start > last.span.start);
    let last = number.filter(|token| token.kind == TokenKind::Number && !last.ends_clause).unwrap_or(last);
    let range = first.span.start.saturating_sub(start)..last.span.end.saturating_sub(start);
    let words = body.get(range).unwrap_or_default();
    let kept = tokens(words).into_iter().filter(|token| token.kind != TokenKind::Identifier);
    kept.map(|token| token.text).collect::<Vec<_>>().join(" ")
}

/// The question with `identifier` in place of "the other one", which is at `token_range`.
pub fn replace_other_reference(question: &Question<'_>, token_range: Range<usize>, identifier: &Identifier) -> String {
    let body = question.text_without_opener();
    let start = question.tokens().first().map_or(0, |token| token.span.start);
    let phrase_tokens = &question.tokens()[token_range];
    let (Some(first), Some(last)) = (phrase_tokens.first(), phrase_tokens.last()) else { return body.to_owned() };
    let noun = if is_content_token(last) { format!("{} ", last.text) } else { String::new() };
    format!("{}{noun}{}{}", &body[..first.span.start - start], identifier.text, &body[last.span.end - start..])
}

/// A correction without the words that only introduce it ("I meant") and without the part that it rejects ("not the
/// oil", "statt P-720A"). Empty if no content is left.
pub fn without_rejected_words(question: &Question<'_>) -> String {
    let mut kept: Vec<&Token<'_>> = Vec::new();
    let mut in_rejected_part = false;
    for token in question.tokens() {
        let word = &*token.lower;
        if is_one_of(word, lexicon::NEGATIONS) {
            in_rejected_part = true;
        } else if is_one_of(word, "but sondern aber") {
            in_rejected_part = false;
        } else if !in_rejected_part && !is_one_of(word, lexicon::CORRECTION_WORDS) && word != "i" && word != "ich" {
            kept.push(token);
        }
        if token.ends_clause {
            in_rejected_part = false;
        }
    }
    let has_content = kept.iter().any(|token| is_content_token(token) || token.kind == TokenKind::Identifier);
    let has_interrogative = kept.iter().any(|token| is_one_of(&token.lower, lexicon::INTERROGATIVES));
    if has_content || has_interrogative { join_with_spaces(&kept) } else { String::new() }
}

fn join_with_spaces(tokens: &[&Token<'_>]) -> String {
    tokens.iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
}
