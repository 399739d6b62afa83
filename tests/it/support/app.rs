//! A platform under test: the server's `serve::run` on its own port, with its own database and directories.

use super::caller::Caller;
use data::testing::TestDb;
use domain::ports::Clock as _;
use domain::role::Role;
use fakes::eventually_within;
use platform_server::config::{Environment, PlatformAdmin, ServiceType, Settings};
use platform_server::dev::DevelopmentPlatform;
use platform_server::dev::issuer::{DevelopmentIssuer, Person};
use platform_server::system::SystemClock;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// The first of two tenants that every app has.
pub const A: &str = "plant-a";
/// The second of two tenants that every app has.
pub const B: &str = "plant-b";

/// Name of the platform administrator, who is appointed by the configuration.
const ROOT: &str = "root-of-the-platform";

/// Lifetime of the tokens in tests.
const TTL: Duration = Duration::from_secs(3_600);

static SHARED: OnceCell<App> = OnceCell::const_new();

/// A running platform. Dropping it stops the server and removes database and files.
pub struct App {
    /// URL of the server, such as `http://127.0.0.1:8000`.
    pub base: String,
    /// The HTTP client. It keeps no idle connections, because each test has its own runtime.
    pub http: reqwest::Client,
    /// The settings of the server.
    pub settings: Settings,
    /// The database of this app.
    pub db: Arc<TestDb>,
    /// The directory of the blob store.
    pub storage: PathBuf,
    issuer: DevelopmentIssuer,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
    dir: Arc<TempDir>,
}

impl App {
    /// The app that most tests share, because loading the model takes longer than most tests. Its data is removed with
    /// the throw-away cluster and `target/tmp`.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::start(&[])).await
    }

    /// Starts an app with additional settings, as environment variables.
    pub async fn start(more: &[(&str, &str)]) -> Self {
        platform_server::install_tls();
        let db = Arc::new(TestDb::create().await.unwrap_or_else(|error| panic!("{error}")));
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/tmp");
        let app = Self::serve(db, Arc::new(dir), more).await;
        for tenant in [A, B] {
            app.make_tenant(tenant).await;
        }
        app
    }

    /// Starts another server with the same database and files.
    pub async fn replica(&self, more: &[(&str, &str)]) -> Self {
        Self::serve(Arc::clone(&self.db), Arc::clone(&self.dir), more).await
    }

    async fn serve(db: Arc<TestDb>, dir: Arc<TempDir>, more: &[(&str, &str)]) -> Self {
        let (issuer_dir, storage) = (dir.path().join("dev-issuer"), dir.path().join("blobs"));
        let issuer = DevelopmentIssuer::load_or_create(&issuer_dir).expect("the development issuer");
        let port = free_port();
        let mut settings = settings(&db, &[("issuer", &issuer_dir), ("storage", &storage)], port, more);
        let issuers = settings.issuers().expect("issuers");
        let issuer_name = issuers.first().map(|issuer| issuer.issuer.clone()).expect("the development issuer");
        settings.auth.platform_admins.push(PlatformAdmin { issuer: issuer_name, subject: ROOT.to_owned() });
        let stop = CancellationToken::new();
        let server = serve(settings.clone(), stop.clone());
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client");
        let base = format!("http://127.0.0.1:{port}");
        let app = Self { base, http, settings, db, storage, issuer, stop, server: Some(server), dir };
        app.until_ready().await;
        app
    }

    /// Creates a tenant in the same way as the `dev` commands.
    pub async fn make_tenant(&self, slug: &str) {
        let development = DevelopmentPlatform::open(self.settings.clone()).await.expect("the platform");
        development.token(slug, &Person::named("founder", Role::Admin), TTL).await.expect("a tenant");
    }

    /// A user with this name and role in a tenant, provisioned at the first request.
    pub fn caller(&self, tenant: &str, name: &str, role: Role) -> Caller<'_> {
        Caller::new(self, Some(self.token(tenant, name, role)))
    }

    /// A viewer of a tenant.
    pub fn as_viewer(&self, tenant: &str) -> Caller<'_> {
        self.caller(tenant, "vera", Role::Viewer)
    }

    /// A user of a tenant.
    pub fn as_user(&self, tenant: &str) -> Caller<'_> {
        self.caller(tenant, "uma", Role::User)
    }

    /// An admin of a tenant.
    pub fn as_admin(&self, tenant: &str) -> Caller<'_> {
        self.caller(tenant, "ada", Role::Admin)
    }

    /// The platform administrator, who is a viewer of the first tenant.
    pub fn as_platform_admin(&self) -> Caller<'_> {
        self.caller(A, ROOT, Role::Viewer)
    }

    /// A caller without a token.
    pub fn as_nobody(&self) -> Caller<'_> {
        Caller::new(self, None)
    }

    /// A caller with this token.
    pub fn with_token(&self, token: &str) -> Caller<'_> {
        Caller::new(self, Some(token.to_owned()))
    }

    /// Issues a new token, different from all others.
    pub fn token(&self, tenant: &str, name: &str, role: Role) -> String {
        self.issuer.token(tenant, &Person::named(name, role), SystemClock.now(), TTL).expect("a token")
    }

    /// Stops the server as SIGTERM does, without removing database and files; returns how long it took.
    pub fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            assert!(server.join().is_ok(), "the server panicked");
        }
        begun.elapsed()
    }

    /// Starts the server again with the same settings, database and files.
    pub async fn start_again(&mut self) {
        self.stop = CancellationToken::new();
        self.server = Some(serve(self.settings.clone(), self.stop.clone()));
        self.until_ready().await;
    }

    async fn until_ready(&self) {
        let url = format!("{}/ready", self.base);
        eventually_within(Duration::from_secs(30), "the server is ready", || async {
            assert!(!self.server.as_ref().is_some_and(JoinHandle::is_finished), "the server ended while it started");
            self.http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            let _ended = server.join();
        }
    }
}

/// Runs the server on its own thread and runtime, because it outlives the test that started it.
fn serve(settings: Settings, stop: CancellationToken) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let service = settings.service_type.unwrap_or(ServiceType::All);
        let served = platform_server::serve::run(settings, service, stop);
        runtime.expect("a runtime").block_on(served).expect("the server runs until it is stopped");
    })
}

fn settings(db: &TestDb, dirs: &[(&str, &PathBuf)], port: u16, more: &[(&str, &str)]) -> Settings {
    let path =
        |name: &str| dirs.iter().find(|(key, _)| *key == name).and_then(|(_, path)| path.to_str()).expect("UTF-8");
    let (port, model) = (port.to_string(), model_dir());
    let (app, worker, auditor) = (db.app_url(), db.worker_url(), db.auditor_url());
    let mut variables = vec![
        ("DATABASE_URL", app.as_str()),
        ("DATABASE_WORKER_URL", &worker),
        ("DATABASE_AUDIT_URL", &auditor),
        ("SECRET_KEY", "a secret of the end-to-end tests"),
        ("PLATFORM__MODE", "development"),
        ("PLATFORM__SERVER__PORT", &port),
        ("PLATFORM__SERVER__METRICS_PORT", "0"),
        ("PLATFORM__SERVER__SHUTDOWN_GRACE_S", "1"),
        ("PLATFORM__STORAGE__DIR", path("storage")),
        ("PLATFORM__AUTH__DEV_ISSUER_DIR", path("issuer")),
        ("PLATFORM__MODELS__EMBEDDED_DIR", &model),
        ("PLATFORM__MODELS__EMBED_SOURCE", "embedded"),
        ("PLATFORM__RATE_LIMIT__ENABLED", "false"),
    ];
    variables.extend_from_slice(more);
    Settings::load(None, &Environment::of(&variables)).expect("valid settings")
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
fn model_dir() -> String {
    std::env::var("PLATFORM_TEST_MODEL_DIR")
        .expect("PLATFORM_TEST_MODEL_DIR is not set: run the tests with `cargo xtask test`")
}
