//! Concrete types meet their traits here, once.

use crate::alive::SignOfLife;
use crate::audit;
use crate::audit::keeper::{AuditMetrics, Keeper, KeeperParts};
use crate::config::{Settings, required};
use crate::identity;
use crate::models::Models;
use crate::readiness::PartsReadiness;
use crate::service_settings;
use crate::system::{SystemClock, TimeOrderedIds};
use anyhow::{Context as _, Result};
use data::preflight::{self, Roles};
use data::{Database, FsBlobStore, PgAuditReader, PgDirectory, PgJobQueue, PgStore, PoolSettings, SetupError};
use domain::model::EmbeddingModel;
use domain::ports::{BlobStore, Clock, Directory, Embedders, IdGen, JobKind, JobQueue, Store};
use gateway::serve::Router;
use gateway::{GatewaySettings, HttpMetrics, InProcessLimiter, LimiterMetrics, Ports, RateLimiter, SharedLimiter};
use policy::authn::Authenticator;
use policy::gate::{Gate, GateKeys, GateParts, PolicyGate, UseCases};
use policy::operations::AuditTrail;
use policy::rules::MatrixRules;
use prometheus::Registry as MetricsRegistry;
use runtime::administration::AdministrationService;
use runtime::audit_trail::AuditTrailService;
use runtime::chat::{ChatParts, ChatService};
use runtime::configuration::ConfigurationService;
use runtime::conversations::ConversationService;
use runtime::documents::DocumentService;
use runtime::memories::MemoryService;
use runtime::models::ModelService;
use runtime::search::SearchService;
use runtime::worker::{Worker, WorkerSettings};
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tools::gateway::{RecordedTools, ToolParts};
use tools::ingest::accept::Ingest;
use tools::ingest::{DocumentIngest, IngestPorts};
use tools::registry::Registry;
use tools::retrieval::{HybridSearch, Reranking, RetrievalParams};
use uuid::Uuid;

/// Shortest accepted secret, in bytes.
const MIN_SECRET: usize = 16;

/// The platform, put together.
pub struct Platform {
    /// The policy gate: the way in.
    pub gate: Arc<dyn Gate>,
    /// Who verifies tokens; keeps the issuers' keys fresh while the API is served.
    pub authn: Arc<Authenticator>,
    /// Cross-tenant methods, for the commands that make tenants.
    pub directory: Arc<dyn Directory>,
    /// Running answers, to be stopped at the end of a shutdown.
    pub chat: ChatService,
    /// The search without its gate: for the evaluation, which compares ways to rank.
    pub retrieval: HybridSearch,
    /// The ingestion workers' parts.
    pub ingest: Arc<dyn Ingest>,
    /// The queue.
    pub queue: Arc<dyn JobQueue>,
    /// Whether the parts are up.
    pub readiness: PartsReadiness,
    /// Work in progress, for shutdown to wait for.
    pub tasks: TaskTracker,
    embedders: Embedders,
    databases: Databases,
    alive: SignOfLife,
    ids: Arc<dyn IdGen>,
}

/// A connection pool for each role.
#[derive(Clone)]
pub struct Databases {
    app: Database,
    worker: Database,
    auditor: Database,
    /// Which process this is, for the intents that it writes.
    instance: Uuid,
}

impl Databases {
    /// Prepares the pools; nothing connects yet.
    ///
    /// # Errors
    /// Where a URL is missing or not valid.
    pub fn new(settings: &Settings) -> Result<Self> {
        let urls = &settings.database;
        let instance = TimeOrderedIds.uuid();
        let pool = |url, variable, max_connections| {
            pool(url, variable, PoolSettings { max_connections, instance: Some(instance), ..PoolSettings::default() })
        };
        Ok(Self {
            app: pool(urls.url.as_ref(), "DATABASE_URL", urls.max_connections)?,
            worker: pool(urls.worker_url.as_ref(), "DATABASE_WORKER_URL", worker_connections(settings))?,
            auditor: pool(urls.audit_url.as_ref(), "DATABASE_AUDIT_URL", 4)?,
            instance,
        })
    }

    /// Connections of the auditor's role alone: who reads the log elsewhere has no other.
    ///
    /// # Errors
    /// Where the URL is missing or not valid.
    pub fn auditor_of(settings: &Settings) -> Result<Database> {
        let few = PoolSettings { max_connections: 2, ..PoolSettings::default() };
        pool(settings.database.audit_url.as_ref(), "DATABASE_AUDIT_URL", few)
    }

    /// The directory alone.
    ///
    /// # Errors
    /// Where the URL is missing or not valid.
    pub fn directory_of(settings: &Settings) -> Result<PgDirectory> {
        let few = PoolSettings { max_connections: 2, ..PoolSettings::default() };
        Ok(PgDirectory::new(pool(settings.database.url.as_ref(), "DATABASE_URL", few)?))
    }

    /// What keeps the audit log while the process runs.
    ///
    /// # Errors
    /// Where the signing key cannot be used, or the metrics cannot be registered.
    pub fn audit_keeper(&self, settings: &Settings, metrics: &MetricsRegistry) -> Result<Keeper> {
        let parts = KeeperParts {
            database: self.app.clone(),
            instance: self.instance,
            key: audit::signing_key(settings)?,
            outside: audit::checkpoint_file(settings),
            clock: Arc::new(SystemClock),
            every: Duration::from_secs(settings.audit.checkpoint_s),
        };
        Ok(Keeper::new(parts, AuditMetrics::register(metrics)?))
    }

    /// Refuses a database whose roles could see past row security.
    ///
    /// # Errors
    /// See [`preflight::check`].
    pub async fn preflight(&self) -> Result<(), SetupError> {
        preflight::check(Roles { app: &self.app, worker: &self.worker, auditor: &self.auditor }).await
    }
}

fn pool(url: Option<&SecretString>, variable: &str, pool: PoolSettings) -> Result<Database> {
    let url = required(url, variable)?;
    Database::new(url.expose_secret(), &pool).with_context(|| format!("{variable} cannot be used"))
}

/// One for each worker, which may build an index for minutes; one that listens, and some for claims and heartbeats.
fn worker_connections(settings: &Settings) -> u32 {
    u32::try_from(settings.worker.concurrency).unwrap_or(u32::MAX).saturating_add(4)
}

impl Platform {
    /// Puts the platform together. Nothing is served and nothing runs yet.
    ///
    /// # Errors
    /// Where a setting is missing or not valid, or the embedded model cannot be loaded.
    pub async fn new(settings: &Settings, databases: Databases, models: Models) -> Result<Self> {
        let alive = SignOfLife::of(databases.instance, databases.app.clone()).await;
        let alive = alive.context("the database does not answer")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdGen> = Arc::new(TimeOrderedIds);
        let tasks = TaskTracker::new();
        let store: Arc<dyn Store> = Arc::new(PgStore::new(databases.app.clone()));
        let directory: Arc<dyn Directory> = Arc::new(PgDirectory::new(databases.app.clone()));
        let blobs: Arc<dyn BlobStore> = Arc::new(FsBlobStore::new(&settings.storage.dir, Arc::clone(&ids)));
        let Models { chat: model, embedders, reranking, .. } = models;
        let retrieval = retrieval(&store, &embedders, reranking);
        let tools = tools(&store, retrieval.clone(), &clock, &ids, &tasks)?;
        let gate_parts = gate_parts((&store, &clock), &ids, &tasks);
        let authn = Arc::new(identity::authenticator(settings, &directory, &gate_parts)?);
        let ingest = ingest(settings, &gate_parts, (&blobs, &embedders))?;
        let parts = ChatParts {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            tools: Arc::clone(&tools),
            model,
            rules: Arc::new(MatrixRules),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            tasks: tasks.clone(),
        };
        let chat = ChatService::new(parts, service_settings::chat(settings));
        let models = ModelService::new(chat.clone(), Arc::clone(&embedders.current), Arc::clone(&directory));
        let readiness = PartsReadiness::new(Arc::clone(&store), blobs);
        let audit_trail = Arc::new(AuditTrailService::new(Arc::new(PgAuditReader::new(databases.auditor.clone()))));
        let use_cases = UseCases {
            conversations: Arc::new(ConversationService::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&ids))),
            chat: Arc::new(chat.clone()),
            models: Arc::new(models),
            documents: Arc::new(DocumentService::new(Arc::clone(&store), Arc::clone(&ingest), Arc::clone(&clock))),
            search: Arc::new(SearchService::new(tools)),
            memories: Arc::new(MemoryService::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&ids))),
            audit_trail: Arc::clone(&audit_trail) as Arc<dyn AuditTrail>,
            audit_export: audit_trail,
            administration: administration(settings, (&store, &directory), &clock, &ids)?,
            configuration: configuration(&store, &directory, &clock, &ids),
            access_tokens: identity::access_tokens(settings, &store, &clock, &ids, &authn),
            tenant_mappings: identity::tenant_mappings(settings, &directory, &clock, &ids)?,
        };
        let gate = gate(settings, &authn, use_cases, gate_parts)?;
        let queue: Arc<dyn JobQueue> = Arc::new(PgJobQueue::new(databases.worker.clone()));
        Ok(Self {
            gate,
            authn,
            directory,
            chat,
            retrieval,
            ingest,
            queue,
            readiness,
            tasks,
            embedders,
            databases,
            alive,
            ids,
        })
    }

    /// The HTTP edge over the gate.
    ///
    /// # Errors
    /// Where the metrics cannot be registered, or `REDIS_URL` is not valid.
    pub async fn edge(&self, settings: &Settings, metrics: &MetricsRegistry) -> Result<Router> {
        let ports = Ports {
            ids: Arc::clone(&self.ids),
            readiness: Arc::new(self.readiness.clone()),
            limiter: limiter(settings, metrics).await?,
            metrics: Some(HttpMetrics::register(metrics)?),
            tasks: self.tasks.clone(),
        };
        let edge = GatewaySettings {
            rate_limit_enabled: settings.rate_limit.enabled,
            behind_proxy: settings.server.behind_proxy,
            max_in_flight: settings.server.max_in_flight,
            max_upload_bytes: settings.storage.max_upload_mib << 20,
            form_digest_timeout: settings.storage.upload_limit(),
            ..GatewaySettings::default()
        };
        Ok(gateway::router(Arc::clone(&self.gate), ports, edge))
    }

    /// The workers, as many as the settings say. Moving tenants to the next embedding model is left to those who have
    /// one.
    #[must_use]
    pub fn workers(&self, settings: &Settings) -> Vec<Worker> {
        let mut workers = Worker::pool(settings.worker.concurrency, &self.queue, &self.ingest, pace(settings));
        if self.embedders.next.is_none() {
            workers = workers.into_iter().map(|worker| worker.without(JobKind::Reindex)).collect();
        }
        workers
    }

    /// A worker that moves tenants to the next embedding model and does nothing else; `None` where there is none.
    #[must_use]
    pub fn reindexer(&self, settings: &Settings) -> Option<(Worker, EmbeddingModel)> {
        let next = self.embedders.next.as_ref()?;
        let worker = Worker::new(Arc::clone(&self.queue), Arc::clone(&self.ingest), pace(settings));
        Some((worker.only(vec![JobKind::Reindex]), next.model()))
    }

    /// Queues the documents whose vectors no configured model can be compared with, to be ingested again. Until that is
    /// done they are found by their words alone.
    pub async fn adopt_documents_of_other_models(&self) {
        let models: Vec<_> = self.embedders.all().map(|embedder| embedder.model()).collect();
        if models.iter().any(|model| model.dimension == 0) {
            tracing::warn!("an embedding model does not answer yet; documents of other models stay as they are");
            return;
        }
        let names: Vec<_> = models.into_iter().map(|model| model.name).collect();
        match self.queue.requeue_documents_of_other_models(&names).await {
            Ok(0) => {}
            Ok(documents) => tracing::warn!(documents, "embedded with another model; queued to be ingested again"),
            Err(error) => tracing::warn!(%error, "documents of other models could not be queued"),
        }
    }

    /// Waits for the work in progress and closes the pools.
    pub async fn close(self) {
        self.close_after(async {}).await;
    }

    /// Waits for the work in progress, then for `last`, and closes the pools.
    pub async fn close_after(self, last: impl Future<Output = ()>) {
        self.tasks.close();
        self.tasks.wait().await;
        last.await;
        drop(self.alive);
        // Its listener holds a connection, and a pool closes only when it has all of them back.
        drop(self.queue);
        self.databases.app.close().await;
        self.databases.worker.close().await;
        self.databases.auditor.close().await;
    }
}

async fn limiter(settings: &Settings, metrics: &MetricsRegistry) -> Result<Arc<dyn RateLimiter>> {
    let Some(url) = &settings.redis_url else { return Ok(Arc::new(InProcessLimiter::default())) };
    let shared = SharedLimiter::open(url.expose_secret(), LimiterMetrics::register(metrics)?).await;
    Ok(Arc::new(shared.context("REDIS_URL cannot be used")?))
}

fn pace(settings: &Settings) -> WorkerSettings {
    WorkerSettings { lease: Duration::from_secs(settings.worker.lease_s), ..WorkerSettings::default() }
}

fn gate_parts(
    (store, clock): (&Arc<dyn Store>, &Arc<dyn Clock>),
    ids: &Arc<dyn IdGen>,
    tasks: &TaskTracker,
) -> GateParts {
    GateParts { store: Arc::clone(store), clock: Arc::clone(clock), ids: Arc::clone(ids), tasks: tasks.clone() }
}

fn ingest(
    settings: &Settings,
    parts: &GateParts,
    (blobs, embedders): (&Arc<dyn BlobStore>, &Embedders),
) -> Result<Arc<dyn Ingest>> {
    let ports = IngestPorts {
        store: Arc::clone(&parts.store),
        blobs: Arc::clone(blobs),
        rules: Arc::new(MatrixRules),
        embedders: embedders.clone(),
        clock: Arc::clone(&parts.clock),
        ids: Arc::clone(&parts.ids),
    };
    Ok(Arc::new(DocumentIngest::new(ports, service_settings::ingestion(settings)?, parts.tasks.clone())))
}

fn gate(
    settings: &Settings,
    authn: &Arc<Authenticator>,
    use_cases: UseCases,
    parts: GateParts,
) -> Result<Arc<dyn Gate>> {
    let keys = GateKeys::derive(secret(settings)?);
    Ok(Arc::new(PolicyGate::new(Arc::clone(authn), use_cases, keys, parts)))
}

fn tools(
    store: &Arc<dyn Store>,
    search: HybridSearch,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdGen>,
    tasks: &TaskTracker,
) -> Result<Arc<dyn tools::gateway::ToolGateway>> {
    let registry = Registry::builtin(store, search).context("the tool registry cannot be built")?;
    let parts = ToolParts {
        store: Arc::clone(store),
        rules: Arc::new(MatrixRules),
        clock: Arc::clone(clock),
        ids: Arc::clone(ids),
        tracker: tasks.clone(),
    };
    Ok(Arc::new(RecordedTools::new(registry, parts)))
}

fn administration(
    settings: &Settings,
    (store, directory): (&Arc<dyn Store>, &Arc<dyn Directory>),
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdGen>,
) -> Result<Arc<AdministrationService>> {
    let default_issuer = settings.issuers()?.first().map(|issuer| issuer.issuer.clone()).unwrap_or_default();
    let (store, directory) = (Arc::clone(store), Arc::clone(directory));
    Ok(Arc::new(AdministrationService::new(store, directory, Arc::clone(clock), Arc::clone(ids), default_issuer)))
}

/// The platform's secret.
///
/// # Errors
/// Where it is missing or too short to be one.
pub fn secret(settings: &Settings) -> Result<&[u8]> {
    let secret = required(settings.secret_key.as_ref(), "SECRET_KEY")?.expose_secret().as_bytes();
    anyhow::ensure!(secret.len() >= MIN_SECRET, "SECRET_KEY must be at least {MIN_SECRET} bytes long");
    Ok(secret)
}

fn configuration(
    store: &Arc<dyn Store>,
    directory: &Arc<dyn Directory>,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdGen>,
) -> Arc<ConfigurationService> {
    let (store, directory) = (Arc::clone(store), Arc::clone(directory));
    Arc::new(ConfigurationService::new(store, directory, Arc::clone(clock), Arc::clone(ids)))
}

fn retrieval(store: &Arc<dyn Store>, embedders: &Embedders, reranking: Option<Reranking>) -> HybridSearch {
    HybridSearch::new(Arc::clone(store), embedders.clone(), RetrievalParams::default()).with_reranking(reranking)
}
