//! Tool results as text for the model: classified, within the token budget, without what the model may not see.

use super::progress::StatusChange;
use crate::prompt::nonce::TagNonce;
use crate::prompt::passages;
use crate::prompt::tokens::{TokenBudget, estimate, truncate};
use domain::classified::{Classified, HasClass as _};
use domain::role::Classification;
use domain::search::Retrieval;
use domain::tool::ToolResult;
use domain::untrusted::neutralize;
use tools::describe::describe;
use tools::error::ToolError;

/// Minimum tokens for a result to be useful.
const MIN_RESULT_TOKENS: usize = 64;
/// Tokens of the tags around a result, notes included.
const FRAME_TOKENS: usize = 48;

const NO_ROOM: &str = "There is no more room in this turn for what tools return. Answer from what is there.";
const NOT_FOR_MODELS: &str = "The document is classified above what you may see. Say so.";
const TRUNCATED: &str = "\n(What follows is left out: there is no room for it.)";
const WEAK: &str = "None of these passages matches well, they are the nearest.\n";

/// What the model reads of a tool's result, with the class of the content. Passages and sources are added to the
/// progress.
pub fn result_text(
    progress: &mut StatusChange,
    result: Result<Classified<ToolResult>, ToolError>,
    nonce: &TagNonce,
    budget: TokenBudget,
) -> Classified<String> {
    let room = TokenBudget(budget.0.saturating_sub(FRAME_TOKENS));
    let note = |text: &str| Classified::new(text.to_owned(), Classification::Public);
    let result = match result {
        Err(error) => return note(&format!("The tool failed: {}.", neutralize(&error.to_string()))),
        Ok(_) if room.0 < MIN_RESULT_TOKENS => return note(NO_ROOM),
        Ok(result) => result.into_parts().0,
    };
    let visibility = &mut progress.visibility;
    match result {
        ToolResult::Retrieval(mut found) => {
            visibility.retain_visible(&mut found.hits);
            passages_text(progress, found, nonce, room)
        }
        ToolResult::Documents(mut documents) => {
            visibility.retain_visible(&mut documents);
            described(progress, ToolResult::Documents(documents), room)
        }
        ToolResult::Memories(mut memories) => {
            visibility.retain_visible(&mut memories);
            described(progress, ToolResult::Memories(memories), room)
        }
        ToolResult::Text { document, .. } if document.class() > visibility.limit => {
            visibility.left_out = visibility.left_out.saturating_add(1);
            note(NOT_FOR_MODELS)
        }
        text @ ToolResult::Text { .. } => described(progress, text, room),
    }
}

/// The result as text. It has the class of the whole result, also if some of it did not fit.
fn described(progress: &mut StatusChange, result: ToolResult, budget: TokenBudget) -> Classified<String> {
    let (fitted, class) = Classified::from_content(result).map(|result| fit(result, budget)).into_parts();
    add_sources(progress, &fitted.shown);
    Classified::new(fitted.text, class)
}

/// Adds the documents that a result shows to the sources of the answer.
fn add_sources(progress: &mut StatusChange, shown: &ToolResult) {
    let sources = &mut progress.origin.sources;
    match shown {
        ToolResult::Text { document, .. } => sources.add(document.id, document.classification),
        ToolResult::Documents(documents) => {
            for document in documents {
                sources.add(document.id, document.classification);
            }
        }
        ToolResult::Retrieval(_) | ToolResult::Memories(_) => {}
    }
}

/// The passages found, under their numbers. Passages that the model has already are named by number only.
fn passages_text(
    progress: &mut StatusChange,
    found: Retrieval,
    nonce: &TagNonce,
    budget: TokenBudget,
) -> Classified<String> {
    let found_again = |chunk_id| found.hits.iter().any(|hit| hit.passage.chunk_id == chunk_id);
    let known = progress.passages.iter().filter(|known| found_again(known.passage.chunk_id));
    let known: Vec<String> = known.map(|known| format!("[{}]", known.n)).collect();
    let warning = if found.answerable || found.hits.is_empty() { "" } else { WEAK };
    let added = progress.add_passages(found.hits, budget);
    let mut text = warning.to_owned();
    if !known.is_empty() {
        text.push_str(&format!("You have these already: {}.\n", known.join(", ")));
    }
    if added.is_empty() && known.is_empty() {
        text.push_str("Nothing was found, or nothing that there is room for.\n");
    }
    let added = &progress.passages[added];
    if !added.is_empty() {
        let spent = estimate(&passages::render(added, nonce, TokenBudget(0)));
        text.push_str(&passages::render(added, nonce, TokenBudget(budget.0.saturating_sub(spent))));
    }
    let class = added.class();
    Classified::new(text, class)
}

/// A result as text within a budget, and the part of the result that the text shows.
struct FittedResult {
    text: String,
    shown: ToolResult,
}

/// Drops the last items of a result until the rest fits, so that each item is complete and a document says where to
/// read on. A single item that is too long is truncated.
fn fit(mut result: ToolResult, budget: TokenBudget) -> FittedResult {
    let mut complete = true;
    loop {
        let text = describe(&result);
        if estimate(&text) <= budget.0 {
            return FittedResult { text: if complete { text } else { text + TRUNCATED }, shown: result };
        }
        if !drop_last(&mut result) {
            return FittedResult { text: truncate(&text, budget).to_owned() + TRUNCATED, shown: result };
        }
        complete = false;
    }
}

/// Drops the last item of a result that has several. Returns whether it did.
fn drop_last(result: &mut ToolResult) -> bool {
    fn pop<T>(items: &mut Vec<T>) -> bool {
        items.len() > 1 && items.pop().is_some()
    }
    match result {
        ToolResult::Retrieval(found) => pop(&mut found.hits),
        ToolResult::Documents(documents) => pop(documents),
        ToolResult::Memories(memories) => pop(memories),
        ToolResult::Text { passages, truncated, .. } => {
            let dropped = pop(passages);
            *truncated |= dropped;
            dropped
        }
    }
}
