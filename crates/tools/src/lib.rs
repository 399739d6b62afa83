//! Tools, retrieval and ingestion: how agents reach documents, and how documents are added.
//!
//! [`gateway::AuditedToolGateway`] is the only way to call a tool: it checks the caller, records the intent, runs the
//! tool and records the outcome. [`registry::Registry`] lists the tools; none of them writes.
//! [`retrieval::HybridSearch`] finds passages by vector similarity and BM25, and estimates whether they answer the
//! question. [`ingest::DocumentIngest`] accepts uploads and processes ingestion jobs.
//!
//! ```
//! use domain::authorized::Permit;
//! use domain::ports::Embedders;
//! use tools::gateway::{AuditedToolGateway, ToolGateway, ToolGatewayPorts};
//! use tools::registry::{Registry, RegistryError};
//! use tools::retrieval::{HybridSearch, RetrievalParams};
//!
//! fn names_for(
//!     permit: &Permit,
//!     parts: ToolGatewayPorts,
//!     embedders: Embedders,
//! ) -> Result<Vec<&'static str>, RegistryError> {
//!     let search = HybridSearch::new(parts.store.clone(), embedders, RetrievalParams::default());
//!     let registry = Registry::builtin(&parts.store, search)?;
//!     let tools = AuditedToolGateway::new(registry, parts);
//!     Ok(tools.manifest(permit.rights()).iter().map(|spec| spec.name.as_str()).collect())
//! }
//! ```

pub mod builtin;
pub mod calls;
pub mod error;
pub mod gateway;
pub mod ingest;
pub mod registry;
pub mod render;
pub mod retrieval;
pub mod tool;
