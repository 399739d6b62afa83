//! Kills the server (SIGKILL) at various times under load, restarts it, and checks the data: everything that was
//! answered with 2xx is stored, every operation has one intent and one outcome, and the audit log is intact.

#![expect(
    clippy::expect_used,
    reason = "a failed expectation fails the test; clippy exempts only #[test] functions, not helpers"
)]

use data::testing::TestDb;
use domain::role::Role;
use fakes::eventually_within;
use futures::future::join_all;
use platform_server::audit::{self, AuditCommand};
use platform_server::config::{Environment, Settings};
use platform_server::dev::DevelopmentPlatform;
use platform_server::dev::issuer::TokenSubject;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_platform-server");
const ROUNDS: u64 = 4;
const CLIENTS: usize = 6;
/// Time for the program to start, in debug builds on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(30);

struct Deployment {
    variables: Vec<(String, String)>,
    settings: Settings,
    base_url: String,
    http: reqwest::Client,
    db: TestDb,
    /// Number of answers that were received.
    answer_count: AtomicUsize,
    _dir: tempfile::TempDir,
}

impl Deployment {
    async fn new() -> Self {
        platform_server::install_crypto_provider();
        let db = TestDb::create().await.expect("a database");
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a free port").port();
        let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
        let variables: Vec<(String, String)> = [
            ("DATABASE_URL", db.app_url()),
            ("DATABASE_WORKER_URL", db.worker_url()),
            ("DATABASE_AUDIT_URL", db.auditor_url()),
            ("SECRET_KEY", "a secret of the tests that kill".to_owned()),
            ("PLATFORM__MODE", "development".to_owned()),
            ("PLATFORM__SERVER__PORT", port.to_string()),
            ("PLATFORM__SERVER__METRICS_PORT", "0".to_owned()),
            ("PLATFORM__STORAGE__DIR", path("blobs")),
            ("PLATFORM__AUTH__DEV_ISSUER_DIR", path("issuer")),
            ("PLATFORM__MODELS__EMBEDDED_DIR", model_dir()),
            ("PLATFORM__RATE_LIMIT__ENABLED", "false".to_owned()),
            ("PLATFORM__AUDIT__CHECKPOINT_S", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        let variable_refs: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let settings = Settings::load(None, &Environment::from_pairs(&variable_refs)).expect("valid settings");
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
        Self {
            variables,
            settings,
            base_url: format!("http://127.0.0.1:{port}"),
            http,
            db,
            answer_count: AtomicUsize::new(0),
            _dir: dir,
        }
    }

    async fn start(&self) -> Server {
        let mut command = Command::new(PROGRAM);
        command.arg("all").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Server(command.envs(self.variables.iter().cloned()).spawn().expect("the program starts"));
        eventually_within(START_TIMEOUT, "the program is ready", || async {
            let ready = self.http.get(format!("{}/ready", self.base_url)).send().await;
            ready.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        server
    }

    /// Sends requests until the server is gone; returns what was answered with 2xx.
    async fn send_requests_until_killed(&self, token: &str, client: usize) -> ConfirmedData {
        let mut confirmed = ConfirmedData::default();
        for turn in 0.. {
            let name = format!("{client}-{turn}");
            let Some(created) = self.post(token, "/v1/conversations", &json!({ "title": name })).await else { break };
            let id = created["id"].as_str().expect("an id").to_owned();
            confirmed.conversations.push(id.clone());
            if self.post(token, "/v1/memories", &json!({ "content": name })).await.is_none() {
                break;
            }
            confirmed.memories += 1;
            let question = json!({ "message": "What is the torque of the tie bolts?", "stream": false });
            let Some(answer) = self.post(token, &format!("/v1/conversations/{id}/chat"), &question).await else {
                break;
            };
            confirmed.answers.push(answer["message_id"].as_str().expect("an id").to_owned());
            self.answer_count.fetch_add(1, Ordering::Relaxed);
        }
        confirmed
    }

    async fn post(&self, token: &str, path: &str, body: &Value) -> Option<Value> {
        let request = self.http.request(Method::POST, format!("{}{path}", self.base_url)).bearer_auth(token).json(body);
        let answer = request.send().await.ok()?;
        let status = answer.status();
        assert!(status.is_success() || status == 503, "{path}: {status}");
        if status.is_success() { answer.json().await.ok() } else { None }
    }
}

/// The running server, which is killed at the end of the test.
struct Server(Child);

impl Server {
    /// Sends SIGKILL and waits until the process is gone.
    fn kill(&mut self) {
        self.0.kill().expect("kill -9");
        self.0.wait().expect("the process is gone");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[derive(Default)]
struct ConfirmedData {
    conversations: Vec<String>,
    memories: i64,
    answers: Vec<String>,
}

#[expect(clippy::disallowed_methods, reason = "cargo xtask test passes settings to the tests as variables")]
fn model_dir() -> String {
    std::env::var("PLATFORM_TEST_MODEL_DIR").expect("run the tests with `cargo xtask test`")
}

/// Time from the first answer of a round until the kill: differs between rounds, but not between runs.
fn kill_delay(round: u64) -> Duration {
    Duration::from_millis(300 + (round * 7_919) % 900)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_leaves_no_operation_open_and_loses_no_confirmed_data() {
    let deployment = Deployment::new().await;
    let development = DevelopmentPlatform::open(deployment.settings.clone()).await.expect("the platform opens");
    let ttl = Duration::from_secs(3_600);
    let token = development.token("plant-a", &TokenSubject::new("uma", Role::User), ttl).await.expect("a token");
    development.into_platform().close().await;
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let mut server = deployment.start().await;
        let answer_count = deployment.answer_count.load(Ordering::Relaxed);
        let (confirmed, ()) = tokio::join!(
            join_all((0..CLIENTS).map(|client| deployment.send_requests_until_killed(&token, client))),
            async {
                // Waits for an answer, so that each kill could lose one even on a slow machine.
                eventually_within(START_TIMEOUT, "an answer", || async {
                    (deployment.answer_count.load(Ordering::Relaxed) > answer_count).then_some(())
                })
                .await;
                tokio::time::sleep(kill_delay(round)).await;
                server.kill();
            }
        );
        all.extend(confirmed);
    }
    let mut server = deployment.start().await;
    let mut connection = PgConnection::connect(&deployment.db.superuser_url()).await.expect("the database");
    wait_until_all_closed(&mut connection).await;
    assert_confirmed_rows_exist(&mut connection, &all).await;
    assert_one_outcome_per_intent(&mut connection).await;
    server.kill();
    let command = AuditCommand::Verify { export: None, checkpoints: None, public_key: Vec::new() };
    audit::run(command, &deployment.settings).await.expect("the audit log is intact");
}

async fn count(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.expect("a query of the tests")
}

/// Waits until the restarted server has closed the operations that the killed ones left open.
async fn wait_until_all_closed(connection: &mut PgConnection) {
    let connection = tokio::sync::Mutex::new(connection);
    eventually_within(RECOVERY_TIMEOUT, "the operations of dead processes are closed", || async {
        (count(&mut **connection.lock().await, "SELECT count(*) FROM audit_open").await == 0).then_some(())
    })
    .await;
}

async fn assert_confirmed_rows_exist(connection: &mut PgConnection, all: &[ConfirmedData]) {
    let conversations: Vec<&String> = all.iter().flat_map(|done| &done.conversations).collect();
    let answers: Vec<&String> = all.iter().flat_map(|done| &done.answers).collect();
    assert!(conversations.len() > 10 && !answers.is_empty(), "too few: {} and {}", conversations.len(), answers.len());
    for id in conversations {
        let found: i64 = sqlx::query_scalar("SELECT count(*) FROM conversations WHERE id = $1::uuid")
            .bind(id)
            .fetch_one(&mut *connection)
            .await
            .expect("a query");
        assert_eq!(found, 1, "conversation {id}");
    }
    for id in answers {
        let found: i64 =
            sqlx::query_scalar("SELECT count(*) FROM messages WHERE id = $1::uuid AND status = 'complete'")
                .bind(id)
                .fetch_one(&mut *connection)
                .await
                .expect("a query");
        assert_eq!(found, 1, "answer {id}");
    }
    let memories: i64 = all.iter().map(|done| done.memories).sum();
    assert!(count(connection, "SELECT count(*) FROM memories").await >= memories);
}

async fn assert_one_outcome_per_intent(connection: &mut PgConnection) {
    let unpaired_operations = "SELECT count(*) FROM (
        SELECT tenant_id, correlation_id FROM audit_logs WHERE phase <> 'event' GROUP BY 1, 2
        HAVING count(*) FILTER (WHERE phase = 'intent') <> 1 OR count(*) FILTER (WHERE phase = 'outcome') <> 1) AS odd";
    assert_eq!(
        count(connection, unpaired_operations).await,
        0,
        "operations without exactly one intent and one outcome"
    );
    let without_intent = "SELECT count(*) FROM conversations c WHERE NOT EXISTS (
        SELECT FROM audit_logs l WHERE l.tenant_id = c.tenant_id AND l.event_type = 'conversation.create'
                                   AND l.phase = 'intent' AND l.created_at <= c.created_at)";
    assert_eq!(count(connection, without_intent).await, 0, "conversations without an earlier intent");
    let unaccounted = "SELECT (SELECT count(*) FROM conversations)
        - (SELECT count(*) FROM audit_logs WHERE event_type = 'conversation.create' AND phase = 'outcome'
                                             AND result_status = 'success')
        - (SELECT count(*) FROM audit_logs WHERE event_type = 'conversation.create' AND phase = 'outcome'
                                             AND result_status = 'unknown')";
    let difference = count(connection, unaccounted).await;
    assert!(difference <= 0, "{difference} conversations that no outcome accounts for");
    let unknown = "SELECT count(*) FROM audit_logs WHERE phase = 'outcome' AND result_status = 'unknown'";
    assert!(count(connection, unknown).await > 0, "the kills interrupted operations");
}
