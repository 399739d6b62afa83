//! Where an evaluation takes place: the platform in this process, a caller, and a tenant that holds the documents.

use super::set::EvaluationSet;
use crate::compose::Platform;
use crate::config::{Mode, Settings};
use crate::databases::Databases;
use crate::dev::Desk;
use crate::dev::issuer::Person;
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
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tenants whose slug begins so hold nothing but the documents of evaluations.
const OWN: &str = "eval-";
/// The user of such a tenant.
const USER: &str = "evaluation";
/// How long its token counts.
const TTL: Duration = Duration::from_secs(24 * 3_600);
/// Between two looks at the ingestion.
const PAUSE: Duration = Duration::from_millis(500);

/// Who evaluates.
pub enum Identity<'a> {
    /// A user of the development issuer, in the tenant of this slug.
    Developer(&'a str),
    /// Whoever this bearer token is of, in the token's tenant.
    Bearer(String),
}

/// The platform with its caller and the set's documents.
pub struct Site {
    /// The platform.
    pub platform: Platform,
    /// Who asks.
    pub caller: Caller,
    /// The names that the set gives its documents.
    pub names: HashMap<DocumentId, String>,
    /// Documents that could not be ingested, with the reason.
    pub failed: Vec<String>,
    /// What was ingested for this evaluation; nothing where all of it was there.
    pub ingested: Option<Ingested>,
    settings: Settings,
    /// Those that were not there before.
    added: Vec<DocumentId>,
}

/// What an ingestion came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ingested {
    /// Documents, those that failed among them.
    pub documents: usize,
    /// Pages of those that have pages.
    pub pages: i64,
    /// Passages indexed.
    pub passages: i64,
    /// How long it took.
    pub seconds: f64,
}

impl Site {
    /// Opens the platform. Nothing is uploaded yet.
    ///
    /// # Errors
    /// Where the platform cannot be put together or the caller is refused.
    pub async fn open(settings: Settings, identity: Identity<'_>) -> Result<Self> {
        let models = Models::configured(&settings, &Registry::new()).await?;
        let (platform, caller) = match identity {
            Identity::Developer(slug) => {
                if settings.mode != Mode::Development {
                    bail!(
                        "only in development mode (PLATFORM__MODE=development) can an evaluation make a tenant of its \
                         own; elsewhere give it a token of a tenant made for this, with --token-file"
                    );
                }
                let desk = Desk::with_models(settings.clone(), models).await?;
                let token = desk.token(slug, &Person::named(USER, Role::Admin), TTL).await?;
                let caller = desk.sign_in(&token).await?;
                (desk.into_platform(), caller)
            }
            Identity::Bearer(token) => {
                let platform = Platform::new(&settings, Databases::new(&settings)?, models).await?;
                let request = RequestId::from_uuid(TimeOrderedIds.uuid());
                let caller = platform.gates.gate.authenticate(Some(token), request.into()).await;
                (platform, caller.context("the token was refused")?)
            }
        };
        let (names, failed, added) = (HashMap::new(), Vec::new(), Vec::new());
        Ok(Self { platform, caller, names, failed, ingested: None, settings, added })
    }

    /// The tenant's slug.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.caller.tenant().slug
    }

    /// Whether the tenant is there for evaluations alone, so that its documents may be thrown away.
    fn owns_tenant(&self) -> bool {
        self.tenant().starts_with(OWN)
    }

    /// Sees to it that the tenant holds the set's documents, all of them ingested; a tenant of our own holds no others
    /// then. `fresh`: what is there already is ingested anew.
    ///
    /// # Errors
    /// Where a file is refused or the database fails. A document that cannot be ingested is no error.
    pub async fn bring(&mut self, set: &EvaluationSet, fresh: bool) -> Result<()> {
        if fresh && self.owns_tenant() {
            self.delete(self.documents().await?.iter().map(|document| document.id)).await?;
        }
        for document in &set.documents {
            let id = match document.upload(&*self.platform.gates.gate, &self.caller).await? {
                UploadOutcome::Created(document) => {
                    self.added.push(document.id);
                    document.id
                }
                UploadOutcome::Duplicate(document) => document.id,
            };
            if let Some(other) = self.names.insert(id, document.name.clone()) {
                bail!("{} and {other} have the same content, which the platform keeps once", document.name);
            }
        }
        if self.owns_tenant() {
            let strangers = self.documents().await?;
            let strangers = strangers.iter().map(|document| document.id).filter(|id| !self.names.contains_key(id));
            self.delete(strangers).await?;
        }
        self.ingest().await
    }

    /// Works off the queue until the set's documents are done.
    async fn ingest(&mut self) -> Result<()> {
        let (workers, stop) = (TaskTracker::new(), CancellationToken::new());
        for worker in self.platform.workers(&self.settings) {
            let stop = stop.clone();
            workers.spawn(async move { worker.run(stop).await });
        }
        workers.close();
        let begun = Instant::now();
        let ended = self.wait().await;
        let seconds = begun.elapsed().as_secs_f64();
        stop.cancel();
        workers.wait().await;
        let documents = ended?;
        self.failed = documents.iter().filter_map(failure).collect();
        let added = || documents.iter().filter(|document| self.added.contains(&document.id));
        if added().count() > 0 {
            let pages = added().filter_map(|document| document.page_count).map(i64::from).sum();
            let passages = added().map(|document| i64::from(document.chunk_count)).sum();
            self.ingested = Some(Ingested { documents: added().count(), pages, passages, seconds });
        }
        Ok(())
    }

    /// Waits until the set's documents are done, and returns them.
    async fn wait(&self) -> Result<Vec<Document>> {
        let mut told = None;
        loop {
            let mut documents = self.documents().await?;
            documents.retain(|document| self.names.contains_key(&document.id));
            let done = documents.iter().filter(|document| is_done(document)).count();
            if told != Some(done) {
                crate::print(&format!("ingested {done}/{}", documents.len()))?;
                told = Some(done);
            }
            // A tenant that has grown past the limit is searched through an index, once that is built.
            if done == documents.len() && self.platform.queue.left(JobKind::VectorIndex).await?.pending == 0 {
                return Ok(documents);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes what the evaluation brought: everything of a tenant of our own, else what was added.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn tidy(&self) -> Result<()> {
        if self.owns_tenant() {
            let documents = self.documents().await?;
            self.delete(documents.iter().map(|document| document.id)).await
        } else {
            self.delete(self.added.iter().copied()).await
        }
    }

    async fn delete(&self, documents: impl Iterator<Item = DocumentId>) -> Result<()> {
        for id in documents {
            self.platform.gates.gate.delete_document(&self.caller, DeleteDocument { id }).await?;
        }
        Ok(())
    }

    /// All documents that the caller sees.
    async fn documents(&self) -> Result<Vec<Document>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = PageRequest::new(PageRequest::MAX_LIMIT, after).context("the page size is not valid")?;
            let command = ListDocuments { filter: DocumentFilter::default(), page };
            let page = self.platform.gates.gate.list_documents(&self.caller, command).await?;
            all.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }
}

/// The slug of the tenant that a set has to itself: `eval-` and its name, as far as a slug may hold it.
#[must_use]
pub fn own_slug(name: &str) -> String {
    let kept: String = name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let words: Vec<&str> = kept.split('-').filter(|word| !word.is_empty()).collect();
    let slug = format!("{OWN}{}", words.join("-"));
    slug.get(..64).unwrap_or(&slug).to_owned()
}

fn is_done(document: &Document) -> bool {
    matches!(document.status, DocumentStatus::Ready | DocumentStatus::Failed)
}

fn failure(document: &Document) -> Option<String> {
    let failure = document.failure.as_ref()?;
    Some(format!("{} ({}): {}", document.filename, failure.code, failure.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sets_tenant_is_named_after_it() {
        assert_eq!(own_slug("Pump manuals, v2"), "eval-pump-manuals-v2");
        assert_eq!(own_slug("--"), "eval-");
        assert_eq!(own_slug(&"x".repeat(100)).len(), 64);
    }
}
