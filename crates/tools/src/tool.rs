//! The tool interface: a manifest entry, typed arguments, and an async function that returns data.

use crate::calls::CallRecorder;
use crate::error::ToolError;
use async_trait::async_trait;
use domain::classified::Classified;
use domain::ports::PlantReaderScope;
use domain::privacy::PrivacyRules;
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use domain::tool::{ToolResult, ToolSpec};
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// The caller of a tool, and the limits of the call. They come from the permit and the database, never from the call's
/// arguments.
#[derive(Clone, Debug)]
pub struct ToolContext {
    /// Tenant and user.
    pub tenant_scope: TenantScope,
    /// The user's clearance when the call was admitted.
    pub clearance: Classification,
    /// Highest classification that models may see, by the tenant's settings.
    pub max_model_classification: Classification,
    /// Highest classification that may leave the site, by the tenant's settings.
    pub max_cloud_classification: Classification,
    /// The tenant's privacy rules, for the models that the tool calls.
    pub privacy: Option<Arc<PrivacyRules>>,
    /// The highest classification of what the arguments may quote. A tool that sends them elsewhere must look at it.
    pub arguments_classification: Classification,
    /// Time at which the call was admitted.
    pub admitted_at: Timestamp,
    /// Records the tool's model calls; the gateway writes them to the usage ledger even if the tool fails.
    pub model_call_recorder: CallRecorder,
}

impl ToolContext {
    /// The caller as a reader of plant systems.
    pub(crate) fn plant_reader_scope(&self) -> PlantReaderScope {
        PlantReaderScope { tenant_scope: self.tenant_scope.clone(), clearance: self.clearance }
    }
}

/// A tool. It is registered once and called concurrently, always through the tool gateway.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// The arguments. The type must reject unknown fields with `#[serde(deny_unknown_fields)]`.
    type Arguments: DeserializeOwned + Send;

    /// The manifest entry of the tool.
    fn spec(&self) -> ToolSpec;

    /// Id of the resource that the call operates on, for the audit log; `None` if there is no single one.
    fn resource_id(&self, _arguments: &Self::Arguments) -> Option<Uuid> {
        None
    }

    /// Runs the tool. Dropping the future must stop the work.
    ///
    /// # Errors
    /// When the requested object does not exist, or a dependency of the tool fails.
    async fn run(&self, context: ToolContext, arguments: Self::Arguments) -> Result<Classified<ToolResult>, ToolError>;
}

/// The future of a running tool call.
pub(crate) type ToolFuture<'t> = BoxFuture<'t, Result<Classified<ToolResult>, ToolError>>;

/// A call with parsed arguments, ready to run.
pub(crate) struct PreparedCall<'t> {
    /// Id of the resource that the call operates on, for the audit log.
    pub(crate) resource_id: Option<Uuid>,
    run: Box<dyn FnOnce(ToolContext) -> ToolFuture<'t> + Send + 't>,
}

impl<'t> PreparedCall<'t> {
    pub(crate) fn new(resource_id: Option<Uuid>, run: impl FnOnce(ToolContext) -> ToolFuture<'t> + Send + 't) -> Self {
        Self { resource_id, run: Box::new(run) }
    }

    /// Runs the call.
    pub(crate) fn run(self, context: ToolContext) -> ToolFuture<'t> {
        (self.run)(context)
    }
}

/// A tool with its argument type erased, so that the registry can hold tools of different types.
pub(crate) trait ErasedTool: Send + Sync {
    /// Parses the arguments; `null` is treated as an empty object.
    fn prepare(&self, arguments: Value) -> Result<PreparedCall<'_>, ToolError>;
}

impl<T: Tool> ErasedTool for T {
    fn prepare(&self, arguments: Value) -> Result<PreparedCall<'_>, ToolError> {
        let arguments = match arguments {
            Value::Null => Value::Object(serde_json::Map::new()),
            object @ Value::Object(_) => object,
            // Serde would also accept an array and assign its items to the fields in order.
            _ => {
                let detail = "the arguments are not a valid JSON object; call it again with one".to_owned();
                return Err(ToolError::InvalidArguments { detail });
            }
        };
        let arguments: T::Arguments = serde_json::from_value(arguments)
            .map_err(|error| ToolError::InvalidArguments { detail: error.to_string() })?;
        let resource_id = self.resource_id(&arguments);
        Ok(PreparedCall::new(resource_id, move |context| Tool::run(self, context, arguments)))
    }
}
