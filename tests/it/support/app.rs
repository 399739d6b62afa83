//! The platform under test: the server's `serve::run` on a free port, with a separate database and directories.

use super::api_client::ApiClient;
use data::testing::TestDb;
use domain::ports::Clock as _;
use domain::role::Role;
use fakes::eventually_within;
use platform_server::config::{Environment, PlatformAdmin, ServiceType, Settings};
use platform_server::dev::DevelopmentPlatform;
use platform_server::dev::issuer::{DevelopmentIssuer, TokenSubject};
use platform_server::system::SystemClock;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The first of two tenants that every app has.
pub const TENANT_A: &str = "plant-a";
/// The second of two tenants that every app has.
pub const TENANT_B: &str = "plant-b";

/// Name of the platform administrator, who is appointed by the configuration.
const PLATFORM_ADMIN: &str = "root-of-the-platform";

/// Lifetime of the tokens in tests.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);

static SHARED: OnceCell<TestApp> = OnceCell::const_new();

/// A running platform. Dropping it stops the server and removes database and files.
pub struct TestApp {
    /// URL of the server, such as `http://127.0.0.1:8000`.
    pub base_url: String,
    /// The HTTP client. It keeps no idle connections, because they would belong to the runtime of one test.
    pub http: reqwest::Client,
    /// The settings of the server.
    pub settings: Settings,
    /// The database of this app.
    pub db: Arc<TestDb>,
    /// The directory of the blob store.
    pub storage_dir: PathBuf,
    variables: Vec<(String, String)>,
    issuer: DevelopmentIssuer,
    shutdown: CancellationToken,
    server: Option<JoinHandle<()>>,
    dir: Arc<TempDir>,
}

impl TestApp {
    /// The app that most tests share, because loading the model takes longer than most tests. Its data is removed with
    /// the temporary cluster and `target/tmp`.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::start(&[])).await
    }

    /// Starts an app with additional settings, as environment variables.
    pub async fn start(extra_settings: &[(&str, &str)]) -> Self {
        platform_server::install_crypto_provider();
        let db = Arc::new(TestDb::create().await.unwrap_or_else(|error| panic!("{error}")));
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/tmp");
        let app = Self::start_server(db, Arc::new(dir), extra_settings).await;
        for tenant in [TENANT_A, TENANT_B] {
            app.create_tenant(tenant).await;
        }
        app
    }

    /// A user with this name, whose sign-in was that long ago.
    pub fn caller_signed_in_ago(&self, tenant: &str, name: &str, role: Role, auth_age: Duration) -> ApiClient<'_> {
        ApiClient::new(self, Some(self.token_signed_in_ago(tenant, name, role, auth_age)))
    }

    /// A token of a user with this name, whose sign-in was that long ago.
    pub fn token_signed_in_ago(&self, tenant: &str, name: &str, role: Role, auth_age: Duration) -> String {
        let subject = TokenSubject::new(name, role).signed_in_ago(auth_age);
        self.issuer.token(tenant, &subject, SystemClock.now(), TOKEN_LIFETIME).expect("a token")
    }

    /// Starts another server with the same database and files.
    pub async fn start_replica(&self, extra_settings: &[(&str, &str)]) -> Self {
        Self::start_server(Arc::clone(&self.db), Arc::clone(&self.dir), extra_settings).await
    }

    async fn start_server(db: Arc<TestDb>, dir: Arc<TempDir>, extra_settings: &[(&str, &str)]) -> Self {
        let (issuer_dir, storage) = (dir.path().join("dev-issuer"), dir.path().join("blobs"));
        let issuer = DevelopmentIssuer::load_or_create(&issuer_dir).expect("the development issuer");
        let port = free_port();
        let variables = variables(&db, &[("issuer", &issuer_dir), ("storage", &storage)], port, extra_settings);
        let mut settings = load_settings(&variables);
        let issuers = settings.issuers().expect("issuers");
        // The development issuer is the last one, also where a provider is configured.
        let issuer_name = issuers.last().map(|issuer| issuer.issuer.clone()).expect("the development issuer");
        settings.auth.platform_admins.push(PlatformAdmin { issuer: issuer_name, subject: PLATFORM_ADMIN.to_owned() });
        let shutdown = CancellationToken::new();
        let server = spawn_server(settings.clone(), shutdown.clone());
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client");
        let base_url = format!("http://127.0.0.1:{port}");
        let app = Self {
            base_url,
            http,
            settings,
            db,
            storage_dir: storage,
            variables,
            issuer,
            shutdown,
            server: Some(server),
            dir,
        };
        app.wait_until_ready().await;
        app
    }

    /// Starts a server with the same database and files as a separate process.
    pub async fn start_process(&self, extra_settings: &[(&str, &str)]) -> ServerProcess {
        self.start_service("serve", extra_settings).await
    }

    /// Starts API and worker with the same database and files as a separate process.
    pub async fn start_worker_process(&self, extra_settings: &[(&str, &str)]) -> ServerProcess {
        self.start_service("all", extra_settings).await
    }

    async fn start_service(&self, service: &str, extra_settings: &[(&str, &str)]) -> ServerProcess {
        let port = free_port().to_string();
        let mut command = self.command(&[service]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.envs(extra_settings.iter().copied()).env("PLATFORM__SERVER__PORT", &port);
        let child = command.spawn().expect("platform-server is built beside the command line");
        let process = ServerProcess { base_url: format!("http://127.0.0.1:{port}"), child };
        let url = format!("{}/ready", process.base_url);
        eventually_within(Duration::from_secs(60), "the process is ready", || async {
            self.http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        process
    }

    /// A command of the server's program, with the settings of this app.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(super::cli::program().with_file_name("platform-server"));
        command.args(arguments).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Creates a tenant in the same way as the `dev` commands: by signing in its first admin, `founder`.
    pub async fn create_tenant(&self, slug: &str) {
        let development = DevelopmentPlatform::open(self.settings.clone()).await.expect("the platform");
        development.token(slug, &TokenSubject::new("founder", Role::Admin), TOKEN_LIFETIME).await.expect("a tenant");
    }

    /// A user with this name and role in a tenant. The first request creates the user.
    pub fn caller(&self, tenant: &str, name: &str, role: Role) -> ApiClient<'_> {
        ApiClient::new(self, Some(self.token(tenant, name, role)))
    }

    /// A viewer of a tenant.
    pub fn as_viewer(&self, tenant: &str) -> ApiClient<'_> {
        self.caller(tenant, "vera", Role::Viewer)
    }

    /// A user of a tenant.
    pub fn as_user(&self, tenant: &str) -> ApiClient<'_> {
        self.caller(tenant, "uma", Role::User)
    }

    /// An admin of a tenant.
    pub fn as_admin(&self, tenant: &str) -> ApiClient<'_> {
        self.caller(tenant, "ada", Role::Admin)
    }

    /// Sets quotas of a tenant, as the platform's administrator.
    pub async fn set_quotas(&self, tenant: &str, quotas: &Value) {
        let me = self.as_admin(tenant).get("/v1/me").await.expect_json(200);
        let id = me["tenant"]["id"].as_str().expect("the tenant's id");
        let path = format!("/v1/admin/tenants/{id}/settings");
        self.as_platform_admin().patch(&path, &json!({ "quotas": quotas })).await.expect_json(200);
    }

    /// The platform administrator, who is a viewer of the first tenant.
    pub fn as_platform_admin(&self) -> ApiClient<'_> {
        self.as_platform_admin_in(TENANT_A)
    }

    /// The platform administrator as a viewer of this tenant.
    pub fn as_platform_admin_in(&self, tenant: &str) -> ApiClient<'_> {
        self.caller(tenant, PLATFORM_ADMIN, Role::Viewer)
    }

    /// A client without a token.
    pub fn without_token(&self) -> ApiClient<'_> {
        ApiClient::new(self, None)
    }

    /// A client with this token.
    pub fn with_token(&self, token: &str) -> ApiClient<'_> {
        ApiClient::new(self, Some(token.to_owned()))
    }

    /// Issues a new token, different from all others.
    pub fn token(&self, tenant: &str, name: &str, role: Role) -> String {
        self.issuer.token(tenant, &TokenSubject::new(name, role), SystemClock.now(), TOKEN_LIFETIME).expect("a token")
    }

    /// Stops the server as SIGTERM would, and keeps database and files; returns how long the shutdown took.
    pub fn stop(&mut self) -> Duration {
        let start = Instant::now();
        self.shutdown.cancel();
        if let Some(server) = self.server.take() {
            assert!(server.join().is_ok(), "the server panicked");
        }
        start.elapsed()
    }

    /// Starts the server again with the same settings, database and files.
    pub async fn restart(&mut self) {
        self.shutdown = CancellationToken::new();
        self.server = Some(spawn_server(self.settings.clone(), self.shutdown.clone()));
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&self) {
        let url = format!("{}/ready", self.base_url);
        eventually_within(Duration::from_secs(30), "the server is ready", || async {
            assert!(!self.server.as_ref().is_some_and(JoinHandle::is_finished), "the server ended while it started");
            self.http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }
}

/// A server that runs as a separate process. Dropping it kills the process.
pub struct ServerProcess {
    /// URL of the server.
    pub base_url: String,
    child: Child,
}

impl ServerProcess {
    /// Kills the process, as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(server) = self.server.take() {
            let _ended = server.join();
        }
    }
}

/// Runs the server on a separate thread and runtime, because it outlives the test that starts it.
fn spawn_server(settings: Settings, shutdown: CancellationToken) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let service = settings.service_type.unwrap_or(ServiceType::All);
        let server = platform_server::serve::run(settings, service, shutdown);
        runtime.expect("a runtime").block_on(server).expect("the server runs until it is stopped");
    })
}

fn load_settings(variables: &[(String, String)]) -> Settings {
    let pairs: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Settings::load(None, &Environment::from_pairs(&pairs)).expect("valid settings")
}

fn variables(
    db: &TestDb,
    dirs: &[(&str, &PathBuf)],
    port: u16,
    extra_settings: &[(&str, &str)],
) -> Vec<(String, String)> {
    let path =
        |name: &str| dirs.iter().find(|(key, _)| *key == name).and_then(|(_, path)| path.to_str()).expect("UTF-8");
    let (port, model) = (port.to_string(), embedding_model_dir());
    let (app, worker, auditor, plant) = (db.app_url(), db.worker_url(), db.auditor_url(), db.plant_url());
    let mut variables = vec![
        ("DATABASE_URL", app.as_str()),
        ("DATABASE_WORKER_URL", &worker),
        ("DATABASE_AUDIT_URL", &auditor),
        ("DATABASE_PLANT_URL", &plant),
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
    variables.extend_from_slice(extra_settings);
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns a local port that is free at the moment.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
fn embedding_model_dir() -> String {
    std::env::var("PLATFORM_TEST_MODEL_DIR")
        .expect("PLATFORM_TEST_MODEL_DIR is not set: run the tests with `cargo xtask test`")
}
