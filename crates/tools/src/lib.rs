//! Tools, retrieval and ingestion: how agents reach documents, and how documents are added.
//!
//! [`gateway::AuditedToolGateway`] is the only way to call a tool: it checks the caller, records the intent, runs the
//! tool and records the outcome. [`registry::Registry`] lists the tools. Those that
//! write ([`write::WriteTool`]) need an approval for each call, and only a worker executes them.
//! [`retrieval::HybridSearch`] finds passages by vector similarity and BM25, and estimates whether they answer the
//! question. [`ingest::DocumentIngest`] accepts uploads and processes ingestion jobs. [`egress::EgressPolicy`] says
//! which addresses that a tenant names may be connected to. [`mcp::McpTools`] are those of a tenant's MCP servers.
//!
//! ```
//! use domain::authorized::Permit;
//! use domain::ports::Embedders;
//! use tools::gateway::ToolGatewayPorts;
//! use tools::registry::{Registry, RegistryError};
//! use tools::retrieval::{HybridSearch, RetrievalParams};
//!
//! fn names_for(
//!     permit: &Permit,
//!     parts: ToolGatewayPorts,
//!     embedders: Embedders,
//! ) -> Result<Vec<String>, RegistryError> {
//!     let search = HybridSearch::new(parts.store.clone(), embedders, RetrievalParams::default());
//!     let registry = Registry::builtin(&parts.store, search)?;
//!     Ok(registry.manifest(permit.rights()).iter().map(|spec| spec.name.to_string()).collect())
//! }
//! ```

pub mod builtin;
pub mod calls;
pub mod channels;
pub mod egress;
pub mod error;
pub mod gateway;
pub mod ingest;
pub mod mcp;
mod registered_tool;
pub mod registry;
pub mod render;
pub mod retrieval;
pub mod tool;
pub mod write;
