//! Extractive question answering without a language model: quotes the sentences of the passages that match the question
//! best.
//!
//! The answer consists of quotes and fixed sentences around them, so it cannot contain invented facts. Words are
//! compared by stem and weighted by inverse document frequency; plant tags such as `P-101A` are compared as a whole;
//! see [`score`].

mod readings;
mod score;
mod terms;
mod units;

use crate::estimate;
use async_trait::async_trait;
use domain::{
    model::{ChatDelta, ChatRequest, ChatStream, ExtractiveInput, ModelError, NumberedPassage},
    model_call::{MicroCost, ServedBy},
    ports::ChatModel,
    run::{FinishReason, TokenUsage},
};
use futures::{StreamExt, stream};
use readings::Language;
use score::{Candidate, candidates};
use std::collections::BTreeSet;
use std::ops::Range;

/// Model name in the usage ledger.
pub const MODEL_NAME: &str = "extractive";
/// Backend name in the usage ledger.
pub const BACKEND_NAME: &str = "embedded";

/// Maximum number of quoted units.
const MAX_QUOTES: usize = 3;
/// Maximum number of passages that are quoted if none answers.
const MAX_NEAREST: usize = 3;
/// Minimum score of a quoted unit, relative to the best one.
const MIN_RELATIVE_SCORE: f32 = 0.6;
/// A quoted sentence is extended by the next one if both together have at most this many bytes of text.
const MAX_EXTENDED_BYTES: usize = 280;
/// Number of words per piece of the streamed answer.
const WORDS_PER_CHUNK: usize = 3;

const NOTHING_FOUND: &str = "The documents hold no answer to this question.\n\nNo language model is configured, so \
                             the platform can only quote passages that contain the answer.";
const ONLY_READINGS: &str = "No language model is configured, so the platform can only state what was read.";
const ONLY_READINGS_GERMAN: &str =
    "Es ist kein Sprachmodell konfiguriert, daher kann die Plattform nur nennen, was gelesen wurde.";
const BEFORE_ANSWERS: &str = "From the documents:\n\n";
const BEFORE_NEAREST: &str = "The documents may not answer this question. The nearest passages:\n\n";
const AFTER_QUOTES: &str =
    "No language model is configured; these are the passages that match best, quoted word for word.";

/// Answers a question with quotes from the passages in [`ChatRequest::extractive_input`]; ignores the prompt.
///
/// It needs no server and never fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtractiveAnswerer;

#[async_trait]
impl ChatModel for ExtractiveAnswerer {
    async fn stream(&self, request: ChatRequest) -> Result<ChatStream, ModelError> {
        let answer = answer(&request.extractive_input);
        let usage = usage(&request.extractive_input, &answer);
        let deltas = stream_chunks(&answer).into_iter().map(ChatDelta::Text);
        let finished = ChatDelta::Finished {
            reason: FinishReason::Stop,
            usage,
            tokens_estimated: true,
            cost: MicroCost::default(),
        };
        Ok(ChatStream {
            served_by: ServedBy::embedded(BACKEND_NAME, MODEL_NAME),
            deltas: stream::iter(deltas.chain([finished]).map(Ok).collect::<Vec<_>>()).boxed(),
        })
    }

    fn is_language_model(&self) -> bool {
        false
    }
}

/// The complete answer: the readings of plant systems, and what the documents say.
fn answer(input: &ExtractiveInput) -> String {
    let language = Language::of(&input.question);
    let readings = readings::state(language, &input.readings, input.readings_failure.as_deref());
    match (readings, quoted_answer(input)) {
        (Some(readings), Some(quoted)) => readings + &quoted,
        (Some(readings), None) if language == Language::German => readings + ONLY_READINGS_GERMAN,
        (Some(readings), None) => readings + ONLY_READINGS,
        (None, quoted) => quoted.unwrap_or_else(|| NOTHING_FOUND.to_owned()),
    }
}

/// Quotes with citation markers `[n]`; `None` if the documents contain no answer. If no sentence covers the question,
/// or the search calls its match weak, the nearest passages are shown as such.
fn quoted_answer(input: &ExtractiveInput) -> Option<String> {
    let candidates = candidates(&input.question, &input.passages);
    let answers = if input.is_weak_match { Vec::new() } else { best_answers(&candidates) };
    let (mut text, selected) = match answers.is_empty() {
        true => (BEFORE_NEAREST.to_owned(), nearest(&candidates)),
        false => (BEFORE_ANSWERS.to_owned(), answers),
    };
    let quotes = quotes(&selected, &input.passages);
    if quotes.is_empty() {
        return None;
    }
    for quote in quotes {
        let numbered_passage = &input.passages[quote.passage_index];
        let lines: Vec<String> =
            quote.spans.iter().map(|span| to_single_line(&numbered_passage.passage.content[span.clone()])).collect();
        text.push_str(&format!("> \"{}\" [{}]\n\n", lines.join("\n> "), numbered_passage.n));
    }
    Some(text + AFTER_QUOTES)
}

/// The quotes from one passage, as byte ranges of its text in ascending order.
struct Quote {
    passage_index: usize,
    spans: Vec<Range<usize>>,
}

/// The units that answer, best first, without those that are much worse than the best, and one of the search's best
/// passage if it has none among them: the search compares meaning, the scores only words.
fn best_answers(candidates: &[Candidate]) -> Vec<&Candidate> {
    let answers = || candidates.iter().filter(|candidate| candidate.is_answer);
    let min_score = answers().next().map_or(0.0, |best| MIN_RELATIVE_SCORE * best.score);
    let mut selected: Vec<&Candidate> =
        answers().filter(|candidate| candidate.score >= min_score).take(MAX_QUOTES).collect();
    if !selected.is_empty() && selected.iter().all(|candidate| candidate.passage_index > 0) {
        selected.extend(best_unit(candidates, 0).filter(|candidate| candidate.is_answer));
    }
    selected
}

/// The best unit of each of the first passages, in the order of the search.
fn nearest(candidates: &[Candidate]) -> Vec<&Candidate> {
    let passage_indexes: BTreeSet<usize> = candidates.iter().map(|candidate| candidate.passage_index).collect();
    passage_indexes.into_iter().take(MAX_NEAREST).filter_map(|index| best_unit(candidates, index)).collect()
}

/// The best unit of a passage; a heading only if the passage has nothing else.
fn best_unit(candidates: &[Candidate], passage_index: usize) -> Option<&Candidate> {
    let mut units = candidates.iter().filter(move |candidate| candidate.passage_index == passage_index);
    units.clone().find(|candidate| !candidate.unit.is_heading()).or_else(|| units.next())
}

/// Groups the units, with their lead-ins, by passage.
fn quotes(candidates: &[&Candidate], passages: &[NumberedPassage]) -> Vec<Quote> {
    let mut quotes: Vec<Quote> = Vec::new();
    for candidate in candidates {
        let text = &passages[candidate.passage_index].passage.content;
        let spans = candidate.unit.lead_in.iter().cloned().chain([extend_by_next_sentence(text, &candidate.unit.span)]);
        match quotes.iter_mut().find(|quote| quote.passage_index == candidate.passage_index) {
            Some(quote) => quote.spans.extend(spans),
            None => quotes.push(Quote { passage_index: candidate.passage_index, spans: spans.collect() }),
        }
    }
    for quote in &mut quotes {
        quote.spans = merge(std::mem::take(&mut quote.spans));
    }
    quotes
}

/// Returns `span`, extended by the next sentence of the same paragraph if it is a sentence and both together are short.
fn extend_by_next_sentence(text: &str, span: &Range<usize>) -> Range<usize> {
    let units = units::units(text);
    let next = units.iter().find(|unit| unit.kind == units::UnitKind::Sentence && unit.span.start >= span.end);
    let is_sentence = units.iter().any(|unit| unit.span == *span && unit.kind == units::UnitKind::Sentence);
    match next {
        Some(next)
            if is_sentence
                && next.span.end - span.start <= MAX_EXTENDED_BYTES
                && !text[span.end..next.span.start].contains('\n') =>
        {
            span.start..next.span.end
        }
        _ => span.clone(),
    }
}

/// Sorts the spans and merges overlapping ones.
fn merge(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// Joins `text` into one line. The document's own references in square brackets, such as `[7]`, would look like
/// citations, so they get round brackets.
fn to_single_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for part in text.split_whitespace().collect::<Vec<_>>().join(" ").split_inclusive(']') {
        match part.strip_suffix(']').and_then(|part| part.rsplit_once('[')) {
            Some((before, reference)) if reference.contains(|c: char| c.is_ascii_digit()) => {
                line.push_str(&format!("{before}({reference})"));
            }
            _ => line.push_str(part),
        }
    }
    line
}

/// Splits `answer` into chunks of [`WORDS_PER_CHUNK`] words, including their spaces.
fn stream_chunks(answer: &str) -> Vec<String> {
    answer.split_inclusive(' ').collect::<Vec<_>>().chunks(WORDS_PER_CHUNK).map(<[&str]>::concat).collect()
}

fn usage(input: &ExtractiveInput, answer: &str) -> TokenUsage {
    let input_tokens = input.passages.iter().map(|numbered| estimate::tokens(&numbered.passage.content)).sum::<usize>()
        + estimate::tokens(&input.question);
    let count = |tokens| u32::try_from(tokens).unwrap_or(u32::MAX);
    TokenUsage { input_tokens: count(input_tokens), output_tokens: count(estimate::tokens(answer)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{ChunkId, DocumentId};
    use domain::plant::{NumberedReading, ReadingContent};
    use domain::role::Classification;
    use domain::search::{Passage, SurroundingText};

    fn numbered_passage(content: &str) -> NumberedPassage {
        let passage = Passage {
            chunk_id: ChunkId::from_uuid(uuid::Uuid::from_u128(1)),
            document_id: DocumentId::from_uuid(uuid::Uuid::from_u128(2)),
            chunk_index: 0,
            file_name: "seals.txt".to_owned(),
            title: "Seals".to_owned(),
            page: None,
            section: None,
            content: content.to_owned(),
            classification: Classification::Internal,
        };
        NumberedPassage { n: 1, passage, score: 1.0, surrounding_text: SurroundingText::default() }
    }

    /// Asks a question about one passage.
    fn input(question: &str, content: &str, is_weak_match: bool) -> ExtractiveInput {
        let passages = vec![numbered_passage(content)];
        ExtractiveInput { question: question.to_owned(), passages, is_weak_match, ..ExtractiveInput::default() }
    }

    #[test]
    fn a_reference_in_a_document_does_not_become_a_citation() {
        let content = "The seal fitted is BX-50 [7], see [2, 3] and [Annex].";
        let text = answer(&input("Which seal is fitted?", content, false));
        assert!(text.contains("> \"The seal fitted is BX-50 (7), see (2, 3) and [Annex].\" [1]"), "{text}");
    }

    #[test]
    fn readings_come_before_the_passages_and_need_none() {
        let reading = NumberedReading {
            n: 2,
            content: ReadingContent::Present(fakes::plant::reading("PIT-101", Classification::Internal)),
            equipment: None,
            read_at: domain::time::Timestamp::UNIX_EPOCH,
        };
        let question = "What is the discharge pressure of P-101 now?";
        let with_passage = ExtractiveInput {
            readings: vec![reading],
            ..input(question, "The discharge pressure of P-101 is 5 to 7 bar in normal operation.", false)
        };
        let text = answer(&with_passage);
        let (reading, quote) = (text.find("PIT-101: 4.6 bar"), text.find("> \"The discharge pressure"));
        assert!(reading.is_some() && reading < quote, "{text}");
        let alone = answer(&ExtractiveInput { passages: Vec::new(), ..with_passage });
        assert!(alone.contains("[2]") && alone.ends_with(ONLY_READINGS), "{alone}");
    }

    #[test]
    fn unusual_texts_never_cause_a_panic() {
        let unusual_parts = [
            "",
            " ",
            "|",
            "| |",
            "-|-",
            "[",
            "]",
            "[1",
            "1.",
            "a)",
            "•",
            "P-/A",
            "/-/",
            "ü. Ü. ü",
            "Ü|ü | ß\n\n\u{a0}",
            "...?!",
            "°C",
        ];
        for first in unusual_parts {
            for second in unusual_parts {
                let text = format!("{first}\n{second} seal. {first} Seal P-1{second}: \n{second}");
                let is_weak_match = first.is_empty();
                let streamed = answer(&input(&format!("seal P-1A {first} {second}"), &text, is_weak_match));
                assert_eq!(stream_chunks(&streamed).concat(), streamed);
            }
        }
    }
}
