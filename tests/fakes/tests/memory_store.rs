//! Runs the store contract on the in-memory store.

use fakes::store_contract::{CaseError, TestContext};
use fakes::{InMemoryBlobStore, InMemoryStore, ManualClock, SequentialIds};
use std::sync::Arc;

async fn context() -> Result<(TestContext, ()), CaseError> {
    let (clock, ids) = (Arc::new(ManualClock::default()), Arc::new(SequentialIds::default()));
    let store = Arc::new(InMemoryStore::new(clock.clone()));
    let context = TestContext {
        store: store.clone(),
        directory: store.clone(),
        queue: store.clone(),
        goal_queue: store.clone(),
        audit: store,
        blobs: Arc::new(InMemoryBlobStore::new(ids.clone())),
        clock,
        ids,
    };
    Ok((context, ()))
}

fakes::store_contract!(context);
