//! The tools of the platform for clients of the Model Context Protocol: `POST /mcp` (streamable HTTP), and the metadata
//! that tells clients where to sign in (RFC 9728).
//!
//! rmcp implements the protocol: revisions, headers, errors. The gateway does the rest: it authenticates and applies
//! limits first, and each call is a [`domain::command::InvokeTool`] that the policy gate decides on and records. There
//! are no sessions, so no state is kept between requests.

mod definition;
mod endpoint;
mod message;
mod metadata;
mod output_schema;
mod server;
mod settings;

pub(crate) use endpoint::{McpEndpoint, handle};
pub(crate) use metadata::{PATH, WELL_KNOWN_PATH, name_metadata, show};
pub use settings::McpSettings;
