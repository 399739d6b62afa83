//! The single choke point: every tool call is validated, recorded, run and recorded again, here and nowhere else.

use crate::error::ToolError;
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::role::Role;
use domain::tool::{ToolCall, ToolResult, ToolSpec};

/// Calls tools on behalf of a permit.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ToolGateway: Send + Sync {
    /// The tools that `role` may call.
    fn manifest(&self, role: Role) -> Vec<ToolSpec>;

    /// Calls one: checks that user and tenant are still switched on, that the role may, that the arguments fit;
    /// records the intent, runs, records the outcome.
    ///
    /// # Errors
    /// Where any of that says no, or the tool fails. Each leaves its outcome in the audit log.
    async fn invoke(&self, permit: &Permit, call: ToolCall) -> Result<ToolResult, ToolError>;
}
