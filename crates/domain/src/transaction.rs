//! The transaction that the policy gate shares with a use case: intent, work and outcome are committed together.
//!
//! The gate decides and records the intent in a transaction. If the command declares `transaction Shared`, the gate
//! leaves that transaction open, and the use case continues in it. Nothing is visible to others, and nothing leaves the
//! process, before the single commit that also makes the audit rows durable. If the work fails, its changes are rolled
//! back, and the gate records intent and failure in a new transaction.

use crate::ports::{Store, StoreError, TenantTx};
use crate::scope::TenantScope;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Holds the gate's transaction while it is not in use. Clones share it.
#[derive(Clone, Default)]
pub struct SharedTransaction(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    tx: Option<Box<dyn TenantTx>>,
    /// Whether the transaction with the intent was committed.
    is_committed: bool,
}

impl SharedTransaction {
    /// Shares a transaction that contains the intent.
    #[must_use]
    pub fn open(tx: Box<dyn TenantTx>) -> Self {
        Self(Arc::new(Mutex::new(State { tx: Some(tx), is_committed: false })))
    }

    /// For an intent that is already committed: the use case begins new transactions.
    #[must_use]
    pub fn intent_committed() -> Self {
        Self(Arc::new(Mutex::new(State { tx: None, is_committed: true })))
    }

    /// Takes the transaction; `None` if it is in use, or was rolled back or committed.
    #[must_use]
    pub fn take(&self) -> Option<Box<dyn TenantTx>> {
        self.lock().tx.take()
    }

    /// Whether the transaction with the intent was committed.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.lock().is_committed
    }

    /// Continues in the shared transaction or, once that is committed, begins a new one.
    ///
    /// # Errors
    /// If the database is not available; or if the transaction with the intent is in use or was rolled back, because
    /// then a new transaction could be committed without the intent.
    pub(crate) async fn begin(&self, store: &dyn Store, scope: &TenantScope) -> Result<UseCaseTransaction, StoreError> {
        let (tx, is_committed) = (self.take(), self.is_committed());
        let tx = match tx {
            Some(tx) => tx,
            None if is_committed => store.begin(scope).await?,
            None => {
                let source = "the transaction with the intent is in use, or was rolled back".into();
                return Err(StoreError::Failed { activity: "beginning a second transaction", source });
            }
        };
        Ok(UseCaseTransaction { tx, shared: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTransaction").finish_non_exhaustive()
    }
}

/// A transaction in which a use case works. Dropping it rolls back.
///
/// While the transaction with the intent is open, the use case cannot begin another one. Otherwise use cases that hold
/// all connections of the pool could wait for each other (deadlock).
pub struct UseCaseTransaction {
    tx: Box<dyn TenantTx>,
    shared: SharedTransaction,
}

impl UseCaseTransaction {
    /// Leaves the commit to the gate, which adds the outcome and commits before it returns the result to the caller.
    pub fn defer_commit(self) {
        self.shared.lock().tx = Some(self.tx);
    }

    /// Commits now. Required before anything outside the database happens, such as a model call.
    ///
    /// # Errors
    /// If the database does not confirm the commit.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await?;
        self.shared.lock().is_committed = true;
        Ok(())
    }
}

impl Deref for UseCaseTransaction {
    type Target = dyn TenantTx;

    fn deref(&self) -> &Self::Target {
        &*self.tx
    }
}

impl DerefMut for UseCaseTransaction {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.tx
    }
}
