//! Persistence: repositories, job queue and audit log in PostgreSQL, and the file store for uploaded documents.
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
pub mod audit;
mod blob;
mod chunks;
mod conversations;
mod deferred;
mod directory;
mod documents;
mod error;
mod feedback;
mod idempotency;
mod identifiers;
mod jobs;
mod ledger;
mod memories;
mod messages;
pub mod migrate;
mod pool;
pub mod preflight;
mod rows;
mod run_events;
mod sessions;
mod statement;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod usage;
mod users;

pub use audit::PgAuditReader;
pub use blob::FsBlobStore;
pub use directory::PgDirectory;
pub use error::SetupError;
pub use jobs::PgJobQueue;
pub use pool::{Database, PoolSettings};
pub use run_events::{PgRunEventStore, RunRecovery};
pub use tx::PgStore;
