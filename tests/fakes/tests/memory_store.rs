//! Runs the store suite on the in-memory store.

use fakes::suite::{CaseError, World};
use fakes::{ManualClock, MemoryBlobStore, MemoryStore, SequentialIds};
use std::sync::Arc;

async fn world() -> Result<(World, ()), CaseError> {
    let (clock, ids) = (Arc::new(ManualClock::default()), Arc::new(SequentialIds::default()));
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let world = World {
        store: store.clone(),
        directory: store.clone(),
        queue: store.clone(),
        audit: store,
        blobs: Arc::new(MemoryBlobStore::new(ids.clone())),
        clock,
        ids,
    };
    Ok((world, ()))
}

fakes::store_suite!(world);
