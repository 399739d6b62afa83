//! Everything that runs during a benchmark: databases, issuer, model server and the measured servers.

use super::fixtures::{FixtureWriter, TenantFixture, TenantShape};
use super::issuer::Issuer;
use super::options::{Implementation, Options};
use super::platform::{ServerDependencies, StartedServer, start_floor, start_model_server, start_platform};
use super::postgres::{PostgresServer, wait_until_sealed};
use super::process::ServerProcess;
use super::report::print_progress;
use anyhow::{Context as _, Result};
use data::testing::TestDb;
use sqlx::{Connection as _, PgConnection};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time limit for the platform's worker to build all vector indexes.
const INDEX_BUILD_TIMEOUT: Duration = Duration::from_secs(1_800);

/// Length and speed of the model server's answers.
#[derive(Clone, Copy)]
pub struct ModelAnswerProfile {
    /// Number of tokens per answer.
    pub tokens: usize,
    /// Time between two tokens.
    pub interval: Duration,
}

/// A measured server with its database.
pub struct MeasuredServer {
    pub process: ServerProcess,
    pub db: Arc<TestDb>,
    pub tenants: Arc<Vec<TenantFixture>>,
    /// Time from the start of the process until it was ready.
    pub time_to_ready: Duration,
}

/// The running processes of a benchmark.
pub struct BenchEnvironment {
    pub postgres: PostgresServer,
    pub http: reqwest::Client,
    platform: Option<MeasuredServer>,
    floor: Option<MeasuredServer>,
    services: SharedServices,
}

impl BenchEnvironment {
    /// Starts the measured servers. Each gets its own database with the same data, so that the platform's background
    /// work does not count towards the floor.
    pub async fn start(options: &Options, answers: ModelAnswerProfile, shapes: &[TenantShape]) -> Result<Self> {
        let services = SharedServices::start(options, answers).await?;
        let (mut platform, mut floor, mut postgres) = (None, None, None);
        for implementation in options.implementations() {
            let tenant_data = TenantData::create(&services.issuer, shapes).await?;
            postgres = Some(PostgresServer::of_database(&tenant_data.db).await?);
            match implementation {
                Implementation::Platform => platform = Some(tenant_data.serve_platform(options, &services).await?),
                Implementation::Floor => floor = Some(tenant_data.serve_floor(&services).await?),
            }
        }
        Ok(Self { http: http_client()?, postgres: postgres.context("nothing to measure")?, platform, floor, services })
    }

    /// Starts both servers on one database, for benchmarks with a lot of data that they do not change.
    pub async fn start_shared(options: &Options, answers: ModelAnswerProfile, shapes: &[TenantShape]) -> Result<Self> {
        let services = SharedServices::start(options, answers).await?;
        let tenant_data = TenantData::create(&services.issuer, shapes).await?;
        let postgres = PostgresServer::of_database(&tenant_data.db).await?;
        let platform = Some(tenant_data.clone().serve_platform(options, &services).await?);
        let floor = Some(tenant_data.serve_floor(&services).await?);
        Ok(Self { http: http_client()?, postgres, platform, floor, services })
    }

    /// The issuer of the users' tokens.
    pub fn issuer(&self) -> &Issuer {
        &self.services.issuer
    }

    /// Returns the server of an implementation; an error if it is not measured.
    pub fn server(&self, implementation: Implementation) -> Result<&MeasuredServer> {
        let server = match implementation {
            Implementation::Platform => &self.platform,
            Implementation::Floor => &self.floor,
        };
        server.as_ref().with_context(|| format!("the {} is not measured", implementation.name()))
    }

    /// Waits until the platform's worker has built the vector indexes, then runs VACUUM ANALYZE.
    pub async fn wait_for_indexes(&self) -> Result<()> {
        print_progress("waiting for the vector indexes");
        let mut connection = PgConnection::connect(&self.server(Implementation::Platform)?.db.superuser_url()).await?;
        let start = Instant::now();
        while start.elapsed() < INDEX_BUILD_TIMEOUT {
            let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&mut connection).await?;
            if jobs == 0 {
                sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        anyhow::bail!("the vector indexes are not built after {} s", INDEX_BUILD_TIMEOUT.as_secs())
    }

    /// CPU times so far of an implementation's server and of PostgreSQL. Waits until the platform has sealed its audit
    /// rows.
    pub async fn cpu(&self, implementation: Implementation) -> Result<Cpu> {
        let server = self.server(implementation)?;
        if implementation == Implementation::Platform {
            wait_until_sealed(&server.db).await?;
        }
        Ok(Cpu { application: server.process.cpu_seconds()?, postgres: self.postgres.cpu_seconds()? })
    }
}

/// CPU times of the measured server and of PostgreSQL, in seconds.
#[derive(Clone, Copy)]
pub struct Cpu {
    pub application: f64,
    pub postgres: f64,
}

/// A database with its tenants.
#[derive(Clone)]
struct TenantData {
    db: Arc<TestDb>,
    tenants: Arc<Vec<TenantFixture>>,
}

impl TenantData {
    async fn create(issuer: &Issuer, shapes: &[TenantShape]) -> Result<Self> {
        let fixtures = FixtureWriter::new(issuer);
        let db = TestDb::create().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut tenants = Vec::new();
        for shape in shapes {
            print_progress(&format!("writing the tenant {} with {} passages", shape.slug, shape.passages));
            tenants.push(fixtures.create_tenant(&db, shape).await?);
        }
        sqlx::raw_sql("ANALYZE").execute(&mut PgConnection::connect(&db.superuser_url()).await?).await?;
        Ok(Self { db: Arc::new(db), tenants: Arc::new(tenants) })
    }

    async fn serve_platform(self, options: &Options, services: &SharedServices) -> Result<MeasuredServer> {
        let started =
            start_platform(&options.server, &self.db, services.storage_dir.path(), services.dependencies()).await?;
        Ok(self.into_measured_server(started))
    }

    async fn serve_floor(self, services: &SharedServices) -> Result<MeasuredServer> {
        let started = start_floor(&self.db, &self.tenants, services.dependencies()).await?;
        Ok(self.into_measured_server(started))
    }

    fn into_measured_server(self, started: StartedServer) -> MeasuredServer {
        MeasuredServer {
            process: started.process,
            db: self.db,
            tenants: self.tenants,
            time_to_ready: started.time_to_ready,
        }
    }
}

/// The services that all measured servers use, and the directories for their files.
struct SharedServices {
    issuer: Issuer,
    model_server: ServerProcess,
    work_dir: PathBuf,
    storage_dir: tempfile::TempDir,
}

impl SharedServices {
    async fn start(options: &Options, answers: ModelAnswerProfile) -> Result<Self> {
        std::fs::create_dir_all(&options.work)?;
        let work_dir = options.work.canonicalize()?;
        let model_server = start_model_server(answers.tokens, answers.interval, &work_dir).await?;
        Ok(Self { issuer: Issuer::start().await?, model_server, work_dir, storage_dir: tempfile::tempdir()? })
    }

    fn dependencies(&self) -> ServerDependencies<'_> {
        ServerDependencies { issuer: &self.issuer, model_server_url: &self.model_server.url, log_dir: &self.work_dir }
    }
}

fn http_client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().pool_max_idle_per_host(usize::MAX).build()?)
}
