//! Everything that runs during a benchmark: databases, issuer, model server and the measured servers.

use super::issuer::Issuer;
use super::options::{Options, Side};
use super::platform::{Started, Surroundings, start_floor, start_models, start_platform};
use super::postgres::{PostgresServer, wait_until_sealed};
use super::process::Part;
use super::report::progress;
use super::world::{TenantShape, TenantWorld, Writer};
use anyhow::{Context as _, Result};
use data::testing::TestDb;
use sqlx::{Connection as _, PgConnection};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Length and speed of the model server's answers.
#[derive(Clone, Copy)]
pub struct Answers {
    /// Number of tokens per answer.
    pub tokens: usize,
    /// Time between two tokens.
    pub interval: Duration,
}

/// A measured server with its database.
pub struct Measured {
    pub part: Part,
    pub db: Arc<TestDb>,
    pub tenants: Arc<Vec<TenantWorld>>,
    /// Time from the start of the process until it was ready.
    pub ready_after: Duration,
}

/// The running processes of a benchmark.
pub struct Site {
    pub postgres: PostgresServer,
    pub http: reqwest::Client,
    platform: Option<Measured>,
    floor: Option<Measured>,
    base: Base,
}

impl Site {
    /// Starts the measured sides, each with the same data in its own database, so that the platform's background work
    /// is not counted as the floor's.
    pub async fn start(options: &Options, answers: Answers, shapes: &[TenantShape]) -> Result<Self> {
        let base = Base::start(options, answers).await?;
        let (mut platform, mut floor, mut postgres) = (None, None, None);
        for side in options.sides() {
            let data = Data::write(&base.issuer, shapes).await?;
            postgres = Some(PostgresServer::of(&data.db).await?);
            match side {
                Side::Platform => platform = Some(data.serve_platform(options, &base).await?),
                Side::Floor => floor = Some(data.serve_floor(&base).await?),
            }
        }
        Ok(Self { http: client()?, postgres: postgres.context("nothing to measure")?, platform, floor, base })
    }

    /// Starts both sides with one database, for benchmarks that only read, and much data.
    pub async fn start_shared(options: &Options, answers: Answers, shapes: &[TenantShape]) -> Result<Self> {
        let base = Base::start(options, answers).await?;
        let data = Data::write(&base.issuer, shapes).await?;
        let postgres = PostgresServer::of(&data.db).await?;
        let platform = Some(data.clone().serve_platform(options, &base).await?);
        let floor = Some(data.serve_floor(&base).await?);
        Ok(Self { http: client()?, postgres, platform, floor, base })
    }

    /// The issuer of the users' tokens.
    pub fn issuer(&self) -> &Issuer {
        &self.base.issuer
    }

    /// Returns the server of a side; an error if that side is not measured.
    pub fn measured(&self, side: Side) -> Result<&Measured> {
        let measured = match side {
            Side::Platform => &self.platform,
            Side::Floor => &self.floor,
        };
        measured.as_ref().with_context(|| format!("the {} is not measured", side.name()))
    }

    /// CPU time of a side's server and of PostgreSQL so far. Waits until the platform has sealed its audit rows.
    pub async fn cpu(&self, side: Side) -> Result<Cpu> {
        let measured = self.measured(side)?;
        if side == Side::Platform {
            wait_until_sealed(&measured.db).await?;
        }
        Ok(Cpu { application: measured.part.cpu()?, postgres: self.postgres.cpu()? })
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
struct Data {
    db: Arc<TestDb>,
    tenants: Arc<Vec<TenantWorld>>,
}

impl Data {
    async fn write(issuer: &Issuer, shapes: &[TenantShape]) -> Result<Self> {
        let writer = Writer::new(issuer);
        let db = TestDb::create().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut tenants = Vec::new();
        for shape in shapes {
            progress(&format!("writing the tenant {} with {} passages", shape.slug, shape.passages));
            tenants.push(writer.tenant(&db, shape).await?);
        }
        sqlx::raw_sql("ANALYZE").execute(&mut PgConnection::connect(&db.superuser_url()).await?).await?;
        Ok(Self { db: Arc::new(db), tenants: Arc::new(tenants) })
    }

    async fn serve_platform(self, options: &Options, base: &Base) -> Result<Measured> {
        let started = start_platform(&options.server, &self.db, base.files.path(), base.surroundings()).await?;
        Ok(self.measured(started))
    }

    async fn serve_floor(self, base: &Base) -> Result<Measured> {
        let started = start_floor(&self.db, &self.tenants, base.surroundings()).await?;
        Ok(self.measured(started))
    }

    fn measured(self, started: Started) -> Measured {
        Measured { part: started.part, db: self.db, tenants: self.tenants, ready_after: started.ready_after }
    }
}

/// The services that all measured servers use, and the directories for their files.
struct Base {
    issuer: Issuer,
    models: Part,
    work: PathBuf,
    files: tempfile::TempDir,
}

impl Base {
    async fn start(options: &Options, answers: Answers) -> Result<Self> {
        std::fs::create_dir_all(&options.work)?;
        let work = options.work.canonicalize()?;
        let models = start_models(answers.tokens, answers.interval, &work).await?;
        Ok(Self { issuer: Issuer::start().await?, models, work, files: tempfile::tempdir()? })
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { issuer: &self.issuer, models: &self.models.url, dir: &self.work }
    }
}

fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().pool_max_idle_per_host(usize::MAX).build()?)
}
