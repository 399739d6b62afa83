//! A call whose intent was recorded in the caller's transaction; the caller records its outcome as well.

use super::admission::{Invocation, OutcomeRecord, RecordedIntent};
use super::{AdmittedCall, GatewayInner, RegisteredTool};
use crate::error::ToolError;
use async_trait::async_trait;
use domain::classified::Classified;
use domain::ports::{StoreError, TenantTx};
use domain::tool::ToolResult;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// An admitted call of a registered tool.
pub(super) struct PendingCall {
    gateway: Arc<GatewayInner>,
    invocation: Invocation,
    arguments: Value,
    intent: RecordedIntent,
    outcome: OnceLock<OutcomeRecord>,
}

impl PendingCall {
    pub(super) fn new(
        gateway: Arc<GatewayInner>,
        invocation: Invocation,
        arguments: Value,
        intent: RecordedIntent,
    ) -> Self {
        Self { gateway, invocation, arguments, intent, outcome: OnceLock::new() }
    }

    async fn run_tool(&self) -> Result<Classified<ToolResult>, ToolError> {
        let Some(RegisteredTool { spec, tool }) = self.gateway.registry.find(self.invocation.tool()) else {
            return Err(ToolError::UnknownTool);
        };
        let prepared = tool.prepare(self.arguments.clone())?;
        self.gateway.run(&spec.name, prepared, self.intent.context.clone()).await
    }

    /// Returns the outcome. The first call builds it from `result`; later calls return the same one.
    fn outcome(&self, result: &Result<Classified<ToolResult>, ToolError>) -> &OutcomeRecord {
        let admission = &self.gateway.admission;
        self.outcome.get_or_init(|| admission.outcome(&self.invocation, self.intent.receipt, result))
    }
}

#[async_trait]
impl AdmittedCall for PendingCall {
    async fn run(&self) -> Result<Classified<ToolResult>, ToolError> {
        let result = self.run_tool().await;
        self.outcome(&result);
        result
    }

    async fn record(&self, tx: &mut dyn TenantTx) -> Result<(), StoreError> {
        self.outcome(&Err(ToolError::Cancelled)).write(tx).await
    }

    async fn record_in_own_transaction(&self) -> Result<(), StoreError> {
        self.gateway.admission.record_outcome(self.outcome(&Err(ToolError::Cancelled))).await
    }
}
