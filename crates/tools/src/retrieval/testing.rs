//! Builds passages for the unit tests of this module.

use super::terms::{terms_of, whole_text};
use domain::ids::{ChunkId, DocumentId};
use domain::role::Classification;
use domain::search::{Candidate, Passage, TermSource};
use uuid::Uuid;

/// A passage with classification `internal` and index 0 in its document.
pub(super) fn passage(chunk: u128, document: u128, page: Option<u32>, content: &str) -> Passage {
    Passage {
        chunk_id: ChunkId::from_uuid(Uuid::from_u128(chunk)),
        document_id: DocumentId::from_uuid(Uuid::from_u128(document)),
        chunk_index: 0,
        file_name: "file.pdf".into(),
        title: "File".into(),
        page,
        section: None,
        content: content.into(),
        classification: Classification::Internal,
    }
}

/// A candidate for the passage that [`passage`] makes, with its terms.
pub(super) fn candidate(chunk: u128, document: u128, page: Option<u32>, content: &str) -> Candidate {
    candidate_of(&passage(chunk, document, page, content))
}

/// A candidate for this passage, with its terms and without a section.
pub(super) fn candidate_of(passage: &Passage) -> Candidate {
    Candidate {
        chunk_id: passage.chunk_id,
        document_id: passage.document_id,
        chunk_index: passage.chunk_index,
        page: passage.page,
        section: None,
        doc_type: None,
        classification: passage.classification,
        term_source: TermSource::Terms(terms_of(&whole_text(passage))),
    }
}
