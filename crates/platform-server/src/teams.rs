//! Composes the use cases of teams, and the purge of deleted ones.

use crate::ports::SharedPorts;
use domain::ports::BlobStore;
use runtime::teams::TeamService;
use runtime::teams::purge::TeamPurge;
use std::sync::Arc;

/// The use cases of teams.
pub(crate) fn service(ports: &SharedPorts) -> TeamService {
    let SharedPorts { store, directory, clock, ids, .. } = ports.clone();
    TeamService::new(store, directory, clock, ids)
}

/// The purge, which removes documents' files from `blobs`.
pub(crate) fn purge(ports: &SharedPorts, blobs: &Arc<dyn BlobStore>) -> TeamPurge {
    let SharedPorts { store, clock, ids, .. } = ports.clone();
    TeamPurge::new(store, Arc::clone(blobs), clock, ids)
}
