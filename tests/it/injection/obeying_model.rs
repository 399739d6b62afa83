//! A model that always obeys: it does what an instruction in its prompt wants, wherever the instruction is.
//!
//! An instruction is `OBEY[channel]`. What it wants depends on the case, whose number is in the user's question, so
//! that one document serves all goals.

use super::channels::instruction;
use super::goals::NONCE;
use super::prompts;
use crate::support::model::{ModelServer, Reply, RequestedCall};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The question that makes the model write the instruction itself.
pub const SAY_INSTRUCTION: &str = "SAY the usual.";

/// The model server, and what it was asked in each case.
pub struct ObeyingModel {
    pub server: ModelServer,
    state: Arc<ModelState>,
}

#[derive(Default)]
struct ModelState {
    orders: Mutex<HashMap<String, Order>>,
    logs: Mutex<HashMap<String, CaseLog>>,
}

/// An instruction, and the replies of a model that obeys it.
pub struct Order {
    /// The case to which it belongs.
    pub case: String,
    /// The text of the instruction.
    pub marker: String,
    /// The replies, one after the other; the last is repeated.
    pub steps: Vec<Reply>,
}

/// The requests of a case, and how the model obeyed.
#[derive(Clone, Default)]
pub struct CaseLog {
    pub requests: Vec<Value>,
    /// Number of replies that did what the instruction wants.
    pub obeyed: usize,
    /// Number of calls that the model requested for the user and for the instruction.
    pub requested_calls: usize,
}

impl ObeyingModel {
    pub async fn start() -> Self {
        let state = Arc::new(ModelState::default());
        let for_server = Arc::clone(&state);
        let server = ModelServer::start_with_request_fn(move |request| for_server.reply(request)).await;
        Self { server, state }
    }

    /// Sets what the instructions want.
    pub fn set_orders(&self, orders: impl Iterator<Item = Order>) {
        *self.state.orders.lock().expect("not poisoned") = orders.map(|order| (order.case.clone(), order)).collect();
    }

    pub fn log(&self, case: &str) -> CaseLog {
        self.state.logs.lock().expect("not poisoned").get(case).cloned().unwrap_or_default()
    }
}

impl ModelState {
    fn reply(&self, request: &Value) -> Reply {
        let question = prompts::last_content(request, "user");
        let Some(case) = case_in(request) else {
            let text = if question == SAY_INSTRUCTION { instruction("earlier-answer") } else { "Noted.".to_owned() };
            return Reply::TextAndToolCalls { text, calls: Vec::new() };
        };
        let is_asked = question.contains("(case ");
        let reply = if is_asked { self.obey(request, &case) } else { None };
        let mut logs = self.logs.lock().expect("not poisoned");
        let log = logs.entry(case).or_default();
        log.requests.push(request.clone());
        // The call that rewrites a follow-up is obeyed as well, but it offers no tools and is no answer.
        let is_side_call = prompts::content(&prompts::messages(request)[0]).starts_with("Task:");
        log.obeyed += usize::from(reply.is_some() && !is_side_call);
        let reply = reply.unwrap_or_else(|| serve_user(request, question));
        match &reply {
            Reply::TextAndToolCalls { calls, .. } if !is_side_call => log.requested_calls += calls.len(),
            _ => {}
        }
        reply
    }

    /// What the instruction in the request wants next; `None` if there is no instruction of this case.
    fn obey(&self, request: &Value, case: &str) -> Option<Reply> {
        let orders = self.orders.lock().expect("not poisoned");
        let Order { marker, steps, .. } = orders.get(case)?;
        let messages = prompts::messages(request);
        let at = messages.iter().position(|message| prompts::content(message).contains(marker))?;
        let step = messages[at + 1..].iter().filter(|message| message["tool_calls"].is_array()).count();
        let nonce = prompts::nonce(request).unwrap_or_else(|| "00000000".to_owned());
        match steps.get(step).or(steps.last())? {
            Reply::TextAndToolCalls { text, calls } => {
                let with_nonce = |text: &str| text.replace(NONCE, &nonce);
                let calls = calls
                    .iter()
                    .map(|call| RequestedCall { name: with_nonce(&call.name), arguments: with_nonce(&call.arguments) });
                Some(Reply::TextAndToolCalls { text: with_nonce(text), calls: calls.collect() })
            }
            other => Some(other.clone()),
        }
    }
}

/// The case that a message names: `(case 17)`.
fn case_in(request: &Value) -> Option<String> {
    let named = |message: &Value| {
        let (_, rest) = prompts::content(message).rsplit_once("(case ")?;
        Some(rest.split_once(')')?.0.to_owned())
    };
    prompts::messages(request).iter().rev().find_map(named)
}

/// Calls the tool that the user asks for, `USE[name {…}]`, once.
fn serve_user(request: &Value, question: &str) -> Reply {
    let has_result = prompts::messages(request).iter().any(|message| message["role"] == "tool");
    let wanted = question.split_once("USE[").and_then(|(_, rest)| rest.split_once("}]"));
    let call = wanted.and_then(|(call, _)| call.split_once(' ')).filter(|_| !has_result);
    match call {
        Some((name, arguments)) => {
            let call = RequestedCall { name: name.to_owned(), arguments: format!("{arguments}}}") };
            Reply::TextAndToolCalls { text: String::new(), calls: vec![call] }
        }
        None => Reply::TextAndToolCalls { text: "Noted.".to_owned(), calls: Vec::new() },
    }
}
