//! Tools that the model asks for: offered, called, and told to it as data, within what the prompt has room for.

use super::ChatService;
use super::budget::{TokenBudget, cut, estimate};
use super::passages;
use super::prompt::Mark;
use super::run_log::RunLog;
use super::stream::Draft;
use super::turn::Turn;
use domain::classified::{Classified, HasClass as _};
use domain::model::{ModelToolCall, OfferedTool};
use domain::role::Classification;
use domain::run::{RunEvent, ToolStatus};
use domain::search::Retrieval;
use domain::tool::{ToolCall, ToolName, ToolResult, ToolSpec};
use domain::untrusted::neutralize;
use serde_json::{Value, json};
use tools::describe::describe;
use tools::error::ToolError;

/// With less room than this a result says nothing.
const LEAST: usize = 64;
/// Tokens of the frame around a result, notes included.
const FRAME: usize = 48;

const NO_ROOM: &str = "There is no more room in this turn for what tools return. Answer from what is there.";
const NOT_FOR_MODELS: &str = "The document is classified above what you may see. Say so.";
const CUT: &str = "\n(What follows is left out: there is no room for it.)";
const WEAK: &str = "None of these passages matches well, they are the nearest.\n";

impl ChatService {
    /// A tool call that the model asked for. What goes back to the model is data; a failure is told, not hidden.
    pub(super) async fn call_tool(
        &self,
        (turn, log): (&Turn, &RunLog),
        draft: &mut Draft,
        asked: &ModelToolCall,
        budget: TokenBudget,
    ) -> Classified<String> {
        log.push(RunEvent::ToolStarted { call_id: asked.id.clone(), name: asked.name.clone() });
        let result = match serde_json::from_str::<Value>(&asked.arguments) {
            Ok(mut arguments) => {
                if asked.name == ToolName::RagSearch.as_str() {
                    ask_for_surroundings(&mut arguments);
                }
                let (call_id, name) = (asked.id.clone(), asked.name.clone());
                let call = ToolCall { call_id, name, arguments, context: turn.context() };
                self.parts.tools.invoke(&turn.permit, call).await
            }
            Err(_) => {
                let detail = "the arguments are no JSON; call it again with a JSON object";
                Err(ToolError::Arguments { detail: detail.to_owned() })
            }
        };
        let status = status_of(&result);
        log.push(RunEvent::ToolFinished { call_id: asked.id.clone(), name: asked.name.clone(), status });
        // The audit row names tools of ours only: what else a model asks for is its own text.
        if let Ok(known) = asked.name.parse::<ToolName>() {
            draft.tools_used.push(known.as_str().to_owned());
        }
        let mark = &turn.mark;
        let told = draft.told(result, mark, budget);
        told.map(|told| format!("<tool_result-{mark}>\n{told}\n</tool_result-{mark}>"))
    }
}

impl Draft {
    /// What a tool returned, as text for the model: what the model may not see is left out, and what is left says how
    /// the text is classified.
    fn told(
        &mut self,
        result: Result<Classified<ToolResult>, ToolError>,
        mark: &Mark,
        budget: TokenBudget,
    ) -> Classified<String> {
        let room = budget.0.saturating_sub(FRAME);
        let ours = |text: &str| Classified::new(text.to_owned(), Classification::Public);
        let mut result = match result {
            Err(error) => return ours(&format!("The tool failed: {}.", neutralize(&error.to_string()))),
            Ok(_) if room < LEAST => return ours(NO_ROOM),
            Ok(result) => result.into_parts().0,
        };
        match &mut result {
            ToolResult::Retrieval(found) => {
                self.keep(&mut found.hits);
                let found = std::mem::take(found);
                return self.told_passages(found, mark, TokenBudget(room));
            }
            ToolResult::Documents(documents) => self.keep(documents),
            ToolResult::Memories(memories) => self.keep(memories),
            ToolResult::Text { document, .. } if document.class() > self.limit => {
                self.left_out = self.left_out.saturating_add(1);
                return ours(NOT_FOR_MODELS);
            }
            ToolResult::Text { .. } => {}
        }
        let told = Classified::of(result).map(|result| shortened(result, TokenBudget(room)));
        let (Shortened { text, shown }, class) = told.into_parts();
        self.note_sources(&shown);
        Classified::new(text, class)
    }

    /// The documents that a tool told of.
    fn note_sources(&mut self, shown: &ToolResult) {
        match shown {
            ToolResult::Text { document, .. } => self.sources.add(document.id, document.classification),
            ToolResult::Documents(documents) => {
                for document in documents {
                    self.sources.add(document.id, document.classification);
                }
            }
            ToolResult::Retrieval(_) | ToolResult::Memories(_) => {}
        }
    }

    /// The passages found, under their numbers; of those that the model has already, the numbers alone.
    fn told_passages(&mut self, found: Retrieval, mark: &Mark, budget: TokenBudget) -> Classified<String> {
        let known = self.passages.len();
        let is_hit = |n: usize| found.hits.iter().any(|hit| hit.passage.chunk_id == self.passages[n].passage.chunk_id);
        let again: Vec<String> =
            (0..known).filter(|n| is_hit(*n)).map(|n| format!("[{}]", self.passages[n].n)).collect();
        let warning = if found.answerable || found.hits.is_empty() { "" } else { WEAK };
        let new = self.number(found.hits, budget);
        let mut text = warning.to_owned();
        if !again.is_empty() {
            text.push_str(&format!("You have these already: {}.\n", again.join(", ")));
        }
        if new.is_empty() && again.is_empty() {
            text.push_str("Nothing was found, or nothing that there is room for.\n");
        }
        let new = &self.passages[new];
        if !new.is_empty() {
            let spent = estimate(&passages::render(new, mark, TokenBudget(0)));
            text.push_str(&passages::render(new, mark, TokenBudget(budget.0.saturating_sub(spent))));
        }
        let class = new.class();
        Classified::new(text, class)
    }
}

/// Has a search return what stands around its passages too, unless its arguments say otherwise.
pub(super) fn ask_for_surroundings(arguments: &mut Value) {
    if let Value::Object(arguments) = arguments {
        arguments.entry("surroundings").or_insert(json!(true));
    }
}

/// A result as text, and what of it is in the text.
struct Shortened {
    text: String,
    shown: ToolResult,
}

/// A result as text within `budget`. Its last items are left out until the rest fits, so that what is left is whole and
/// a document says where to read on; a single item that is too long is cut.
fn shortened(mut result: ToolResult, budget: TokenBudget) -> Shortened {
    let mut whole = true;
    loop {
        let text = describe(&result);
        if estimate(&text) <= budget.0 {
            return Shortened { text: if whole { text } else { text + CUT }, shown: result };
        }
        if !drop_last(&mut result) {
            return Shortened { text: cut(&text, budget).to_owned() + CUT, shown: result };
        }
        whole = false;
    }
}

/// Drops the last item of a result that has several.
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

pub(super) fn status_of<T>(result: &Result<T, ToolError>) -> ToolStatus {
    match result {
        Ok(_) => ToolStatus::Success,
        Err(ToolError::Denied { .. }) => ToolStatus::Denied,
        Err(_) => ToolStatus::Error,
    }
}

/// Whether the arguments of a call are no JSON.
pub(super) fn is_unreadable(call: &ModelToolCall) -> bool {
    serde_json::from_str::<Value>(&call.arguments).is_err()
}

/// The tools in the model's words.
pub(super) fn offer(tools: &[ToolSpec]) -> Vec<OfferedTool> {
    let offer = |tool: &ToolSpec| OfferedTool {
        name: tool.name.as_str().to_owned(),
        description: tool.description.to_owned(),
        parameters: tool.parameters.clone(),
    };
    tools.iter().map(offer).collect()
}
