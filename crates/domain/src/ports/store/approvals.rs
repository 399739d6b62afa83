//! Repositories of approvals, work orders, the maintenance system and the plant mode.

use crate::approval::{
    Approval, ApprovalDecision, ApprovalFilter, ApprovalPolicy, ApprovalReader, ApprovalStatus, ExecutionError,
    PendingCounts, PolicyTerms, WriteAttempts,
};
use crate::ids::{ApprovalId, UserId, WorkOrderId};
use crate::maintenance::MaintenanceSettings;
use crate::page::{Page, PageRequest};
use crate::plant::PlantModeState;
use crate::store_error::StoreError;
use crate::time::Timestamp;
use crate::work_order::{WorkOrder, WorkOrderFilter};
use async_trait::async_trait;
use serde_json::Value;

/// A change of an approval's state.
#[derive(Clone, PartialEq, Debug)]
pub struct StatusTransition {
    /// State before. Nothing is changed if the approval has another.
    pub from: ApprovalStatus,
    /// Must be allowed from `from`, or the database refuses it.
    pub to: ApprovalStatus,
    /// What the execution created.
    pub result: Option<Value>,
    /// Why it was not executed.
    pub error: Option<ExecutionError>,
    /// Whether the requester's conversation, if there is one, has to be told.
    pub notify: bool,
}

impl StatusTransition {
    /// A transition without result and error. The requester's conversation is told of final states.
    #[must_use]
    pub fn new(from: ApprovalStatus, to: ApprovalStatus) -> Self {
        Self { from, to, result: None, error: None, notify: to.is_final() }
    }
}

/// Approvals of the tenant. Rows are never deleted.
#[async_trait]
pub trait ApprovalRepo: Send {
    /// Inserts a pending approval without decisions.
    async fn insert(&mut self, approval: &Approval) -> Result<(), StoreError>;
    /// Reads one row with its decisions; `None` if it does not exist.
    async fn get(&mut self, id: ApprovalId) -> Result<Option<Approval>, StoreError>;
    /// Like [`Self::get`], and locks the row until this transaction ends.
    async fn lock(&mut self, id: ApprovalId) -> Result<Option<Approval>, StoreError>;
    /// Lists the approvals that match the filter and that `reader` may know of, newest first.
    async fn list(
        &mut self,
        filter: &ApprovalFilter,
        reader: ApprovalReader,
        page: &PageRequest,
    ) -> Result<Page<Approval>, StoreError>;
    /// Inserts a decision; `false` if the user has already decided on this approval.
    async fn insert_decision(&mut self, id: ApprovalId, decision: &ApprovalDecision) -> Result<bool, StoreError>;
    /// Changes the state; `false` if the approval does not exist or has another state than `from`.
    ///
    /// # Errors
    /// If the table of transitions does not have the transition, or the database is not available.
    async fn transition(
        &mut self,
        id: ApprovalId,
        transition: &StatusTransition,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Marks a pending approval as escalated; `false` if it is not pending, or was escalated before.
    async fn escalate(&mut self, id: ApprovalId, expires_at: Timestamp, now: Timestamp) -> Result<bool, StoreError>;
    /// Counts one more attempt at the write of an approval after `earlier` ones; `false` if it does not exist, is not
    /// being executed, or has another number of attempts, because somebody else is executing it.
    async fn count_write_attempt(&mut self, id: ApprovalId, earlier: u32) -> Result<bool, StoreError>;
    /// Records that it is known what the plant system made of the last attempt, which was the `begun`th; `false` if it
    /// was recorded, the approval is not being executed, or another attempt has begun.
    async fn count_write_answer(&mut self, id: ApprovalId, begun: u32) -> Result<bool, StoreError>;
    /// Attempts at the write of an approval; none if it does not exist.
    async fn write_attempts(&mut self, id: ApprovalId) -> Result<WriteAttempts, StoreError>;
    /// Marks the requester as notified; `false` if they need not be, because somebody else has marked them.
    async fn clear_notice(&mut self, id: ApprovalId) -> Result<bool, StoreError>;
    /// Approvals with work for a worker at `now`, at most `limit`: pending ones that have expired, approved ones unless
    /// the plant mode forbids writes and they have not expired, executing ones, and those whose outcome the requester
    /// has to be notified of. Approved ones come after those that take no time, executing ones, which may wait for a
    /// system that is away, come last; otherwise the oldest come first.
    async fn due(&mut self, now: Timestamp, limit: u32) -> Result<Vec<ApprovalId>, StoreError>;
    /// Numbers of pending approvals: the tenant's, and those that `requester` made. Others that count wait until this
    /// transaction ends, so that a limit which is checked against them is not exceeded.
    async fn lock_and_count_pending(&mut self, requester: UserId) -> Result<PendingCounts, StoreError>;
    /// Locks the pending approvals of a tool and returns their ids.
    async fn lock_pending(&mut self, tool: &str) -> Result<Vec<ApprovalId>, StoreError>;
    /// The tenant's policy on a tool; `None` if it has set none. It cannot change until this transaction ends.
    async fn policy(&mut self, tool: &str) -> Result<Option<ApprovalPolicy>, StoreError>;
    /// Like [`Self::policy`], for a transaction that sets it afterwards: waits for all that use it.
    async fn policy_to_change(&mut self, tool: &str) -> Result<Option<ApprovalPolicy>, StoreError>;
    /// Sets the policy on a tool, with the next version.
    async fn put_policy(
        &mut self,
        tool: &str,
        terms: &PolicyTerms,
        by: Option<UserId>,
        now: Timestamp,
    ) -> Result<ApprovalPolicy, StoreError>;
}

/// Work orders of the tenant.
#[async_trait]
pub trait WorkOrderRepo: Send {
    /// Inserts a work order and returns it; if the tenant has one with the same external reference, returns that one.
    async fn insert(&mut self, order: &WorkOrder) -> Result<WorkOrder, StoreError>;
    /// Reads one row; `None` if it does not exist.
    async fn get(&mut self, id: WorkOrderId) -> Result<Option<WorkOrder>, StoreError>;
    /// The work order with this external reference; `None` if there is none.
    async fn by_external_reference(&mut self, reference: &str) -> Result<Option<WorkOrder>, StoreError>;
    /// Lists the work orders that match the filter, newest first.
    async fn list(&mut self, filter: &WorkOrderFilter, page: &PageRequest) -> Result<Page<WorkOrder>, StoreError>;
    /// Closes a work order and returns it; `None` if it does not exist or is closed.
    async fn close(&mut self, id: WorkOrderId, by: UserId, now: Timestamp) -> Result<Option<WorkOrder>, StoreError>;
}

/// The tenant's maintenance system.
#[async_trait]
pub trait MaintenanceSystemRepo: Send {
    /// The system in use: the platform's own list if none was set.
    async fn get(&mut self) -> Result<MaintenanceSettings, StoreError>;
    /// Sets the system.
    async fn put(&mut self, settings: &MaintenanceSettings, by: Option<UserId>) -> Result<(), StoreError>;
}

/// The tenant's plant mode.
#[async_trait]
pub trait PlantModeRepo: Send {
    /// The mode in force.
    async fn get(&mut self) -> Result<PlantModeState, StoreError>;
    /// Sets the mode.
    async fn set(&mut self, state: &PlantModeState, by: Option<UserId>) -> Result<(), StoreError>;
}
