//! The interface of a tool that writes.

use super::approved_call::ApprovedCall;
use super::error::WriteError;
use crate::error::ToolError;
use async_trait::async_trait;
use domain::approval::{Approval, PolicyTerms};
use domain::ids::{ApprovalId, TenantId, UserId};
use domain::ports::TenantTx;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use domain::tool::WriteToolSpec;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

/// For whom a write is executed.
#[derive(Clone, Debug)]
pub struct WriteContext {
    /// The tenant, with the worker as actor.
    pub tenant_scope: TenantScope,
    /// Time of the execution.
    pub now: Timestamp,
    /// A UUIDv7 for what the write creates in the platform's own tables.
    pub new_id: Uuid,
}

/// A write that is being asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriteDraft {
    /// The tenant of the requester.
    pub tenant: TenantId,
    /// The approval that the request will have.
    pub approval: ApprovalId,
    /// The user who asks.
    pub requested_by: UserId,
}

/// A tool that writes to a plant system. It is registered once, and executed only by the tool gateway, for a worker.
#[async_trait]
pub trait WriteTool: Send + Sync + 'static {
    /// The arguments. The type must reject unknown fields with `#[serde(deny_unknown_fields)]`.
    type Arguments: DeserializeOwned + Send + Sync;

    /// The manifest entry of the tool, with its version and its default policy.
    fn spec(&self) -> WriteToolSpec;

    /// What the write changes, in the plant's own notation.
    fn target(&self, arguments: &Self::Arguments) -> String;

    /// What the write would do, for the approvers: a JSON object with exactly what would be sent. Changes nothing, and
    /// asks nobody: it may read the tenant's settings in `tx`, which is the transaction that stores the request.
    ///
    /// # Errors
    /// If the database fails, or the tenant's settings do not permit the write.
    async fn preview(
        &self,
        tx: &mut dyn TenantTx,
        draft: &WriteDraft,
        arguments: &Self::Arguments,
    ) -> Result<Value, WriteError>;

    /// What was created under the approval's id as external reference, as [`Self::execute`] returns it; `None` if
    /// nothing was. Called before each execution, so that a crash between execution and record does not execute twice,
    /// and after one that failed.
    ///
    /// # Errors
    /// If the plant system cannot be searched, or is not the one that the approvers saw.
    async fn find(&self, context: &WriteContext, approval: &Approval) -> Result<Option<Value>, WriteError>;

    /// Writes, and returns what was created: a JSON object. Nothing may be sent that the approvers did not see.
    ///
    /// # Errors
    /// If what would be sent is not what the approvers saw, or the plant system refuses the write or cannot be used.
    async fn execute(
        &self,
        context: &WriteContext,
        call: ApprovedCall<'_>,
        arguments: Self::Arguments,
    ) -> Result<Value, WriteError>;
}

/// A call of a tool that writes, checked and ready to be approved.
#[derive(Clone, PartialEq, Debug)]
pub struct PreparedWrite {
    /// Version of the tool's behaviour.
    pub version: u32,
    /// What the write changes, in the plant's own notation.
    pub target: String,
    /// What the write would do: a JSON object.
    pub preview: Value,
    /// Who approves it, unless the tenant has set another policy.
    pub default_policy: PolicyTerms,
}

/// A tool with its argument type erased, so that the registry can hold tools of different types.
#[async_trait]
pub(crate) trait ErasedWriteTool: Send + Sync {
    /// Checks the arguments, and describes the write.
    async fn prepare(
        &self,
        tx: &mut dyn TenantTx,
        draft: &WriteDraft,
        arguments: &Value,
    ) -> Result<PreparedWrite, ToolError>;

    async fn find(&self, context: &WriteContext, approval: &Approval) -> Result<Option<Value>, WriteError>;

    async fn execute(
        &self,
        context: &WriteContext,
        call: ApprovedCall<'_>,
        arguments: &Value,
    ) -> Result<Value, WriteError>;
}

#[async_trait]
impl<T: WriteTool> ErasedWriteTool for T {
    async fn prepare(
        &self,
        tx: &mut dyn TenantTx,
        draft: &WriteDraft,
        arguments: &Value,
    ) -> Result<PreparedWrite, ToolError> {
        let arguments: T::Arguments =
            parse(arguments).map_err(|error| ToolError::InvalidArguments { detail: error.to_string() })?;
        let spec = self.spec();
        let preview = self.preview(tx, draft, &arguments).await.map_err(|error| match error {
            WriteError::System(source) => ToolError::Store { tool: spec.tool.name.to_string().into(), source },
            other => ToolError::InvalidArguments { detail: other.to_string() },
        })?;
        Ok(PreparedWrite {
            version: spec.version,
            target: self.target(&arguments),
            preview,
            default_policy: spec.default_policy.unwrap_or_else(PolicyTerms::platform_default),
        })
    }

    async fn find(&self, context: &WriteContext, approval: &Approval) -> Result<Option<Value>, WriteError> {
        WriteTool::find(self, context, approval).await
    }

    async fn execute(
        &self,
        context: &WriteContext,
        call: ApprovedCall<'_>,
        arguments: &Value,
    ) -> Result<Value, WriteError> {
        let arguments: T::Arguments =
            parse(arguments).map_err(|error| WriteError::InvalidArguments { detail: error.to_string() })?;
        WriteTool::execute(self, context, call, arguments).await
    }
}

fn parse<T: DeserializeOwned>(arguments: &Value) -> Result<T, serde_json::Error> {
    use serde::de::Error as _;
    // Serde would also accept an array and assign its items to the fields in order.
    if !arguments.is_object() {
        return Err(serde_json::Error::custom("the arguments must be a JSON object"));
    }
    serde_json::from_value(arguments.clone())
}
