//! Assembles a prompt from instructions, history, memories, passages and the question.
//!
//! The system message contains only text of the platform and, if there are any, the neutralized instructions of the
//! tenant and of the client program ([`system`](super::system)). Memories, passages and readings are untrusted data.
//! They go into a separate message, after the conversation and before the question, between tags that contain the run's
//! nonce ([`TagNonce`]) and that the text itself cannot close ([`domain::untrusted`]). The user's message follows
//! unchanged.
//!
//! What does not change from turn to turn comes first: the system message, the summary of the beginning of the
//! conversation, and the history, whose start moves rarely. A model server can then reuse its cached state of that
//! prefix.

use super::nonce::TagNonce;
use super::passages;
use super::readings::{self, PlantReadings};
use super::templates::{Template, TemplateError};
use super::tokens::{TokenBudget, TokenCounter, is_included_in_prompt};
use super::tool_rounds;
use domain::classified::{Classified, HasClassification as _};
use domain::conversation::{BranchSummary, Message, MessageRole, Sources};
use domain::memory::Memory;
use domain::model::{NumberedPassage, PromptMessage};
use domain::search::SurroundingText;
use domain::untrusted::neutralize;
use minijinja::{Value, context};

/// Parts from which a prompt is assembled.
#[derive(Clone, Copy, Debug)]
pub struct PromptInput<'a> {
    /// The system message, with the classification of the client's instructions in it.
    pub system: Classified<&'a str>,
    /// Counts the tokens of the prompt.
    pub counter: &'a TokenCounter,
    /// Nonce of the tags of this run.
    pub nonce: &'a TagNonce,
    /// The user's memories, most important first.
    pub memories: &'a [Memory],
    /// Result of the automatic search.
    pub search_result: AutoSearchResult<'a>,
    /// Readings of plant systems for the question.
    pub plant: PlantReadings<'a>,
    /// Whether content about the question was omitted because its classification is above the model's limit.
    pub has_omitted_content: bool,
    /// Summary of the messages before `history`.
    pub summary: Option<&'a BranchSummary>,
    /// Earlier messages, oldest first.
    pub history: &'a [Message],
    /// The user's message, with the classification of user input.
    pub question: Classified<&'a str>,
    /// Calls of client tools that the model requested for the question, with their results.
    pub tool_rounds: Classified<&'a [PromptMessage]>,
}

/// Result of the automatic search for the question.
#[derive(Clone, Copy, Debug)]
pub enum AutoSearchResult<'a> {
    /// The documents were not searched, or the search failed.
    NotSearched,
    /// The documents were searched.
    Searched {
        /// The passages to show, best first; empty if the search found nothing.
        passages: &'a [NumberedPassage],
        /// Whether none of the passages matches the question well.
        is_weak_match: bool,
    },
}

impl<'a> AutoSearchResult<'a> {
    fn passages(self) -> &'a [NumberedPassage] {
        match self {
            Self::NotSearched => &[],
            Self::Searched { passages, .. } => passages,
        }
    }
}

/// A prompt, and the documents whose content it contains.
#[derive(Clone, PartialEq, Debug)]
pub struct AssembledPrompt {
    /// The messages, with the highest classification of their parts.
    pub prompt: Classified<Vec<PromptMessage>>,
    /// Documents that the included passages, the summary and earlier answers come from.
    pub sources: Sources,
    /// Tokens of the shortest possible prompt from the same parts; see [`min_tokens`].
    pub min_tokens: usize,
}

/// Returns the tokens of the shortest possible prompt: without summary, history and the surrounding text of passages.
///
/// # Errors
/// If a template is wrong.
pub fn min_tokens(input: &PromptInput<'_>) -> Result<usize, TemplateError> {
    Ok(tokens_with_data(input, data_message(input, TokenBudget(0))?.as_deref()))
}

/// Returns the tokens of the prompt with this data message, and without summary and history.
fn tokens_with_data(input: &PromptInput<'_>, data: Option<&str>) -> usize {
    let counter = input.counter;
    counter.message(input.system.content())
        + data.map_or(0, |data| counter.message(data))
        + counter.message(input.question.content())
        + tool_rounds::tokens(input.tool_rounds.content(), counter)
}

/// Assembles the prompt. Passages and question are always included. Summary and history fill the rest of `budget`, and
/// the surrounding text of the passages gets the remainder.
///
/// # Errors
/// If a template is wrong.
pub fn assemble(input: &PromptInput<'_>, budget: TokenBudget) -> Result<AssembledPrompt, TemplateError> {
    let mut data = data_message(input, TokenBudget(0))?;
    let min_tokens = tokens_with_data(input, data.as_deref());
    let mut remaining = budget.0.saturating_sub(min_tokens);
    let mut prompt = Classified::empty();
    let mut sources = Sources::default();
    prompt.push(input.system.map(|system| PromptMessage::System(system.to_owned())));
    if let Some(summary) = input.summary {
        let text = summary_message(summary)?;
        if let Some(rest) = remaining.checked_sub(input.counter.message(&text)) {
            remaining = rest;
            prompt.push(Classified::new(PromptMessage::User(text), summary.classification));
            sources.merge(&summary.sources);
        }
    }
    let beginning = prompt.content().len();
    let history = input.counter.newest_messages_within(input.history, TokenBudget(remaining));
    for message in history.iter().filter(|message| is_included_in_prompt(message)) {
        if let Some(earlier_message) = history_message(message, prompt.content().len() == beginning) {
            prompt.push(Classified::new(earlier_message, message.classification));
            sources.merge(&message.sources);
        }
    }
    let history_tokens: usize = history.iter().map(|message| input.counter.earlier_message(message)).sum();
    let passages = input.search_result.passages();
    if passages.iter().any(|passage| passage.surrounding_text != SurroundingText::default()) {
        data = data_message(input, TokenBudget(remaining.saturating_sub(history_tokens)))?;
    }
    if let Some(data) = data {
        let classification = input.memories.classification().max(passages.classification());
        let classification = classification.max(input.plant.readings.classification());
        prompt.push(Classified::new(PromptMessage::User(data), classification));
        for NumberedPassage { passage, .. } in passages {
            sources.add(passage.document_id, passage.classification);
        }
    }
    prompt.push(input.question.map(|question| PromptMessage::User(question.to_owned())));
    for message in input.tool_rounds.content().iter() {
        prompt.push(Classified::new(tool_rounds::render(message, input.nonce), input.tool_rounds.classification()));
    }
    Ok(AssembledPrompt { prompt, sources, min_tokens })
}

/// Renders the summary. Its tags have a nonce of their own, so that they are the same in each turn.
fn summary_message(summary: &BranchSummary) -> Result<String, TemplateError> {
    let nonce = TagNonce::new(summary.id.as_uuid());
    Template::Summary.render(context! { nonce => nonce.to_string(), summary => summary.content.as_str() })
}

/// Converts an earlier message for the prompt. Answers are neutralized like document text, because they may quote
/// documents.
fn history_message(message: &Message, is_first: bool) -> Option<PromptMessage> {
    match message.role {
        MessageRole::User => Some(PromptMessage::User(message.content.clone())),
        // The question of this answer did not fit. Without it, the history would start with an answer.
        _ if is_first => None,
        _ => {
            let content = neutralize(&message.content).into_owned();
            Some(PromptMessage::Assistant { content, tool_calls: Vec::new() })
        }
    }
}

/// Builds the message with memories, passages, readings and a note on the search. `surroundings_budget` limits the
/// passages' surrounding text. Returns `None` if there is nothing to include.
fn data_message(input: &PromptInput<'_>, surroundings_budget: TokenBudget) -> Result<Option<String>, TemplateError> {
    let mut text = String::new();
    let nonce = input.nonce;
    if !input.memories.is_empty() {
        let memories: Vec<Value> = input.memories.iter().map(|memory| memory.content.as_str().into()).collect();
        text.push_str(&Template::Memories.render(context! { nonce => nonce.to_string(), memories })?);
    }
    if let passages @ [_, ..] = input.search_result.passages() {
        text.push_str(&passages::render(passages, nonce, input.counter, surroundings_budget)?);
    }
    if !input.plant.readings.is_empty() {
        text.push_str(&readings::render(input.plant.readings, nonce)?);
    }
    text.push_str(search_note(input.search_result, !input.plant.readings.is_empty()));
    if let Some(failure) = input.plant.failure {
        let failure = neutralize(failure);
        text.push_str(&format!("The plant systems could not be read for the question below: {failure}. Say so.\n"));
    }
    if input.has_omitted_content {
        text.push_str(
            "Some content was left out because it is classified above what you may see. Say so where your answer \
             lacks it.\n",
        );
    }
    Ok((!text.is_empty()).then_some(text))
}

/// Returns a note that tells the model how to treat weak passages, or a search without results.
fn search_note(search_result: AutoSearchResult<'_>, has_readings: bool) -> &'static str {
    match search_result {
        AutoSearchResult::Searched { passages: [], .. } if has_readings => {
            "The documents were searched and hold nothing about the question below. Answer from the readings; do not \
             guess at procedures, limits or settings.\n"
        }
        AutoSearchResult::Searched { passages: [], .. } => {
            "The documents were searched and hold nothing that answers the question below. Say that plainly; do not \
             guess at procedures, limits or settings.\n"
        }
        AutoSearchResult::Searched { is_weak_match: true, .. } => {
            "The documents were searched; none of the passages above matches the question below well, they are the \
             nearest. Say first whether they answer it. Where they do not, say plainly that the documents do not, and \
             what they say that comes near.\n"
        }
        AutoSearchResult::Searched { is_weak_match: false, .. } | AutoSearchResult::NotSearched => "",
    }
}

#[cfg(test)]
mod tests;
