//! The environment of an evaluation: the platform in this process, a caller, and a tenant with the documents.

use super::evaluation_set::EvaluationSet;
use crate::compose::Platform;
use crate::config::{Mode, Settings};
use crate::databases::Databases;
use crate::dev::DevelopmentPlatform;
use crate::dev::issuer::TokenSubject;
use crate::models::Models;
use crate::system::TimeOrderedIds;
use anyhow::{Context as _, Result, bail};
use domain::command::{DeleteDocument, ListDocuments};
use domain::document::{Document, DocumentFilter, DocumentStatus};
use domain::ids::{DocumentId, RequestId};
use domain::page::PageRequest;
use domain::ports::{IdGen as _, JobKind};
use domain::role::Role;
use domain::upload::UploadOutcome;
use policy::caller::Caller;
use prometheus::Registry;
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tools::retrieval::RetrievalParams;

/// Slug prefix of tenants that contain only evaluation documents, and whose documents may therefore be deleted.
const TENANT_PREFIX: &str = "eval-";
/// Subject (`sub`) of the user of such a tenant.
const USER_SUBJECT: &str = "evaluation";
/// Lifetime of that user's token.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// Interval at which the ingestion is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Who runs the evaluation.
pub enum Identity<'a> {
    /// A user of the development issuer, in the tenant with this slug.
    Developer(&'a str),
    /// The user of this bearer token, in the token's tenant.
    Bearer(String),
}

/// The platform, the caller, and the set's documents in the caller's tenant.
pub struct Session {
    /// The platform in this process.
    pub platform: Platform,
    /// The user who uploads and asks.
    pub caller: Caller,
    /// Names of the set's documents by their ids on the platform.
    pub document_names: HashMap<DocumentId, String>,
    /// Documents that could not be ingested, with the reason.
    pub failures: Vec<String>,
    /// What this evaluation ingested; `None` if all documents had been ingested before.
    pub ingestion_stats: Option<IngestionStats>,
    settings: Settings,
    /// Documents that this evaluation uploaded.
    uploaded: Vec<DocumentId>,
}

/// Amount and duration of an ingestion.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct IngestionStats {
    /// Number of documents, including failed ones.
    pub documents: usize,
    /// Number of pages; formats without pages count none.
    pub pages: i64,
    /// Number of indexed passages.
    pub passages: i64,
    /// Duration in seconds.
    pub seconds: f64,
}

impl Session {
    /// Opens the platform with these parameters of the search, without uploading anything.
    ///
    /// # Errors
    /// If the platform cannot be composed, or the caller is refused.
    pub async fn open(settings: Settings, identity: Identity<'_>, retrieval: RetrievalParams) -> Result<Self> {
        let models = Models { retrieval, ..Models::configured(&settings, &Registry::new()).await? };
        let (platform, caller) = match identity {
            Identity::Developer(slug) => {
                if settings.mode != Mode::Development {
                    bail!(
                        "an evaluation can create its tenant in development mode only (PLATFORM__MODE=development); \
                         otherwise pass a token of a tenant for evaluations with --token-file"
                    );
                }
                let development = DevelopmentPlatform::with_models(settings.clone(), models).await?;
                let token =
                    development.token(slug, &TokenSubject::new(USER_SUBJECT, Role::Admin), TOKEN_LIFETIME).await?;
                let caller = development.sign_in(&token).await?;
                (development.into_platform(), caller)
            }
            Identity::Bearer(token) => {
                let platform = Platform::new(&settings, Databases::new(&settings)?, models).await?;
                let request = RequestId::from_uuid(TimeOrderedIds.uuid());
                let caller = platform.gate.authenticate(Some(token), request.into()).await;
                (platform, caller.context("the token was refused")?)
            }
        };
        let (document_names, failures, uploaded) = (HashMap::new(), Vec::new(), Vec::new());
        Ok(Self { platform, caller, document_names, failures, ingestion_stats: None, settings, uploaded })
    }

    /// The tenant's slug.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.caller.tenant().slug
    }

    /// Whether the tenant contains only evaluation documents, so that they may be deleted.
    fn is_evaluation_tenant(&self) -> bool {
        self.tenant().starts_with(TENANT_PREFIX)
    }

    /// Uploads and ingests the set's documents. In an evaluation tenant all other documents are deleted; with `fresh`,
    /// all documents are deleted first.
    ///
    /// # Errors
    /// If a file is refused or the database fails. Documents that cannot be ingested are listed in `failures` instead.
    pub async fn upload_documents(&mut self, set: &EvaluationSet, fresh: bool) -> Result<()> {
        if fresh && self.is_evaluation_tenant() {
            self.delete(self.list_documents().await?.iter().map(|document| document.id)).await?;
        }
        for document in &set.documents {
            let id = match document.upload(&*self.platform.gate, &self.caller).await? {
                UploadOutcome::Created(document) => {
                    self.uploaded.push(document.id);
                    document.id
                }
                UploadOutcome::Duplicate(document) => document.id,
            };
            if let Some(other) = self.document_names.insert(id, document.name.clone()) {
                bail!("{} and {other} have the same content, which the platform stores only once", document.name);
            }
        }
        if self.is_evaluation_tenant() {
            let other_documents = self.list_documents().await?;
            let other_ids =
                other_documents.iter().map(|document| document.id).filter(|id| !self.document_names.contains_key(id));
            self.delete(other_ids).await?;
        }
        self.run_workers().await
    }

    /// Runs workers until the set's documents are ingested.
    async fn run_workers(&mut self) -> Result<()> {
        let (workers, stop) = (TaskTracker::new(), CancellationToken::new());
        for worker in self.platform.workers(&self.settings) {
            let stop = stop.clone();
            workers.spawn(async move { worker.run(stop).await });
        }
        workers.close();
        let started = Instant::now();
        let result = self.wait_for_ingestion().await;
        let seconds = started.elapsed().as_secs_f64();
        stop.cancel();
        workers.wait().await;
        let documents = result?;
        self.failures = documents.iter().filter_map(failure_text).collect();
        let uploaded = || documents.iter().filter(|document| self.uploaded.contains(&document.id));
        if uploaded().count() > 0 {
            let pages = uploaded().filter_map(|document| document.page_count).map(i64::from).sum();
            let passages = uploaded().map(|document| i64::from(document.chunk_count)).sum();
            self.ingestion_stats = Some(IngestionStats { documents: uploaded().count(), pages, passages, seconds });
        }
        Ok(())
    }

    /// Waits until the set's documents are ingested or failed, and returns them.
    async fn wait_for_ingestion(&self) -> Result<Vec<Document>> {
        let mut printed = None;
        loop {
            let mut documents = self.list_documents().await?;
            documents.retain(|document| self.document_names.contains_key(&document.id));
            let done = documents.iter().filter(|document| is_done(document)).count();
            if printed != Some(done) {
                crate::print(&format!("ingested {done}/{}", documents.len()))?;
                printed = Some(done);
            }
            // A large tenant is searched through a vector index, so the index must be built too.
            if done == documents.len() && self.platform.queue.job_counts(JobKind::VectorIndex).await?.pending == 0 {
                return Ok(documents);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Deletes all documents of an evaluation tenant; in other tenants, only those that this evaluation uploaded.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn clean_up(&self) -> Result<()> {
        if self.is_evaluation_tenant() {
            let documents = self.list_documents().await?;
            self.delete(documents.iter().map(|document| document.id)).await
        } else {
            self.delete(self.uploaded.iter().copied()).await
        }
    }

    async fn delete(&self, documents: impl Iterator<Item = DocumentId>) -> Result<()> {
        for id in documents {
            self.platform.gate.execute(&self.caller, DeleteDocument { id }).await?;
        }
        Ok(())
    }

    /// All documents that the caller may see.
    async fn list_documents(&self) -> Result<Vec<Document>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = PageRequest::new(PageRequest::MAX_LIMIT, after).context("the page size is not valid")?;
            let command = ListDocuments { filter: DocumentFilter::default(), page, team: None };
            let page = self.platform.gate.execute(&self.caller, command).await?;
            all.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }
}

/// Slug of the evaluation tenant for a set: `eval-` and the set's name, reduced to valid characters and 64 bytes.
#[must_use]
pub fn tenant_slug(name: &str) -> String {
    let sanitized: String =
        name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let words: Vec<&str> = sanitized.split('-').filter(|word| !word.is_empty()).collect();
    let slug = format!("{TENANT_PREFIX}{}", words.join("-"));
    slug.get(..64).unwrap_or(&slug).to_owned()
}

fn is_done(document: &Document) -> bool {
    matches!(document.status, DocumentStatus::Ready | DocumentStatus::Failed)
}

fn failure_text(document: &Document) -> Option<String> {
    let failure = document.failure.as_ref()?;
    Some(format!("{} ({}): {}", document.filename, failure.code, failure.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_of_a_set_is_named_after_it() {
        assert_eq!(tenant_slug("Pump manuals, v2"), "eval-pump-manuals-v2");
        assert_eq!(tenant_slug("--"), "eval-");
        assert_eq!(tenant_slug(&"x".repeat(100)).len(), 64);
    }
}
