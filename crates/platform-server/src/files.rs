//! Documents listed in the JSON of the sample plant and of evaluation sets: files with metadata, and their upload.

use anyhow::{Context as _, Result, ensure};
use domain::command::UploadDocument;
use domain::role::Classification;
use domain::text::ShortText;
use domain::upload::{Upload, UploadForm, UploadOutcome};
use futures::FutureExt as _;
use policy::caller::Caller;
use policy::gate::Gate;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A document as a JSON list describes it.
#[derive(Clone, Debug, Deserialize)]
pub struct FileEntry {
    /// Path relative to the directory of the list.
    path: PathBuf,
    #[serde(default)]
    tags: Vec<String>,
    doc_type: Option<String>,
    classification: Option<Classification>,
}

/// A document to upload, with its metadata.
#[derive(Clone, Debug)]
pub struct DocumentFile {
    /// Path of the file.
    pub path: PathBuf,
    /// File name that the platform shows for the document.
    pub name: String,
    tags: Vec<ShortText>,
    doc_type: Option<ShortText>,
    classification: Option<Classification>,
}

impl FileEntry {
    /// Resolves the path against `base` and validates the metadata.
    ///
    /// # Errors
    /// If the path has no file name, or a tag or the type is not valid; the message names the document.
    pub fn resolve(&self, base: &Path) -> Result<DocumentFile> {
        let path = base.join(&self.path);
        let description = || format!("the document {}", self.path.display());
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .with_context(|| format!("{} has no file name", description()))?;
        ensure!(self.tags.len() <= UploadDocument::MAX_TAGS, "{} has too many tags", description());
        Ok(DocumentFile {
            name: name.to_owned(),
            tags: self
                .tags
                .iter()
                .map(|tag| ShortText::parse(tag))
                .collect::<Result<_, _>>()
                .with_context(description)?,
            doc_type: self.doc_type.as_deref().map(ShortText::parse).transpose().with_context(description)?,
            classification: self.classification,
            path,
        })
    }
}

impl DocumentFile {
    /// Uploads the document through the gate, as a client would.
    ///
    /// # Errors
    /// If the file cannot be read, or the gate refuses it.
    pub async fn upload(&self, gate: &dyn Gate, caller: &Caller) -> Result<UploadOutcome> {
        let bytes = tokio::fs::read(&self.path).await;
        let bytes = bytes.with_context(|| format!("{} cannot be read", self.path.display()))?;
        let announced_bytes = Some(bytes.len() as u64);
        let form = UploadForm {
            filename: self.name.clone(),
            tags: self.tags.clone(),
            doc_type: self.doc_type.clone(),
            classification: self.classification,
            revision: None,
            effective_from: None,
            supersedes: None,
            metadata: json!({}),
        };
        let bytes = Box::pin(futures::stream::iter([Ok(bytes.into())]));
        let upload = Upload { bytes, form: async move { Ok(form) }.boxed() };
        let outcome = gate.execute(caller, UploadDocument { announced_bytes, upload, team: None }).await;
        outcome.with_context(|| format!("{} was refused", self.name))
    }
}
