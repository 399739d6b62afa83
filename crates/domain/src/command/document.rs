//! Commands on documents.

use super::command;
use crate::audit::Changed;
use crate::document::{Document, DocumentFilter, DocumentPatch};
use crate::ids::DocumentId;
use crate::page::{Page, PageRequest};
use crate::ports::ByteRange;
use crate::role::Classification;
use crate::text::{Label, RevisionLabel};
use crate::time::Date;
use crate::upload::{Download, Upload, UploadOutcome};
use serde::Serialize;
use serde_json::{Value, json};

/// Upload a document. Nothing of the request's body is read before the gate has let the command pass.
#[derive(Serialize)]
pub struct UploadDocument {
    /// `Content-Length` of the request in bytes; `None` for a chunked one.
    pub announced_bytes: Option<u64>,
    /// The file and its form, unread.
    #[serde(skip)]
    pub upload: Upload,
}
command!(UploadDocument: Create Documents as "doc.upload" -> UploadOutcome, id(outcome => outcome.document().id));

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
command!(ListDocuments: List Documents as "doc.list" -> Page<Document>);

/// Read a document's metadata.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GetDocument {
    /// Which one.
    pub id: DocumentId,
}
command!(GetDocument: Read Documents as "doc.read" -> Document, target Document(id));

/// Change what is said of a document.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateDocument {
    /// Which one.
    pub id: DocumentId,
    /// What to change.
    pub patch: DocumentPatch,
}
command! {
    UpdateDocument: Update Documents as "doc.update" -> Changed<Document>,
    target Document(id),
    class patch.classification,
    outcome(changed => document_change(changed))
}

/// Titles, tags and client data are content: the audit log only learns that they changed.
fn document_change(changed: &Changed<Document>) -> Value {
    let Changed { before, after } = changed;
    let fields = [
        ("title", before.title != after.title),
        ("doc_type", before.doc_type != after.doc_type),
        ("tags", before.tags != after.tags),
        ("classification", before.classification != after.classification),
        ("metadata", before.metadata != after.metadata),
    ];
    let changed: Vec<_> = fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
    json!({
        "before": { "classification": before.classification },
        "after": { "classification": after.classification },
        "changed": changed,
    })
}

/// Read a document's original bytes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DownloadDocument {
    /// The document.
    pub id: DocumentId,
    /// Part of the bytes to read; `None` for all of them.
    #[serde(skip)]
    pub range: Option<ByteRange>,
}
command!(DownloadDocument: Read Documents as "doc.access" -> Download, target Document(id));

/// Ingest a document again from its stored bytes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ReprocessDocument {
    /// Which one.
    pub id: DocumentId,
}
command!(ReprocessDocument: Update Documents as "doc.reprocess" -> Document, target Document(id));

/// Delete a document with its file and passages.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteDocument {
    /// Which one.
    pub id: DocumentId,
}
command!(DeleteDocument: Delete Documents as "doc.delete" -> (), target Document(id));
