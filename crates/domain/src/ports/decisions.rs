//! Deciding again, below policy: for work that takes long, or that learns only on its way what it is about.

use super::{StoreError, TenantTx};
use crate::authorized::Permit;
use crate::command::Target;
use crate::decision::Decision;
use crate::role::{Operation, Resource};
use async_trait::async_trait;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// On what kind of thing.
    pub resource: Resource,
    /// What is done to it.
    pub operation: Operation,
    /// On which one.
    pub target: Option<Target>,
}

/// Policy's rules, asked from below.
#[async_trait]
pub trait Decisions: Send + Sync {
    /// Whether the permit's user may do this, by what `tx` reads of user, tenant and target: what the gate would decide
    /// at this moment. Records nothing; the permit's operation has its intent already.
    ///
    /// # Errors
    /// Where the database is not available.
    async fn again(&self, tx: &mut dyn TenantTx, permit: &Permit, asked: Asked) -> Result<Decision, StoreError>;
}
