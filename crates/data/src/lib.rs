//! Persistence: repositories, job queue and audit log in PostgreSQL, and the stores of the documents' files.
//!
//! A [`PgStore`] opens a transaction for a [`domain::scope::TenantScope`]. Repositories are only available from such a
//! transaction, and row-level security in the database limits them to the rows of its tenant and user. Pools and
//! connections are private to this crate: code that needs SQL gets a new repository method here.
//!
//! ```no_run
//! use data::{Database, PgStore, PoolSettings};
//! use domain::page::PageRequest;
//! use domain::ports::Store;
//! use domain::role::Classification;
//! use domain::scope::TenantScope;
//!
//! # async fn example(url: &str, scope: &TenantScope) -> Result<(), Box<dyn std::error::Error>> {
//! let store = PgStore::new(Database::new(url, &PoolSettings::default())?);
//! let mut tx = store.begin(scope).await?;
//! let page = tx.documents().list(&Default::default(), Classification::Internal, &PageRequest::default()).await?;
//! tx.commit().await?;
//! # let _documents = page.items;
//! # Ok(())
//! # }
//! ```
//!
//! The feature `testing` adds [`testing::TestDb`], which gives each test its own migrated database.

mod access_tokens;
mod agents;
mod approvals;
pub mod audit;
mod blob;
mod channels;
mod chunks;
mod connectors;
mod conversations;
mod deferred;
mod documents;
mod error;
mod feedback;
mod glossary;
mod goal_queue;
mod goals;
mod idempotency;
mod jobs;
mod ledger;
mod maintenance_systems;
mod mcp_servers;
mod memories;
mod messages;
pub mod migrate;
mod plant_queue;
mod plant_requests;
mod plant_tags;
mod pool;
pub mod preflight;
mod recorded_samples;
mod replica;
mod rows;
mod run_events;
mod s3;
mod sealed_secret;
mod sessions;
mod statement;
mod teams;
mod tenant_directory;
#[cfg(feature = "testing")]
pub mod testing;
mod trace_context;
mod tx;
mod usage;
mod users;
mod work_orders;

pub use audit::PgAuditReader;
pub use blob::FsBlobStore;
pub use error::SetupError;
pub use goal_queue::PgGoalQueue;
pub use jobs::PgJobQueue;
pub use plant_queue::PgPlantQueue;
pub use plant_requests::PgPlantAnswerListener;
pub use pool::{Database, PoolSettings, PoolUsage};
pub use replica::{ReadReplica, ReplicaStore};
pub use run_events::{PgRunEventStore, RunRecovery};
pub use s3::{BlobName, S3BlobStore, S3Settings};
pub use sealed_secret::SealedSecrets;
pub use tenant_directory::PgTenantDirectory;
pub use tx::PgStore;
