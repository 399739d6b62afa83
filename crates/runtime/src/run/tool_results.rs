//! Renders tool results as text for the model: classified, within the token budget, and without content that the model
//! may not see.

use super::progress::RunProgress;
use crate::prompt::nonce::TagNonce;
use crate::prompt::passages;
use crate::prompt::readings;
use crate::prompt::templates::TemplateError;
use crate::prompt::tokens::{TokenBudget, TokenCounter};
use domain::classified::{Classified, HasClassification as _};
use domain::plant::ReadingContent;
use domain::role::Classification;
use domain::search::Retrieval;
use domain::time::Timestamp;
use domain::tool::ToolResult;
use domain::untrusted::neutralize;
use tools::error::ToolError;
use tools::render::render_for_model;

/// Minimum tokens for a result to be useful.
const MIN_RESULT_TOKENS: usize = 64;
/// Estimated tokens of the tags around a result, including notes.
const FRAME_TOKENS: usize = 48;

const NO_ROOM_NOTE: &str = "There is no more room in this turn for what tools return. Answer from what is there.";
const ABOVE_MODEL_LIMIT_NOTE: &str = "The document is classified above what you may see. Say so.";
const READINGS_ABOVE_MODEL_LIMIT_NOTE: &str = "The readings are classified above what you may see. Say so.";
const MCP_RESULT_ABOVE_MODEL_LIMIT_NOTE: &str = "What the tool returned is classified above what you may see. Say so.";
const TRUNCATED_NOTE: &str = "\n(What follows is left out: there is no room for it.)";
const WEAK_MATCH_NOTE: &str = "None of these passages matches well, they are the nearest.\n";

/// Where a result is rendered.
#[derive(Clone, Copy)]
pub struct ResultFrame<'a> {
    /// Nonce of the run's tags.
    pub nonce: &'a TagNonce,
    /// Maximum number of tokens of the text.
    pub budget: TokenBudget,
    /// When the result arrived.
    pub now: Timestamp,
}

/// Renders a tool's result for the model, with the classification of its content. Adds passages, readings and sources
/// to `progress`.
///
/// # Errors
/// If the passages cannot be rendered.
pub fn result_text(
    progress: &mut RunProgress,
    result: Result<Classified<ToolResult>, ToolError>,
    frame: ResultFrame<'_>,
) -> Result<Classified<String>, TemplateError> {
    let ResultFrame { nonce, budget, .. } = frame;
    let result_budget = TokenBudget(budget.0.saturating_sub(FRAME_TOKENS));
    let note = |text: &str| Classified::new(text.to_owned(), Classification::Public);
    let result = match result {
        Err(error) => return Ok(note(&format!("The tool failed: {}.", neutralize(&error.to_string())))),
        Ok(_) if result_budget.0 < MIN_RESULT_TOKENS => return Ok(note(NO_ROOM_NOTE)),
        Ok(result) => result.into_parts().0,
    };
    let visibility = &mut progress.visibility;
    Ok(match result {
        ToolResult::Retrieval(mut found) => {
            visibility.retain_visible(&mut found.hits);
            render_passages(progress, found, nonce, result_budget)?
        }
        ToolResult::Documents(mut documents) => {
            visibility.retain_visible(&mut documents);
            render_result(progress, ToolResult::Documents(documents), result_budget)
        }
        ToolResult::Memories(mut memories) => {
            visibility.retain_visible(&mut memories);
            render_result(progress, ToolResult::Memories(memories), result_budget)
        }
        ToolResult::DocumentText { document, .. } if document.classification() > visibility.max_classification => {
            visibility.omitted_count = visibility.omitted_count.saturating_add(1);
            note(ABOVE_MODEL_LIMIT_NOTE)
        }
        text @ ToolResult::DocumentText { .. } => render_result(progress, text, result_budget),
        ToolResult::Tags(mut tags) => {
            visibility.retain_visible(&mut tags);
            progress.known_tags.extend(tags.iter().cloned());
            render_result(progress, ToolResult::Tags(tags), result_budget)
        }
        result @ (ToolResult::Readings(_) | ToolResult::History { .. }) => {
            let frame = ResultFrame { budget: result_budget, ..frame };
            render_readings(progress, reading_contents(result), frame)?
        }
        ToolResult::Mcp(result) if result.classification > visibility.max_classification => {
            visibility.omitted_count = visibility.omitted_count.saturating_add(1);
            note(MCP_RESULT_ABOVE_MODEL_LIMIT_NOTE)
        }
        result @ (ToolResult::Mcp(_) | ToolResult::Calculation(_)) => render_result(progress, result, result_budget),
    })
}

/// Returns the readings in a tool's result.
pub fn reading_contents(result: ToolResult) -> Vec<ReadingContent> {
    match result {
        ToolResult::Readings(readings) => readings.into_iter().map(ReadingContent::Present).collect(),
        ToolResult::History { history, period } => vec![ReadingContent::History { history: *history, period }],
        ToolResult::Retrieval(_)
        | ToolResult::DocumentText { .. }
        | ToolResult::Documents(_)
        | ToolResult::Memories(_)
        | ToolResult::Tags(_)
        | ToolResult::Calculation(_)
        | ToolResult::Mcp(_) => Vec::new(),
    }
}

/// Renders readings with their numbers, as many as fit.
fn render_readings(
    progress: &mut RunProgress,
    mut contents: Vec<ReadingContent>,
    frame: ResultFrame<'_>,
) -> Result<Classified<String>, TemplateError> {
    progress.visibility.retain_visible(&mut contents);
    if contents.is_empty() {
        return Ok(Classified::new(READINGS_ABOVE_MODEL_LIMIT_NOTE.to_owned(), Classification::Public));
    }
    let new_indexes = progress.add_readings(contents, frame.now);
    let new_readings = &progress.readings[new_indexes.clone()];
    let fitted = readings::render_within(new_readings, frame.nonce, &progress.counter, frame.budget)?;
    let classification = new_readings.classification();
    let is_complete = fitted.count == new_readings.len();
    // What the model does not see cannot be cited.
    progress.readings.truncate(new_indexes.start + fitted.count);
    let text = if is_complete { fitted.text } else { fitted.text + TRUNCATED_NOTE };
    Ok(Classified::new(text, classification))
}

/// Renders the result as text. It has the classification of the whole result, even if only a part fits.
fn render_result(progress: &mut RunProgress, result: ToolResult, budget: TokenBudget) -> Classified<String> {
    let (fitted, classification) =
        Classified::from_content(result).map(|result| fit_result(result, &progress.counter, budget)).into_parts();
    add_sources(progress, &fitted.included);
    Classified::new(fitted.text, classification)
}

/// Adds the documents in the shown part of a result to the sources of the answer.
fn add_sources(progress: &mut RunProgress, included: &ToolResult) {
    let sources = &mut progress.provenance.sources;
    match included {
        ToolResult::DocumentText { document, .. } => sources.add(document.id, document.classification),
        ToolResult::Documents(documents) => {
            for document in documents {
                sources.add(document.id, document.classification);
            }
        }
        ToolResult::Retrieval(_)
        | ToolResult::Memories(_)
        | ToolResult::Tags(_)
        | ToolResult::Readings(_)
        | ToolResult::History { .. }
        | ToolResult::Calculation(_)
        | ToolResult::Mcp(_) => {}
    }
}

/// Renders the found passages with their numbers. For passages that the model already has, only the number is given.
fn render_passages(
    progress: &mut RunProgress,
    found: Retrieval,
    nonce: &TagNonce,
    budget: TokenBudget,
) -> Result<Classified<String>, TemplateError> {
    let found_again = |chunk_id| found.hits.iter().any(|hit| hit.passage.chunk_id == chunk_id);
    let known_passages = progress.passages.iter().filter(|known| found_again(known.passage.chunk_id));
    let known_markers: Vec<String> = known_passages.map(|known| format!("[{}]", known.n)).collect();
    let warning = if found.answerable || found.hits.is_empty() { "" } else { WEAK_MATCH_NOTE };
    let new_indexes = progress.add_passages(found.hits, budget);
    let mut text = warning.to_owned();
    if !known_markers.is_empty() {
        text.push_str(&format!("You have these already: {}.\n", known_markers.join(", ")));
    }
    if new_indexes.is_empty() && known_markers.is_empty() {
        text.push_str("Nothing was found, or nothing that there is room for.\n");
    }
    let new_passages = &progress.passages[new_indexes];
    if !new_passages.is_empty() {
        let counter = &progress.counter;
        let no_surroundings = TokenBudget(0);
        let without_surroundings = passages::render(new_passages, nonce, counter, no_surroundings)?;
        let surroundings_budget = TokenBudget(budget.0.saturating_sub(counter.message(&without_surroundings)));
        text.push_str(&passages::render(new_passages, nonce, counter, surroundings_budget)?);
    }
    let classification = new_passages.classification();
    Ok(Classified::new(text, classification))
}

/// A result rendered as text within a budget, and the part of the result that the text contains.
struct FittedResult {
    text: String,
    included: ToolResult,
}

/// Removes items from the end of a result until the rest fits, so that each item is complete and a document states
/// where to continue reading. A single item that is too long is truncated.
fn fit_result(mut result: ToolResult, counter: &TokenCounter, budget: TokenBudget) -> FittedResult {
    let mut is_complete = true;
    loop {
        let text = render_for_model(&result);
        if counter.message(&text) <= budget.0 {
            return FittedResult { text: if is_complete { text } else { text + TRUNCATED_NOTE }, included: result };
        }
        if !drop_last_item(&mut result) {
            return FittedResult {
                text: counter.truncate(&text, budget).to_owned() + TRUNCATED_NOTE,
                included: result,
            };
        }
        is_complete = false;
    }
}

/// Removes the last item of a result that has several. Returns whether an item was removed.
fn drop_last_item(result: &mut ToolResult) -> bool {
    fn pop<T>(items: &mut Vec<T>) -> bool {
        items.len() > 1 && items.pop().is_some()
    }
    match result {
        ToolResult::Retrieval(found) => pop(&mut found.hits),
        ToolResult::Documents(documents) => pop(documents),
        ToolResult::Memories(memories) => pop(memories),
        ToolResult::Tags(tags) => pop(tags),
        ToolResult::Readings(readings) => pop(readings),
        ToolResult::History { history, .. } => pop(&mut history.points),
        ToolResult::DocumentText { passages, truncated, .. } => {
            let dropped = pop(passages);
            *truncated |= dropped;
            dropped
        }
        ToolResult::Calculation(_) => false,
        ToolResult::Mcp(result) => {
            let dropped = result.structured.take().is_some() || pop(&mut result.texts);
            result.is_truncated |= dropped;
            dropped
        }
    }
}
