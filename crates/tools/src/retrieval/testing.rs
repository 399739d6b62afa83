//! Builds passages for the unit tests of this module.

use domain::ids::{ChunkId, DocumentId};
use domain::role::Classification;
use domain::search::Passage;
use uuid::Uuid;

/// A passage with classification `internal` and index 0 in its document.
pub(super) fn passage(chunk: u128, document: u128, page: Option<u32>, content: &str) -> Passage {
    Passage {
        chunk_id: ChunkId::from_uuid(Uuid::from_u128(chunk)),
        document_id: DocumentId::from_uuid(Uuid::from_u128(document)),
        chunk_index: 0,
        doc: "file.pdf".into(),
        title: "File".into(),
        page,
        section: None,
        content: content.into(),
        classification: Classification::Internal,
    }
}
