//! Puts questions together from their own words and what is carried over.

use super::lexicon::{self, is_one_of};
use super::question::{Question, is_content_token, topics};
use super::tokens::{Identifier, Token, TokenKind, tokens};
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

/// The question about another topic. The topic replaces the run of nouns that shares a word with it, or otherwise the
/// first run of nouns that is not what the question asks for ("which pressure").
pub fn with_topic(question: &str, topic: &str, capitalizes: bool) -> String {
    let all = tokens(question);
    let nouns: Vec<Range<usize>> = topics(&all, capitalizes).iter().map(|token| token.span.clone()).collect();
    let is_noun = |at: usize| nouns.contains(&all[at].span) && !precedes_identifier(&all, &all[at]);
    let is_asked_for = |at: usize| at > 0 && is_one_of(&all[at - 1].lower, lexicon::ASKED_FOR);
    let runs = runs(all.len(), is_noun);
    let topic_words: Vec<String> = tokens(topic).into_iter().map(|token| token.lower).collect();
    let shares = |run: &&Range<usize>| all[(*run).clone()].iter().any(|token| topic_words.contains(&token.lower));
    let run = runs.iter().find(shares).or_else(|| runs.iter().find(|run| !is_asked_for(run.start)));
    let Some(run) = run else { return with_carried_words(question, &[topic.to_owned()]) };
    // The number of one of several: "building 3".
    let has_number = all.get(run.end).is_some_and(|next| next.kind == TokenKind::Number);
    let last = if has_number { run.end } else { run.end - 1 };
    format!("{}{topic}{}", &question[..all[run.start].span.start], &question[all[last].span.end..])
}

/// The runs of consecutive indexes below `count` for which `holds` is true.
fn runs(count: usize, holds: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in (0..count).filter(|at| holds(*at)) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Whether the token is the noun in front of an identifier ("pump P-101A").
fn precedes_identifier(all: &[Token], token: &Token) -> bool {
    let next = all.iter().find(|next| next.span.start > token.span.start);
    next.is_some_and(|next| next.kind == TokenKind::Identifier) && !token.ends_clause
}

/// The words from the first content word to the last one.
pub fn phrase(question: &Question, content: &[&Token]) -> String {
    let (Some(first), Some(last)) = (content.first(), content.last()) else { return String::new() };
    let body = question.body();
    let start = question.tokens.first().map_or(0, |token| token.span.start);
    let number = question.tokens.iter().find(|token| token.span.start > last.span.start);
    let last = number.filter(|token| token.kind == TokenKind::Number && !last.ends_clause).unwrap_or(last);
    let range = first.span.start.saturating_sub(start)..last.span.end.saturating_sub(start);
    let words = body.get(range).unwrap_or_default();
    let kept = tokens(words).into_iter().filter(|token| token.kind != TokenKind::Identifier);
    kept.map(|token| token.text).collect::<Vec<_>>().join(" ")
}

/// The question with a unit named in place of "the other one".
pub fn with_other_one(question: &Question, token_range: Range<usize>, unit: &Identifier) -> String {
    let body = question.body();
    let start = question.tokens.first().map_or(0, |token| token.span.start);
    let phrase_tokens = &question.tokens[token_range];
    let (Some(first), Some(last)) = (phrase_tokens.first(), phrase_tokens.last()) else { return body.to_owned() };
    let noun = if is_content_token(last) { format!("{} ", last.text) } else { String::new() };
    format!("{}{noun}{}{}", &body[..first.span.start - start], unit.text, &body[last.span.end - start..])
}

/// A correction without the words that only phrase it and without what it rejects ("not the oil", "statt P-720A").
pub fn without_rejected_words(question: &Question) -> String {
    let mut kept: Vec<&Token> = Vec::new();
    let mut in_rejected_part = false;
    for token in &question.tokens {
        let word = token.lower.as_str();
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

fn join_with_spaces(tokens: &[&Token]) -> String {
    tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ")
}
