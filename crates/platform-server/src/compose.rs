//! Composition root: the only place that builds the concrete implementations behind the ports.

use crate::approvals;
use crate::blobs;
use crate::config::{Mode, Settings};
use crate::console_files::EmbeddedConsole;
use crate::databases::Databases;
use crate::identity;
use crate::ingest_settings;
use crate::instance_heartbeat::InstanceHeartbeat;
use crate::mcp_metrics::McpMetrics;
use crate::models::Models;
use crate::ports::SharedPorts;
use crate::readiness::ServerReadiness;
use crate::remote_systems::RemoteSystems;
use crate::teams;
use anyhow::{Context as _, Result};
use data::{PgAuditReader, PgJobQueue, PgRunEventStore, ReplicaStore, RunRecovery, SealedSecrets};
use domain::model::EmbeddingModel;
use domain::ports::{BlobStore, Embedders, IdGen, JobKind, JobQueue, PrivacyScanner, Store, TenantDirectory};
use gateway::console::{ConsolePorts, ConsoleSettings, DevelopmentSignIn};
use gateway::serve::Router;
use gateway::{GatewaySettings, HttpMetrics, InProcessLimiter, LimiterMetrics, Ports, RateLimiter, SharedLimiter};
use plant_connectors::simulator::simulated_tags;
use policy::authn::Authenticator;
use policy::gate::{AccessQueries, Gate, GateDependencies, GateKeys, PolicyGate, UseCases};
use policy::operations::AuditTrail;
use policy::rules::MatrixRules;
use prometheus::Registry as MetricsRegistry;
use runtime::administration::AdministrationService;
use runtime::approvals::process::ApprovalProcessor;
use runtime::audit_trail::AuditTrailService;
use runtime::channels::deliver::DeliveryProcessor;
use runtime::channels::{ChannelPorts, ChannelService};
use runtime::chat::{ChatPorts, ChatService};
use runtime::configuration::ConfigurationService;
use runtime::connectors::{ConnectorPorts, ConnectorService, InsecureConnections};
use runtime::conversations::ConversationService;
use runtime::documents::DocumentService;
use runtime::feedback::FeedbackService;
use runtime::glossary::GlossaryService;
use runtime::maintenance::MaintenanceService;
use runtime::memories::MemoryService;
use runtime::models::ModelService;
use runtime::plant::PlantService;
use runtime::plant_reader::DatabasePlantReader;
use runtime::search::SearchService;
use runtime::sessions::SessionService;
use runtime::teams::purge::TeamPurge;
use runtime::worker::{Worker, WorkerSettings};
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tools::gateway::ToolGateway;
use tools::ingest::interface::Ingest;
use tools::ingest::{DocumentIngest, IngestPorts};
use tools::retrieval::HybridSearch;

/// Number of workers that deliver messages: while one waits for a receiver, the other serves another tenant.
const DELIVERY_WORKERS: usize = 2;

/// The composed platform.
pub struct Platform {
    /// The policy gate, through which all requests go.
    pub gate: Arc<dyn Gate>,
    /// Verifies tokens, and keeps the issuers' keys fresh while the API is served.
    pub authn: Arc<Authenticator>,
    /// Cross-tenant methods, for the commands that create tenants.
    pub directory: Arc<dyn TenantDirectory>,
    /// The chat service; on shutdown its running answers are stopped last.
    pub chat: ChatService,
    /// The search without the policy gate, for `eval`, which compares rankings.
    pub retrieval: HybridSearch,
    /// Document ingestion, which the workers run.
    pub ingest: Arc<dyn Ingest>,
    /// The worker's part of approvals.
    pub approvals: Arc<ApprovalProcessor>,
    /// Dependencies of channels.
    pub channels: ChannelPorts,
    /// Metrics of calls to MCP servers.
    pub mcp_metrics: McpMetrics,
    /// Queue of ingestion jobs.
    pub queue: Arc<dyn JobQueue>,
    /// Deletes the content of deleted teams.
    pub team_purge: TeamPurge,
    /// Readiness of the database and the storage.
    pub readiness: ServerReadiness,
    /// Reads plant systems through the plant process.
    pub plant_reader: Arc<DatabasePlantReader>,
    /// Background tasks that shutdown waits for.
    pub tasks: TaskTracker,
    store: Arc<dyn Store>,
    embedders: Embedders,
    databases: Databases,
    heartbeat: InstanceHeartbeat,
    ids: Arc<dyn IdGen>,
    plant_answers: Arc<data::PgPlantAnswerListener>,
}

impl Platform {
    /// Composes the platform. Serving requests and running jobs are started separately.
    ///
    /// # Errors
    /// If a setting is missing or not valid, or the database does not respond.
    pub async fn new(settings: &Settings, databases: Databases, models: Models) -> Result<Self> {
        let heartbeat = InstanceHeartbeat::start(databases.instance_id, databases.app.clone()).await;
        let heartbeat = heartbeat.context("the database does not respond")?;
        let ports = SharedPorts::new(&databases);
        let blobs = blobs::blob_store(settings, &ports.ids, &ports.tasks)?;
        let Models { chat: model, embedders, reranking, retrieval: params, privacy, .. } = models;
        let retrieval = HybridSearch::new(search_store(&ports, &databases), embedders.clone(), params);
        let retrieval = retrieval.with_reranking(reranking);
        let remote = RemoteSystems::new(settings, &ports, &databases)?;
        let tools = remote.tools(&ports, retrieval.clone())?;
        let (channels, mcp_metrics) = (remote.channels.clone(), remote.mcp.metrics.clone());
        let (plant_reader, plant_answers) = (Arc::clone(&remote.plant_reader), Arc::clone(&remote.plant_answers));
        let authn = Arc::new(identity::authenticator(settings, &ports)?);
        let ingest = ingest(settings, &ports, &blobs, &embedders)?;
        let chat_parts = ChatPorts {
            store: Arc::clone(&ports.store),
            tools: Arc::clone(&tools),
            model,
            privacy: Arc::clone(&privacy),
            rules: Arc::new(MatrixRules),
            clock: Arc::clone(&ports.clock),
            ids: Arc::clone(&ports.ids),
            tasks: ports.tasks.clone(),
        };
        let run_events = Arc::new(PgRunEventStore::new(databases.app.clone()));
        let chat = ChatService::new(chat_parts, (&settings.chat).into()).sharing_runs(run_events);
        let services = Services {
            chat: chat.clone(),
            models: ModelService::new(chat.clone(), Arc::clone(&embedders.current)),
            tools: Arc::clone(&tools),
            privacy,
            ingest: Arc::clone(&ingest),
            authn: Arc::clone(&authn),
            remote,
        };
        let use_cases = use_cases(settings, &ports, &databases, services)?;
        let gate = gate(settings, &authn, use_cases, ports.gate_dependencies())?;
        Ok(Self {
            gate,
            team_purge: teams::purge(&ports, &blobs),
            authn,
            chat,
            retrieval,
            ingest,
            approvals: approvals::processor(settings, &ports, &tools),
            channels,
            mcp_metrics,
            store: Arc::clone(&ports.store),
            queue: Arc::new(PgJobQueue::new(databases.worker.clone())),
            readiness: ServerReadiness::new(Arc::clone(&ports.store), blobs, settings.storage.kind),
            directory: ports.directory,
            tasks: ports.tasks,
            embedders,
            databases,
            heartbeat,
            ids: ports.ids,
            plant_reader,
            plant_answers,
        })
    }

    /// Builds the HTTP router in front of the gate. `development_sign_in` signs in without an identity provider; `None`
    /// outside development mode.
    ///
    /// # Errors
    /// If the metrics cannot be registered, or `REDIS_URL` or the settings of MCP are not valid.
    pub async fn http_router(
        &self,
        settings: &Settings,
        metrics: &MetricsRegistry,
        development_sign_in: Option<Arc<dyn DevelopmentSignIn>>,
    ) -> Result<Router> {
        let ports = Ports {
            ids: Arc::clone(&self.ids),
            readiness: Arc::new(self.readiness.clone()),
            limiter: limiter(settings, metrics).await?,
            metrics: Some(HttpMetrics::register(metrics)?),
            tasks: self.tasks.clone(),
            console: ConsolePorts { files: Some(Arc::new(EmbeddedConsole)), development: development_sign_in },
        };
        let gateway_settings = GatewaySettings {
            rate_limit_enabled: settings.rate_limit.enabled,
            behind_proxy: settings.server.behind_proxy,
            max_in_flight: settings.server.max_in_flight,
            max_upload_bytes: settings.storage.max_upload_mib << 20,
            form_digest_timeout: settings.storage.upload_timeout(),
            console: ConsoleSettings { sign_in: settings.console_client() },
            mcp: settings.mcp_settings()?,
            ..GatewaySettings::default()
        };
        Ok(gateway::router(Arc::clone(&self.gate), ports, gateway_settings))
    }

    /// The configured number of workers. They claim reindex jobs only if tenants use different models.
    #[must_use]
    pub fn workers(&self, settings: &Settings) -> Vec<Worker> {
        let mut workers =
            Worker::pool(settings.worker.concurrency, &self.queue, &self.ingest, worker_settings(settings));
        if self.embedders.is_single() {
            workers = workers.into_iter().map(|worker| worker.without_kind(JobKind::Reindex)).collect();
        }
        workers.into_iter().map(|worker| worker.with_approvals(Arc::clone(&self.approvals))).collect()
    }

    /// The workers that deliver messages to channels.
    #[must_use]
    pub fn delivery_workers(&self, settings: &Settings) -> Vec<Worker> {
        let processor = DeliveryProcessor::new(self.channels.clone(), settings.notifications.delivery_settings());
        let processor = Arc::new(processor);
        let worker = || Worker::new(Arc::clone(&self.queue), Arc::clone(&self.ingest), worker_settings(settings));
        std::iter::repeat_with(|| worker().for_deliveries(Arc::clone(&processor))).take(DELIVERY_WORKERS).collect()
    }

    /// The store, for the development commands that give grants.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// A worker that claims only reindex jobs, and the model to which it moves the tenants whose language has no model
    /// of its own.
    #[must_use]
    pub fn reindex_worker(&self, settings: &Settings) -> (Worker, EmbeddingModel) {
        let worker = Worker::new(Arc::clone(&self.queue), Arc::clone(&self.ingest), worker_settings(settings));
        (worker.only_kinds(vec![JobKind::Reindex]), self.embedders.target(None).model())
    }

    /// Queues documents for ingestion again if their vectors come from a model that is no longer configured. Until they
    /// are ingested, only full-text search finds them.
    pub async fn requeue_documents_embedded_by_other_models(&self) {
        let models: Vec<_> = self.embedders.all().map(|embedder| embedder.model()).collect();
        if models.iter().any(|model| model.dimension == 0) {
            tracing::warn!(
                "an embedding model does not respond yet; documents embedded with other models are not requeued"
            );
            return;
        }
        let names: Vec<_> = models.into_iter().map(|model| model.name).collect();
        match self.queue.requeue_documents_embedded_by_other_models(&names).await {
            Ok(0) => {}
            Ok(documents) => tracing::warn!(
                documents,
                "queued documents for ingestion again, because they were embedded with another model"
            ),
            Err(error) => tracing::warn!(%error, "documents embedded with other models could not be queued"),
        }
    }

    /// The connection pools.
    pub(crate) fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Ends runs whose process died.
    #[must_use]
    pub fn run_recovery(&self) -> RunRecovery {
        RunRecovery::new(self.databases.app.clone(), self.databases.worker.clone())
    }

    /// Waits for the background tasks and closes the connection pools.
    pub async fn close(self) {
        self.close_after(async {}).await;
    }

    /// Waits for the background tasks, then for `final_task`, and closes the connection pools.
    pub async fn close_after(self, final_task: impl Future<Output = ()>) {
        self.tasks.close();
        self.tasks.wait().await;
        final_task.await;
        drop(self.heartbeat);
        // The queue's listener holds a connection, and closing a pool waits until all connections are returned.
        drop(self.queue);
        self.plant_answers.stop_listening();
        self.databases.close().await;
    }
}

/// Services that [`use_cases`] wires into the use cases.
struct Services {
    chat: ChatService,
    models: ModelService,
    tools: Arc<dyn ToolGateway>,
    privacy: Arc<dyn PrivacyScanner>,
    ingest: Arc<dyn Ingest>,
    authn: Arc<Authenticator>,
    remote: RemoteSystems,
}

fn use_cases(settings: &Settings, ports: &SharedPorts, databases: &Databases, services: Services) -> Result<UseCases> {
    let goals = crate::goals::service(ports, &services.tools, &services.privacy);
    let SharedPorts { store, directory, clock, ids, .. } = ports.clone();
    let default_issuer = settings.issuers()?.first().map(|issuer| issuer.issuer.clone()).unwrap_or_default();
    let audit_reader = PgAuditReader::new(databases.auditor.clone()).with_replica(databases.audit_replica.clone());
    let audit_trail = Arc::new(AuditTrailService::new(Arc::new(audit_reader)));
    let conversations = ConversationService::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&ids));
    let documents = DocumentService::new(Arc::clone(&store), services.ingest, Arc::clone(&clock));
    let memories = MemoryService::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&ids));
    let RemoteSystems { mcp, maintenance, channels, plant_reader, .. } = services.remote;
    let maintenance = MaintenanceService::new(Arc::clone(&store), Arc::clone(&clock), maintenance);
    let configuration =
        ConfigurationService::new(Arc::clone(&store), Arc::clone(&directory), Arc::clone(&clock), Arc::clone(&ids));
    Ok(UseCases {
        conversations: Arc::new(conversations),
        feedback: Arc::new(FeedbackService::new(Arc::clone(&store), Arc::clone(&clock))),
        glossary: Arc::new(GlossaryService::new(Arc::clone(&store), Arc::clone(&clock))),
        chat: Arc::new(services.chat),
        models: Arc::new(services.models),
        documents: Arc::new(documents),
        approvals: Arc::new(approvals::service(ports, &services.tools)),
        goals: Arc::new(goals),
        mcp_servers: Arc::new(mcp.service(ports)),
        maintenance: Arc::new(maintenance),
        channels: Arc::new(ChannelService::new(channels)),
        plant: Arc::new(PlantService::new(Arc::clone(&store), Arc::clone(&clock))),
        connectors: Arc::new(connector_service(settings, ports, plant_reader)?),
        search: Arc::new(SearchService::new(Arc::clone(&store), services.tools, services.privacy)),
        memories: Arc::new(memories),
        sessions: Arc::new(SessionService::new(Arc::clone(&store), Arc::clone(&clock))),
        audit_trail: Arc::clone(&audit_trail) as Arc<dyn AuditTrail>,
        audit_export: audit_trail,
        teams: Arc::new(teams::service(ports)),
        administration: Arc::new(AdministrationService::new(store, directory, clock, ids, default_issuer)),
        configuration: Arc::new(configuration),
        access: Arc::new(AccessQueries::new(Arc::clone(&services.authn), Arc::clone(&ports.store))),
        access_tokens: identity::access_tokens(settings, ports, &services.authn),
        tenant_mappings: identity::tenant_mappings(settings, ports)?,
    })
}

fn connector_service(
    settings: &Settings,
    ports: &SharedPorts,
    broker: Arc<DatabasePlantReader>,
) -> Result<ConnectorService> {
    let SharedPorts { store, clock, ids, .. } = ports.clone();
    let secrets = Arc::new(SealedSecrets::new(settings.plant_key_bytes()?));
    let insecure = match settings.mode {
        Mode::Development => InsecureConnections::OnRequest,
        Mode::Production => InsecureConnections::Refused,
    };
    let ports = ConnectorPorts { store, broker, secrets, clock, ids };
    Ok(ConnectorService::new(ports, insecure, simulated_tags()))
}

async fn limiter(settings: &Settings, metrics: &MetricsRegistry) -> Result<Arc<dyn RateLimiter>> {
    let Some(url) = &settings.redis_url else { return Ok(Arc::new(InProcessLimiter::default())) };
    let shared = SharedLimiter::open(url.expose_secret(), LimiterMetrics::register(metrics)?).await;
    Ok(Arc::new(shared.context("REDIS_URL cannot be used")?))
}

fn worker_settings(settings: &Settings) -> WorkerSettings {
    WorkerSettings { lease_duration: Duration::from_secs(settings.worker.lease_s), ..WorkerSettings::default() }
}

fn ingest(
    settings: &Settings,
    ports: &SharedPorts,
    blobs: &Arc<dyn BlobStore>,
    embedders: &Embedders,
) -> Result<Arc<dyn Ingest>> {
    let ingest_ports = IngestPorts {
        store: Arc::clone(&ports.store),
        blobs: Arc::clone(blobs),
        rules: Arc::new(MatrixRules),
        embedders: embedders.clone(),
        clock: Arc::clone(&ports.clock),
        ids: Arc::clone(&ports.ids),
    };
    let ingest_settings = ingest_settings::from_settings(settings)?;
    Ok(Arc::new(DocumentIngest::new(ingest_ports, ingest_settings, ports.tasks.clone())))
}

fn gate(
    settings: &Settings,
    authn: &Arc<Authenticator>,
    use_cases: UseCases,
    parts: GateDependencies,
) -> Result<Arc<dyn Gate>> {
    let keys = GateKeys::derive(settings.secret_key_bytes()?);
    Ok(Arc::new(PolicyGate::new(Arc::clone(authn), use_cases, keys, parts)))
}

/// The store that searches read: the replica where one is configured. Their audit rows go to the primary.
fn search_store(ports: &SharedPorts, databases: &Databases) -> Arc<dyn Store> {
    match &databases.replica {
        Some(replica) => Arc::new(ReplicaStore::new(databases.app.clone(), replica.clone())),
        None => Arc::clone(&ports.store),
    }
}
