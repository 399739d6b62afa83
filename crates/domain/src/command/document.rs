//! Commands on documents.

use super::command;
use crate::document::{DocumentFilter, DocumentPatch};
use crate::ids::DocumentId;
use crate::page::PageRequest;
use crate::role::Classification;
use crate::text::{Label, RevisionLabel};
use crate::time::Date;
use serde::Serialize;
use serde_json::Value;

/// Upload a document. Its bytes travel beside the command, and only after the gate has let it pass.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UploadDocument {
    /// The size that the request announces, if it does, in bytes.
    pub announced_bytes: Option<u64>,
}
command!(UploadDocument: Create Documents as DocUpload);

impl UploadDocument {
    /// Longest file name, in characters.
    pub const MAX_FILENAME: usize = 255;
    /// Most tags of one document.
    pub const MAX_TAGS: usize = 32;
}

/// What an upload says of its file, read from the form beside it.
#[derive(Clone, PartialEq, Debug)]
pub struct UploadForm {
    /// The file name as given, cut down to its last component; a label, never a path.
    pub filename: String,
    /// Tags.
    pub tags: Vec<Label>,
    /// Kind of document.
    pub doc_type: Option<Label>,
    /// How far it may travel.
    pub classification: Option<Classification>,
    /// Which issue it is, as the plant counts.
    pub revision: Option<RevisionLabel>,
    /// From which day it is in force.
    pub effective_from: Option<Date>,
    /// The document that it takes the place of.
    pub supersedes: Option<DocumentId>,
    /// The client's own data: a JSON object.
    pub metadata: Value,
}

/// List documents within the caller's clearance.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListDocuments {
    /// Which ones.
    pub filter: DocumentFilter,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListDocuments: List Documents as DocList);

/// Read a document's metadata.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GetDocument {
    /// Which one.
    pub id: DocumentId,
}
command!(GetDocument: Read Documents as DocRead, target Document(id));

/// Change what is said of a document.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateDocument {
    /// Which one.
    pub id: DocumentId,
    /// What to change.
    pub patch: DocumentPatch,
}
command!(UpdateDocument: Update Documents as DocUpdate, target Document(id), class patch.classification);

/// Read a document's original bytes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DownloadDocument {
    /// Which one.
    pub id: DocumentId,
}
command!(DownloadDocument: Read Documents as DocAccess, target Document(id));

/// Ingest a document again from its stored bytes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ReprocessDocument {
    /// Which one.
    pub id: DocumentId,
}
command!(ReprocessDocument: Update Documents as DocReprocess, target Document(id));

/// Delete a document with its file and passages.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteDocument {
    /// Which one.
    pub id: DocumentId,
}
command!(DeleteDocument: Delete Documents as DocDelete, target Document(id));
