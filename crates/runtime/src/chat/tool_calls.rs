//! Tools that the model asks for: offered, called, and told to it as data, within what the prompt has room for.

use super::ChatService;
use super::budget::{TokenBudget, cut, estimate};
use super::run_log::RunLog;
use super::stream::Draft;
use super::turn::Turn;
use super::{passages, prompt};
use domain::model::{ModelToolCall, OfferedTool};
use domain::role::Classification;
use domain::run::{RunEvent, ToolStatus};
use domain::search::Retrieval;
use domain::tool::{ToolCall, ToolName, ToolResult, ToolSpec};
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
    ) -> String {
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
        format!("<tool_result>\n{}\n</tool_result>", draft.told(result, budget))
    }
}

impl Draft {
    /// What a tool returned, as text for the model; only what is told counts towards the prompt's classification.
    fn told(&mut self, result: Result<ToolResult, ToolError>, budget: TokenBudget) -> String {
        let room = budget.0.saturating_sub(FRAME);
        match result {
            Err(error) => format!("The tool failed: {error}."),
            Ok(_) if room < LEAST => NO_ROOM.to_owned(),
            Ok(ToolResult::Retrieval(mut found)) => {
                self.keep(&mut found.hits, |hit| hit.passage.classification);
                self.told_passages(found, TokenBudget(room))
            }
            Ok(mut result) => {
                match &mut result {
                    ToolResult::Documents(documents) => self.keep(documents, |document| document.classification),
                    ToolResult::Text { document, .. } => {
                        let mut this = vec![document.classification];
                        self.keep(&mut this, |class| *class);
                        if this.is_empty() {
                            return NOT_FOR_MODELS.to_owned();
                        }
                    }
                    ToolResult::Retrieval(_) | ToolResult::Memories(_) => {}
                }
                self.classify(classes(&result).into_iter());
                shortened(result, TokenBudget(room))
            }
        }
    }

    /// The passages found, under their numbers; of those that the model has already, the numbers alone.
    fn told_passages(&mut self, found: Retrieval, budget: TokenBudget) -> String {
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
            let spent = estimate(&passages::render(new, TokenBudget(0)));
            text.push_str(&passages::render(new, TokenBudget(budget.0.saturating_sub(spent))));
        }
        text
    }
}

/// Has a search return what stands around its passages too, unless its arguments say otherwise.
pub(super) fn ask_for_surroundings(arguments: &mut Value) {
    if let Value::Object(arguments) = arguments {
        arguments.entry("surroundings").or_insert(json!(true));
    }
}

/// A result as text within `budget`. Its last items are left out until the rest fits, so that what is left is whole and
/// a document says where to read on; a single item that is too long is cut.
fn shortened(mut result: ToolResult, budget: TokenBudget) -> String {
    let mut whole = true;
    loop {
        let text = prompt::contained(&describe(&result)).into_owned();
        if estimate(&text) <= budget.0 {
            return if whole { text } else { text + CUT };
        }
        if !drop_last(&mut result) {
            return cut(&text, budget).to_owned() + CUT;
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

/// How far what a tool returned may travel.
fn classes(result: &ToolResult) -> Vec<Classification> {
    match result {
        ToolResult::Retrieval(found) => found.hits.iter().map(|hit| hit.passage.classification).collect(),
        ToolResult::Text { document, .. } => vec![document.classification],
        ToolResult::Documents(documents) => documents.iter().map(|document| document.classification).collect(),
        ToolResult::Memories(_) => Vec::new(),
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
