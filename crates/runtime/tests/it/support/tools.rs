//! A tool gateway that answers every call with a closure of the test, and records the calls.

use async_trait::async_trait;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::ports::{StoreError, TenantTx};
use domain::rights::{Permission, Rights};
use domain::role::{Operation, Resource};
use domain::search::{Hit, Retrieval};
use domain::tool::{ToolCall, ToolName, ToolResult, ToolSpec};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tools::error::ToolError;
use tools::gateway::{AdmittedCall, CallAdmission, ToolGateway};

type CallHandler = Arc<dyn Fn(&ToolCall) -> Result<ToolResult, ToolError> + Send + Sync>;

#[derive(Clone)]
pub struct ScriptedTools {
    handler: CallHandler,
    calls: Arc<Mutex<Vec<ToolCall>>>,
}

/// An admitted call, which the handler answers when it runs.
struct ScriptedCall {
    tools: ScriptedTools,
    call: ToolCall,
}

impl ScriptedTools {
    pub fn new(handler: impl Fn(&ToolCall) -> Result<ToolResult, ToolError> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { handler: Arc::new(handler), calls: Arc::default() })
    }

    /// Answers every call with these passages.
    pub fn returning_hits(hits: Vec<Hit>) -> Arc<Self> {
        Self::new(move |_| Ok(retrieval_result(hits.clone())))
    }

    fn handle_call(&self, call: &ToolCall) -> Result<Classified<ToolResult>, ToolError> {
        self.calls.lock().expect("no panic under the lock").push(call.clone());
        (self.handler)(call).map(Classified::from_content)
    }

    /// Returns the calls so far, in order.
    pub fn calls(&self) -> Vec<ToolCall> {
        self.calls.lock().expect("no panic under the lock").clone()
    }
}

pub fn retrieval_result(hits: Vec<Hit>) -> ToolResult {
    ToolResult::Retrieval(Retrieval { answerable: !hits.is_empty(), hits, ..Retrieval::default() })
}

#[async_trait]
impl ToolGateway for ScriptedTools {
    fn manifest(&self, _rights: &Rights) -> Vec<ToolSpec> {
        let spec = |name| ToolSpec {
            name,
            description: "reads",
            required_permission: Permission::new(Resource::Search, Operation::Read),
            writes_to_plant: false,
            parameters: json!({"type": "object"}),
        };
        vec![spec(ToolName::RagSearch), spec(ToolName::DocumentRead)]
    }

    async fn invoke(&self, _permit: &Permit, call: ToolCall) -> Result<Classified<ToolResult>, ToolError> {
        self.handle_call(&call)
    }

    async fn admit(
        &self,
        _tx: &mut dyn TenantTx,
        _permit: &Permit,
        call: ToolCall,
    ) -> Result<CallAdmission, StoreError> {
        Ok(CallAdmission::Admitted(Arc::new(ScriptedCall { tools: self.clone(), call })))
    }
}

#[async_trait]
impl AdmittedCall for ScriptedCall {
    async fn run(&self) -> Result<Classified<ToolResult>, ToolError> {
        self.tools.handle_call(&self.call)
    }

    async fn record(&self, _tx: &mut dyn TenantTx) -> Result<(), StoreError> {
        Ok(())
    }

    async fn record_in_own_transaction(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
