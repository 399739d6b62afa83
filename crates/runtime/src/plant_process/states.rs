//! The states of the connectors of all tenants, with notification of changes.

use domain::ids::{ConnectorId, TenantId};
use domain::plant::{ConnectorState, PlantFailure};
use domain::ports::{PlantQueue, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// A connector of a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct ConnectorKey {
    pub(super) tenant: TenantId,
    pub(super) connector: ConnectorId,
}

/// The most recently read states.
pub(super) type States = Arc<HashMap<ConnectorKey, ConnectorState>>;

/// Reads the states and shares them.
pub(super) struct StateBoard {
    queue: Arc<dyn PlantQueue>,
    states: watch::Sender<States>,
}

impl StateBoard {
    pub(super) fn new(queue: Arc<dyn PlantQueue>) -> Self {
        Self { queue, states: watch::Sender::new(Arc::default()) }
    }

    /// Reads the states again, and notifies subscribers of changes.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        let states = self.queue.states().await?;
        let by_key = |state: ConnectorState| (ConnectorKey { tenant: state.tenant, connector: state.connector }, state);
        let states: HashMap<_, _> = states.into_iter().map(by_key).collect();
        self.states.send_if_modified(|current| {
            let is_changed = **current != states;
            if is_changed {
                *current = Arc::new(states);
            }
            is_changed
        });
        Ok(())
    }

    pub(super) fn current(&self) -> States {
        Arc::clone(&self.states.borrow())
    }

    /// The state of a connector that may be used.
    ///
    /// # Errors
    /// Why it may not be used.
    pub(super) fn usable(&self, key: ConnectorKey) -> Result<ConnectorState, PlantFailure> {
        usable(&self.current(), key)
    }

    /// Waits until the connector may no longer be used.
    pub(super) async fn until_unusable(&self, key: ConnectorKey) -> PlantFailure {
        let mut changes = self.states.subscribe();
        loop {
            if let Err(failure) = usable(&changes.borrow_and_update(), key) {
                return failure;
            }
            // Cannot fail: the sender lives as long as this board.
            if changes.changed().await.is_err() {
                return PlantFailure::Unknown;
            }
        }
    }
}

fn usable(states: &HashMap<ConnectorKey, ConnectorState>, key: ConnectorKey) -> Result<ConnectorState, PlantFailure> {
    match states.get(&key) {
        Some(state) if state.is_off => Err(PlantFailure::PlantMode),
        Some(state) if state.is_usable => Ok(state.clone()),
        _ => Err(PlantFailure::Unknown),
    }
}
