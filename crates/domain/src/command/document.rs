//! Commands on documents.

use super::command;
use crate::audit::Change;
use crate::document::{Document, DocumentFilter, DocumentPatch};
use crate::ids::{DocumentId, TeamId};
use crate::page::{Page, PageRequest};
use crate::ports::ByteRange;
use crate::upload::{Download, Upload, UploadOutcome};
use serde::Serialize;
use serde_json::{Value, json};

/// Upload a document. The request's body is not read before the policy gate has allowed the command.
#[derive(Serialize)]
pub struct UploadDocument {
    /// `Content-Length` of the request in bytes; `None` for a chunked request.
    pub announced_bytes: Option<u64>,
    /// The file and its form fields, not read yet.
    #[serde(skip)]
    pub upload: Upload,
    /// The team that the document is for; `None` for the home space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
}
command! {
    UploadDocument: Create Documents as "doc.upload" -> UploadOutcome,
    space team,
    id(outcome => outcome.document().id)
}

impl UploadDocument {
    /// Maximum length of a file name, in characters.
    pub const MAX_FILENAME_CHARS: usize = 255;
    /// Maximum number of tags of one document.
    pub const MAX_TAGS: usize = 32;
}

/// List documents within the caller's clearance.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListDocuments {
    /// Conditions that all must hold.
    pub filter: DocumentFilter,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
    /// The team whose documents are listed; `None` for the home space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
}
command!(ListDocuments: List Documents as "doc.list" -> Page<Document>, space team, transaction Shared);

/// Read a document's metadata.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GetDocument {
    /// The document; must be within the caller's clearance.
    pub id: DocumentId,
}
command!(GetDocument: Read Documents as "doc.read" -> Document, target Document(id), transaction Shared);

/// Change a document's metadata or classification.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateDocument {
    /// The document; must be within the caller's clearance.
    pub id: DocumentId,
    /// Fields to change; the others stay.
    pub patch: DocumentPatch,
}
command! {
    UpdateDocument: Update Documents as "doc.update" -> Change<Document>,
    target Document(id),
    classification patch.classification,
    transaction Shared,
    outcome(changed => change_audit_details(changed))
}

/// Titles, tags and client data are content, so the audit log records only that they changed.
fn change_audit_details(change: &Change<Document>) -> Value {
    let Change { before, after } = change;
    let fields = [
        ("title", before.title != after.title),
        ("doc_type", before.doc_type != after.doc_type),
        ("tags", before.tags != after.tags),
        ("classification", before.classification != after.classification),
        ("metadata", before.metadata != after.metadata),
    ];
    let changed_fields: Vec<_> = fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
    json!({
        "before": { "classification": before.classification },
        "after": { "classification": after.classification },
        "changed": changed_fields,
    })
}

/// Read a document's original bytes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DownloadDocument {
    /// The document; must be within the caller's clearance.
    pub id: DocumentId,
    /// Range of bytes to read; `None` for the whole file.
    #[serde(skip)]
    pub range: Option<ByteRange>,
}
command!(DownloadDocument: Read Documents as "doc.access" -> Download, target Document(id));

/// Ingest a document again from its stored bytes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ReprocessDocument {
    /// The document; must be within the caller's clearance.
    pub id: DocumentId,
}
command!(ReprocessDocument: Update Documents as "doc.reprocess" -> Document, target Document(id));

/// Delete a document with its file and passages.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteDocument {
    /// The document: the caller's own or, for an admin, any document in the tenant.
    pub id: DocumentId,
}
command!(DeleteDocument: Delete Documents as "doc.delete" -> (), target Document(id));
