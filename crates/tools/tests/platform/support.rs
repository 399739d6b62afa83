//! Test fixtures: a tenant with in-memory services, and the parts that tests control (embedder, uploads, permits).

use async_trait::async_trait;
use bytes::Bytes;
use domain::audit::{AuditFilter, AuditRecord};
use domain::authorized::{AuditReceipt, Permit};
use domain::command::SearchDocuments;
use domain::document::{Document, NewChunk, NewDocument, Revision, StatusChange};
use domain::ids::{AuditId, RequestId, TenantId};
use domain::model::{CallUsage, EmbedPurpose, EmbedRequest, EmbedResponse, EmbeddingModel, ModelError};
use domain::model_call::{MicroCost, ModelCaller, ServedBy};
use domain::page::PageRequest;
use domain::ports::{
    AuditReader, BlobStore, Clock, Embedder, Embedders, IdGen, InsertDocumentOutcome, JobFilter, JobQueue, LeasedJob,
    NewTenant, Store, TenantDirectory,
};
use domain::role::{Classification, Role};
use domain::run::TokenUsage;
use domain::scope::{Actor, TenantScope};
use domain::search::{PassageTerms, SearchFilters};
use domain::tenant::{ClearanceLimits, TenantSettings};
use domain::tenant_change::ChangedBy;
use domain::text::QueryText;
use domain::upload::{FieldError, Upload, UploadForm};
use domain::user::{Identity, Membership};
use fakes::access::FakeAccessRules;
use fakes::{InMemoryBlobStore, InMemoryStore, ManualClock, SequentialIds, access};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tools::gateway::ToolGatewayPorts;
use tools::ingest::{DocumentIngest, IngestPorts, IngestSettings};
use tools::retrieval::{HybridSearch, RetrievalParams, passage_terms};

/// A tenant with the services that it uses.
pub struct TestContext {
    pub store: InMemoryStore,
    pub blobs: Arc<InMemoryBlobStore>,
    pub clock: Arc<ManualClock>,
    pub ids: Arc<SequentialIds>,
    pub embedder: Arc<WordEmbedder>,
    /// The embedders that ingestion uses; only `embedder` by default.
    pub embedders: Option<Embedders>,
    pub tracker: TaskTracker,
    pub tenant: TenantId,
    /// Whether documents are created with the terms of their passages.
    pub stores_terms: bool,
}

impl TestContext {
    pub async fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let ids = Arc::new(SequentialIds::default());
        let store = InMemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let tenant = TenantId::from_uuid(ids.uuid());
        let new = NewTenant { id: tenant, name: "Northfield".into(), slug: "northfield".into() };
        store.create_tenant(new).await.expect("a tenant");
        Self {
            blobs: Arc::new(InMemoryBlobStore::new(Arc::clone(&ids) as Arc<dyn IdGen>)),
            embedder: Arc::default(),
            embedders: None,
            tracker: TaskTracker::new(),
            store,
            clock,
            ids,
            tenant,
            stores_terms: true,
        }
    }

    /// Signs in a user with this role and returns the permit that the policy gate would grant.
    pub async fn sign_in(&self, role: Role) -> Permit {
        let mut tx = self.store.begin(&self.scope(Actor::System)).await.expect("a transaction");
        let identity = Identity {
            issuer: "https://issuer.test".into(),
            subject: format!("{role} {}", self.ids.uuid()),
            email: None,
            name: None,
            role: Some(role),
            issued_at: Some(self.clock.now()),
        };
        let id = self.ids.uuid().into();
        let user = tx.users().sign_in(id, &identity, self.clock.now()).await.expect("a user");
        let membership = tx.users().membership(user.id).await.expect("a membership").expect("a member");
        tx.commit().await.expect("a commit");
        self.grant(Actor::User(user.id), &membership)
    }

    /// Limits the clearance of the tenant's users.
    pub async fn set_user_clearance(&self, limit: Classification) {
        let clearance = ClearanceLimits { user: Some(limit), ..ClearanceLimits::default() };
        let settings = TenantSettings { clearance, ..TenantSettings::default() };
        self.store
            .replace_settings(self.tenant, &settings, 1, &ChangedBy::default())
            .await
            .expect("configured")
            .expect("at version 1");
    }

    #[expect(clippy::disallowed_methods, reason = "the test plays the gate")]
    pub fn grant(&self, actor: Actor, membership: &Membership) -> Permit {
        let receipt = AuditReceipt::mint(AuditId::from_uuid(self.ids.uuid()), self.clock.now());
        let query = QueryText::parse("any").expect("a query");
        let command =
            SearchDocuments { query, top_k: 1, filters: SearchFilters::default(), explain: false, team: None };
        let role = membership.user.role;
        let granted = access::access_grant(access::rights(role, membership.settings.clearance(role)));
        access::authorized(self.scope(actor), granted, receipt, command).into_parts().0
    }

    #[expect(clippy::disallowed_methods, reason = "the test plays the gate and the queue")]
    pub fn scope(&self, actor: Actor) -> TenantScope {
        TenantScope::mint(self.tenant, actor, RequestId::from_uuid(uuid::Uuid::nil()))
    }

    /// The audit log, oldest first.
    pub async fn audit_rows(&self) -> Vec<AuditRecord> {
        let page = PageRequest::new(PageRequest::MAX_LIMIT, None).expect("a page");
        let scope = self.scope(Actor::System);
        let mut rows = self.store.read(&scope, &AuditFilter::default(), &page).await.expect("the log").items;
        rows.reverse();
        rows
    }

    /// The dependencies of a tool gateway that uses this store.
    pub fn tool_parts(&self, store: Arc<dyn Store>) -> ToolGatewayPorts {
        ToolGatewayPorts {
            store,
            rules: Arc::new(FakeAccessRules),
            clock: Arc::clone(&self.clock) as _,
            ids: Arc::clone(&self.ids) as _,
            tracker: self.tracker.clone(),
        }
    }

    fn embedders(&self) -> Embedders {
        self.embedders.clone().unwrap_or_else(|| Embedders::single(Arc::clone(&self.embedder) as _))
    }

    pub fn search(&self) -> HybridSearch {
        HybridSearch::new(Arc::new(self.store.clone()), self.embedders(), RetrievalParams::default())
    }

    pub fn ingest_service(&self, settings: IngestSettings) -> DocumentIngest {
        let ports = self.ports(Arc::new(self.store.clone()), Arc::clone(&self.blobs) as _);
        DocumentIngest::new(ports, settings, self.tracker.clone())
    }

    /// An ingestion service with another store and blob store.
    pub fn ingest_service_with(&self, store: Arc<dyn Store>, blobs: Arc<dyn BlobStore>) -> DocumentIngest {
        DocumentIngest::new(self.ports(store, blobs), IngestSettings::default(), self.tracker.clone())
    }

    fn ports(&self, store: Arc<dyn Store>, blobs: Arc<dyn BlobStore>) -> IngestPorts {
        IngestPorts {
            store,
            blobs,
            rules: Arc::new(FakeAccessRules),
            embedders: self.embedders(),
            clock: Arc::clone(&self.clock) as _,
            ids: Arc::clone(&self.ids) as _,
        }
    }

    /// Adds a searchable document with these passages, one per page.
    pub async fn create_document(
        &self,
        uploader: &Permit,
        name: &str,
        classification: Classification,
        passages: &[&str],
    ) -> Document {
        let new = NewDocument {
            id: self.ids.uuid().into(),
            filename: name.into(),
            title: name.into(),
            mime_type: "application/pdf".into(),
            file_size_bytes: 1,
            sha256: name.into(),
            storage_path: name.into(),
            doc_type: None,
            tags: vec![],
            classification,
            revision: Revision::default(),
            metadata: json!({}),
            uploaded_by: uploader.scope().user().expect("a user"),
        };
        let terms = |text: &str| self.stores_terms.then(|| passage_terms(name, name, None, text));
        let vectors = self.embedder.vectors(passages.iter().map(|text| (*text).to_owned()));
        let chunks: Vec<NewChunk> =
            (0..).zip(passages).zip(vectors).map(|((n, text), v)| self.chunk(n, text, v, terms(text))).collect();
        let ready = StatusChange::Ready { title: None, page_count: None, chunk_count: 0, warnings: Vec::new() };
        let now = self.clock.now();
        let mut tx = self.store.begin(uploader.scope()).await.expect("a transaction");
        let inserted = tx.documents().insert(&new, Classification::Restricted, now).await.expect("an insert");
        tx.chunks().replace(new.id, &self.embedder.model().name, &chunks, now).await.expect("passages");
        tx.documents().set_status(new.id, &ready, now).await.expect("ready");
        tx.commit().await.expect("a commit");
        match inserted {
            InsertDocumentOutcome::New(document) | InsertDocumentOutcome::Duplicate(document) => document,
        }
    }

    fn chunk(&self, index: i32, text: &str, embedding: Vec<f32>, term_hashes: Option<PassageTerms>) -> NewChunk {
        NewChunk {
            id: self.ids.uuid().into(),
            chunk_index: index,
            content: text.into(),
            context: String::new(),
            token_count: 1,
            page: Some(index + 1),
            section: None,
            embedding,
            term_hashes,
        }
    }

    pub async fn claim(&self) -> LeasedJob {
        self.try_claim().await.expect("a job")
    }

    pub async fn try_claim(&self) -> Option<LeasedJob> {
        self.store.claim(&JobFilter::any(), Duration::from_secs(60)).await.expect("the queue")
    }

    pub async fn read_document(&self, id: domain::ids::DocumentId) -> Option<Document> {
        let mut tx = self.store.begin(&self.scope(Actor::Worker)).await.expect("a transaction");
        tx.documents().get(id, Classification::Restricted).await.expect("a document")
    }

    /// Waits until all tasks of the tracker have ended.
    pub async fn wait_for_background_tasks(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }
}

/// A test embedder with bag-of-words vectors: texts that share words have similar vectors.
#[derive(Default)]
pub struct WordEmbedder {
    /// Name of the model; `words` by default.
    name: Option<&'static str>,
    pub is_down: AtomicBool,
    /// Whether the embedder may only see internal texts.
    pub internal_only: AtomicBool,
    callers: Mutex<Vec<ModelCaller>>,
    batches: AtomicUsize,
    before_batch: Mutex<Option<BeforeBatch>>,
}

/// Called before each batch of chunks, with the number of earlier batches.
type BeforeBatch = Box<dyn Fn(usize) -> BoxFuture<'static, Result<(), ModelError>> + Send>;

impl WordEmbedder {
    const DIMENSION: usize = 256;

    /// An embedder whose model has this name.
    pub fn named(name: &'static str) -> Self {
        Self { name: Some(name), ..Self::default() }
    }

    /// The callers in the order of the calls.
    pub fn callers(&self) -> Vec<ModelCaller> {
        self.callers.lock().expect("no panic under the lock").clone()
    }

    /// Sets a hook that runs before each batch of chunks.
    pub fn before_batch(&self, hook: impl Fn(usize) -> BoxFuture<'static, Result<(), ModelError>> + Send + 'static) {
        self.batches.store(0, Ordering::Relaxed);
        *self.before_batch.lock().expect("no panic under the lock") = Some(Box::new(hook));
    }

    fn run_hook(&self) -> BoxFuture<'static, Result<(), ModelError>> {
        let batch = self.batches.fetch_add(1, Ordering::Relaxed);
        match &*self.before_batch.lock().expect("no panic under the lock") {
            Some(hook) => hook(batch),
            None => async { Ok(()) }.boxed(),
        }
    }

    fn vectors(&self, texts: impl Iterator<Item = String>) -> Vec<Vec<f32>> {
        texts.map(|text| vector(&text)).collect()
    }
}

fn vector(text: &str) -> Vec<f32> {
    let mut sum = vec![0.0_f32; WordEmbedder::DIMENSION];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2) {
        let index = word.to_lowercase().bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31) ^ usize::from(byte));
        sum[index % WordEmbedder::DIMENSION] += 1.0;
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(1.0);
    sum.iter().map(|x| x / length).collect()
}

#[async_trait]
impl Embedder for WordEmbedder {
    fn model(&self) -> EmbeddingModel {
        EmbeddingModel { name: self.name.unwrap_or("words").into(), dimension: Self::DIMENSION, max_tokens: 256 }
    }

    fn max_input_classification(&self, _: &ModelCaller) -> Classification {
        if self.internal_only.load(Ordering::Relaxed) { Classification::Internal } else { Classification::Restricted }
    }

    async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, ModelError> {
        self.callers.lock().expect("no panic under the lock").push(request.caller);
        if self.is_down.load(Ordering::Relaxed) {
            return Err(timeout_error());
        }
        if request.purpose == EmbedPurpose::Document {
            self.run_hook().await?;
        }
        let vectors = self.vectors(request.texts.into_iter());
        // Each text counts as one input token and costs one millionth of a currency unit.
        let texts = u32::try_from(vectors.len()).expect("fits into u32");
        let usage = CallUsage {
            served_by: ServedBy::embedded("words", "words"),
            token_usage: TokenUsage { input_tokens: texts, output_tokens: 0 },
            tokens_estimated: false,
            cost: MicroCost(texts.into()),
        };
        Ok(EmbedResponse { vectors, usage })
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }
}

/// The error of an embedder that does not respond in time.
pub fn timeout_error() -> ModelError {
    ModelError::Timeout { backend: "words".into(), waited_s: 1 }
}

/// An upload of these bytes under this name.
pub fn upload(filename: &str, bytes: &[u8]) -> Upload {
    upload_with_form(bytes, Ok(form(filename)))
}

/// An upload with this form.
pub fn upload_with_form(bytes: &[u8], form: Result<UploadForm, FieldError>) -> Upload {
    let pieces: Vec<_> = bytes.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Upload { bytes: stream::iter(pieces).boxed(), form: async { form }.boxed() }
}

/// A form with only a file name.
pub fn form(filename: &str) -> UploadForm {
    UploadForm {
        filename: filename.into(),
        tags: vec![],
        doc_type: None,
        classification: None,
        revision: None,
        effective_from: None,
        supersedes: None,
        metadata: json!({}),
    }
}
