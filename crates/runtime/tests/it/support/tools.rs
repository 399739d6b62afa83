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
    /// Whether the tools that read plant systems are offered.
    reads_plant: bool,
}

/// An admitted call, which the handler answers when it runs.
struct ScriptedCall {
    tools: ScriptedTools,
    call: ToolCall,
}

impl ScriptedTools {
    pub fn new(handler: impl Fn(&ToolCall) -> Result<ToolResult, ToolError> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { handler: Arc::new(handler), calls: Arc::default(), reads_plant: false })
    }

    /// Also offers the tools that read plant systems.
    pub fn with_plant(
        handler: impl Fn(&ToolCall) -> Result<ToolResult, ToolError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { handler: Arc::new(handler), calls: Arc::default(), reads_plant: true })
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
    async fn manifest(&self, _: &mut dyn TenantTx, _: &Rights) -> Result<Vec<ToolSpec>, StoreError> {
        let spec = |name: ToolName| ToolSpec {
            name: name.into(),
            description: "reads".into(),
            required_permission: Permission::new(Resource::Search, Operation::Read),
            writes_to_plant: false,
            parameters: json!({"type": "object"}),
        };
        let mut specs = vec![spec(ToolName::RagSearch), spec(ToolName::DocumentRead)];
        if self.reads_plant {
            specs.extend([ToolName::PlantTagSearch, ToolName::PlantSystemRead, ToolName::PlantHistoryRead].map(spec));
        }
        Ok(specs)
    }

    fn has_builtin(&self, _name: ToolName) -> bool {
        self.reads_plant
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
