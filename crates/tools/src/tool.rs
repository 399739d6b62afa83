//! What a tool is: a manifest entry, typed arguments, and an async function that returns data.

use crate::calls::CallSheet;
use crate::error::ToolError;
use async_trait::async_trait;
use domain::classified::Classified;
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use domain::tool::{ToolResult, ToolSpec};
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

/// For whom a tool runs. It comes from the permit and the database, never from the call's arguments.
#[derive(Clone, Debug)]
pub struct CallScope {
    /// The tenant and user.
    pub scope: TenantScope,
    /// The highest classification that the user may see at this moment.
    pub clearance: Classification,
    /// The highest classification of this tenant that models may see, by its own setting.
    pub model_limit: Classification,
    /// The highest classification of this tenant that may leave the site, by its own setting.
    pub cloud_limit: Classification,
    /// When the call was admitted.
    pub now: Timestamp,
    /// Where its calls to models are noted; the gateway puts them on record, however the tool ends.
    pub models: CallSheet,
}

/// A tool. It is registered once and called by many users at a time, always through the tool gateway.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// The arguments. Refuse unknown ones with `#[serde(deny_unknown_fields)]`.
    type Arguments: DeserializeOwned + Send;

    /// The manifest entry.
    fn spec(&self) -> ToolSpec;

    /// The one thing that this call is about, if it is about one; for the audit log.
    fn target(&self, _arguments: &Self::Arguments) -> Option<Uuid> {
        None
    }

    /// Runs. Dropping the future must stop the work.
    ///
    /// # Errors
    /// Where the thing asked for is not there, or something that the tool needs fails.
    async fn run(&self, call: CallScope, arguments: Self::Arguments) -> Result<Classified<ToolResult>, ToolError>;
}

/// A running call.
pub(crate) type Running<'t> = BoxFuture<'t, Result<Classified<ToolResult>, ToolError>>;

/// A call whose arguments fit, ready to run.
pub(crate) struct Prepared<'t> {
    /// What it is about.
    pub(crate) target: Option<Uuid>,
    run: Box<dyn FnOnce(CallScope) -> Running<'t> + Send + 't>,
}

impl<'t> Prepared<'t> {
    /// Runs it for `call`.
    pub(crate) fn run(self, call: CallScope) -> Running<'t> {
        (self.run)(call)
    }
}

/// A tool whose type of arguments is hidden, so that a registry can hold several.
pub(crate) trait AnyTool: Send + Sync {
    /// Parses the arguments; no arguments at all count as an empty object.
    fn prepare(&self, arguments: Value) -> Result<Prepared<'_>, ToolError>;
}

impl<T: Tool> AnyTool for T {
    fn prepare(&self, arguments: Value) -> Result<Prepared<'_>, ToolError> {
        let arguments = match arguments {
            Value::Null => Value::Object(serde_json::Map::new()),
            object @ Value::Object(_) => object,
            // Serde would take an array for the fields in order.
            _ => return Err(ToolError::Arguments { detail: "the arguments are no JSON object".to_owned() }),
        };
        let arguments: T::Arguments =
            serde_json::from_value(arguments).map_err(|error| ToolError::Arguments { detail: error.to_string() })?;
        Ok(Prepared { target: self.target(&arguments), run: Box::new(move |call| Tool::run(self, call, arguments)) })
    }
}
