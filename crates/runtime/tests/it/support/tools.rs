//! A tool gateway that answers every call with a closure of the test, and records the calls.

use async_trait::async_trait;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::rights::{Permission, Rights};
use domain::role::{Operation, Resource};
use domain::search::{Hit, Retrieval};
use domain::tool::{ToolCall, ToolName, ToolResult, ToolSpec};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tools::error::ToolError;
use tools::gateway::ToolGateway;

type Answer = Box<dyn Fn(&ToolCall) -> Result<ToolResult, ToolError> + Send + Sync>;

pub struct ScriptedTools {
    answer: Answer,
    calls: Mutex<Vec<ToolCall>>,
}

impl ScriptedTools {
    pub fn new(answer: impl Fn(&ToolCall) -> Result<ToolResult, ToolError> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), calls: Mutex::default() })
    }

    /// Answers every call with these passages.
    pub fn finding(hits: Vec<Hit>) -> Arc<Self> {
        Self::new(move |_| Ok(found(hits.clone())))
    }

    /// Returns the calls so far, in order.
    pub fn calls(&self) -> Vec<ToolCall> {
        self.calls.lock().expect("no panic under the lock").clone()
    }
}

pub fn found(hits: Vec<Hit>) -> ToolResult {
    ToolResult::Retrieval(Retrieval { answerable: !hits.is_empty(), hits, ..Retrieval::default() })
}

#[async_trait]
impl ToolGateway for ScriptedTools {
    fn manifest(&self, _rights: &Rights) -> Vec<ToolSpec> {
        let spec = |name| ToolSpec {
            name,
            description: "reads",
            requires: Permission::new(Resource::Search, Operation::Read),
            writes: false,
            parameters: json!({"type": "object"}),
        };
        vec![spec(ToolName::RagSearch), spec(ToolName::DocumentRead)]
    }

    async fn invoke(&self, _permit: &Permit, call: ToolCall) -> Result<Classified<ToolResult>, ToolError> {
        let answer = (self.answer)(&call);
        self.calls.lock().expect("no panic under the lock").push(call);
        answer.map(Classified::from_content)
    }
}
