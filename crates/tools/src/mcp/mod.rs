//! Tools of MCP servers, which a tenant's administrators allow one by one.
//!
//! Servers are not trusted. Their definitions are compared with the allowed ones at each call; their results are
//! bounded, stripped of invisible characters and classified by the administrator's rule; they get a credential of their
//! own and never a user's. A tool that writes is called by a worker after the call was approved.

mod arguments;
mod breaker;
mod connector;
mod error;
mod observer;
mod result;
mod session;
mod text;
mod tool;
mod tools;

pub use connector::{McpConnector, McpPorts, ToolInspector};
pub use error::McpError;
pub use observer::{CallObserver, CallOutcome, NoObserver};
pub use result::to_json as result_to_json;
pub use tools::McpTools;
