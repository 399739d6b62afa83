//! The deployment without containers that `cargo xtask stack` starts: its processes are killed in turn under load, the
//! API processes are restarted one after the other, and a backup is restored. `cargo xtask stack-test` runs this test.

use fakes::eventually_within;
use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Time for the stack to start, in debug builds on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(240);
/// Time within which a killed process must run again.
const RESTART_TIMEOUT: Duration = Duration::from_secs(10);
/// Time within which the deployment must serve again.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const CLIENTS: usize = 4;

/// A running stack. Dropping it stops all processes.
struct Stack {
    data_dir: PathBuf,
    process: Child,
    http: Client,
    url: String,
}

impl Stack {
    async fn start(data_dir: &Path, extra: &[&str]) -> Self {
        platform_server::install_crypto_provider();
        std::fs::create_dir_all(data_dir).expect("a directory");
        let log = std::fs::File::create(data_dir.with_extension("log")).expect("a log");
        let process = xtask(data_dir, &["stack", "--dev", "--port", "0"])
            .args(extra)
            .env("PLATFORM__RATE_LIMIT__ENABLED", "false")
            .stdout(Stdio::from(log.try_clone().expect("the log")))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("xtask starts");
        let report_path = data_dir.join("stack.json");
        let expectation = format!("the stack starts; its output is in {}", data_dir.with_extension("log").display());
        let report = eventually_within(START_TIMEOUT, &expectation, || async { read_json(&report_path) }).await;
        let ca_certificate = std::fs::read(report["ca_file"].as_str().expect("a path")).expect("the CA certificate");
        let http = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(0)
            .add_root_certificate(Certificate::from_pem(&ca_certificate).expect("a certificate"))
            .build()
            .expect("a client");
        let url = report["url"].as_str().expect("an address").to_owned();
        let stack = Self { data_dir: data_dir.to_path_buf(), process, http, url };
        stack.wait_until_ready().await;
        stack
    }

    fn report(&self) -> Value {
        read_json(&self.data_dir.join("stack.json")).expect("stack.json")
    }

    fn pid(&self, name: &str) -> u64 {
        self.report()["processes"][name].as_u64().unwrap_or_else(|| panic!("no process {name}"))
    }

    async fn wait_until_ready(&self) {
        eventually_within(READY_TIMEOUT, "the stack serves", || async {
            let answer = self.http.get(format!("{}/ready", self.url)).send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Sends a signal to a process and waits until its replacement runs and the stack is ready.
    async fn signal(&self, name: &str, signal: &str, within: Duration) {
        let pid = self.pid(name);
        let killed = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill starts");
        assert!(killed.success(), "{name} runs");
        eventually_within(within, &format!("{name} runs again"), || async {
            (self.report()["processes"][name].as_u64().is_some_and(|now| now != pid)).then_some(())
        })
        .await;
        if let Some(port) = api_port(self.pid(name)) {
            // Asks the process directly, because nginx would forward the request to the other one.
            let url = format!("http://127.0.0.1:{port}/ready");
            eventually_within(READY_TIMEOUT, &format!("{name} serves"), || async {
                self.http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
            })
            .await;
            // nginx skips a process for two seconds after a failure.
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        self.wait_until_ready().await;
    }

    fn token(&self) -> String {
        let arguments = ["token", "--tenant", "acme", "--user", "eva", "--role", "user", "--ttl", "4h"];
        let output = xtask(&self.data_dir, &arguments).output().expect("xtask starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// Runs a command of the server with the stack's settings.
    fn server(&self, arguments: &[&str]) {
        let mut command = Command::new(xtask_program());
        command.arg("server").arg("--data-dir").arg(&self.data_dir).arg("--").args(arguments);
        let output = command.output().expect("xtask starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}");
    }

    async fn get(&self, token: &str, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url)).bearer_auth(token).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }

    /// The contents of all memories, sorted.
    async fn memories(&self, token: &str) -> Vec<String> {
        let mut contents = Vec::new();
        let mut path = "/v1/memories?limit=100".to_owned();
        loop {
            let page = self.get(token, &path).await;
            let items = page["data"].as_array().expect("a list");
            contents.extend(items.iter().filter_map(|item| item["content"].as_str()).map(str::to_owned));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/memories?limit=100&cursor={cursor}");
        }
        contents.sort();
        contents
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _asked = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        let _ended = self.process.wait();
    }
}

/// Port of an API process, from its environment; `None` for other processes.
fn api_port(pid: u64) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let environment = String::from_utf8(environment).ok()?;
    let port = environment.split('\0').find_map(|variable| variable.strip_prefix("PLATFORM__SERVER__PORT="))?;
    Some(port.to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the tests' programs come from whoever starts them")]
fn xtask_program() -> String {
    std::env::var("PLATFORM_TEST_XTASK").expect("PLATFORM_TEST_XTASK: run `cargo xtask stack-test`")
}

/// A directory that the database's user can access. xtask deletes it if the test passes.
#[expect(clippy::disallowed_methods, reason = "the tests' directory comes from whoever starts them")]
fn test_dir() -> PathBuf {
    std::env::var("PLATFORM_TEST_STACK_DIR").expect("PLATFORM_TEST_STACK_DIR: run `cargo xtask stack-test`").into()
}

fn xtask(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(xtask_program());
    command.args(arguments).arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    command
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Clients that create memories until they are stopped. They repeat each request with its idempotency key until it is
/// acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    /// Requests that were not answered 2xx at the first attempt.
    failed: Arc<AtomicUsize>,
    acknowledged: Arc<std::sync::Mutex<Vec<String>>>,
    clients: TaskTracker,
}

impl Load {
    fn start(stack: &Stack, token: &str, name: &'static str) -> Self {
        let load = Self {
            stop: Arc::default(),
            failed: Arc::default(),
            acknowledged: Arc::default(),
            clients: TaskTracker::new(),
        };
        for client in 0..CLIENTS {
            let (stop, failed, acknowledged) =
                (Arc::clone(&load.stop), Arc::clone(&load.failed), Arc::clone(&load.acknowledged));
            let request = stack.http.request(Method::POST, format!("{}/v1/memories", stack.url)).bearer_auth(token);
            load.clients.spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let content = format!("{name} {client} {number}");
                    let request = request.try_clone().expect("no stream").header("idempotency-key", &content);
                    let request = request.json(&json!({ "content": content }));
                    let outcome = loop {
                        match send(request.try_clone().expect("no stream")).await {
                            Attempt::Failed => failed.fetch_add(1, Ordering::SeqCst),
                            ended => break ended,
                        };
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    };
                    if outcome == Attempt::Created {
                        acknowledged.lock().expect("no panic").push(content);
                    }
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            });
        }
        load
    }

    /// Stops the clients; returns the acknowledged contents and the number of failed attempts.
    async fn finish(self) -> (Vec<String>, usize) {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.close();
        let stopped = tokio::time::timeout(Duration::from_secs(90), self.clients.wait()).await;
        assert!(stopped.is_ok(), "a write was never acknowledged");
        let acknowledged = self.acknowledged.lock().expect("no panic").clone();
        (acknowledged, self.failed.load(Ordering::SeqCst))
    }
}

/// How an attempt to write ended.
#[derive(PartialEq, Eq)]
enum Attempt {
    Created,
    /// The process died during an earlier attempt, which may or may not have had its effect.
    Unknown,
    Failed,
}

async fn send(request: reqwest::RequestBuilder) -> Attempt {
    match request.send().await.map(|answer| answer.status().as_u16()) {
        Ok(201) => Attempt::Created,
        Ok(409) => Attempt::Unknown,
        _ => Attempt::Failed,
    }
}

/// Waits until Prometheus has some of the metrics, then asserts that it accepts the queries of all panels.
async fn assert_dashboard_queries_are_valid(stack: &Stack) {
    let prometheus = stack.report()["prometheus_url"].as_str().expect("an address").to_owned();
    let http = Client::builder().no_proxy().build().expect("a client");
    let query = |expression: String| {
        let (http, url) = (http.clone(), format!("{prometheus}/api/v1/query"));
        async move {
            let query: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let request = http.post(url).header("content-type", "application/x-www-form-urlencoded");
            let answer = request.body(format!("query={query}")).send().await.expect("an answer");
            answer.json::<Value>().await.expect("JSON")
        }
    };
    for metric in ["up", "http_request_duration_seconds_count", "jobs", "pg_up", "audit_keeping_failed"] {
        eventually_within(Duration::from_secs(60), &format!("Prometheus has {metric}"), || async {
            let result = query(metric.to_owned()).await;
            result["data"]["result"].as_array().is_some_and(|series| !series.is_empty()).then_some(())
        })
        .await;
    }
    let dashboards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana/dashboards");
    let mut query_count = 0;
    for entry in std::fs::read_dir(dashboards).expect("dashboards") {
        let dashboard = read_json(&entry.expect("a file").path()).expect("JSON");
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                let result = query(target["expr"].as_str().expect("a query").to_owned()).await;
                assert_eq!(result["status"], "success", "{}: {result}", panel["title"]);
                query_count += 1;
            }
        }
    }
    assert!(query_count > 30, "only {query_count} queries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx and others: cargo xtask stack-test"]
async fn no_acknowledged_write_is_lost_and_a_backup_restores_the_platform() {
    let dir = test_dir();
    let stack = Stack::start(&dir.join("first"), &[]).await;
    let token = stack.token();

    let load = Load::start(&stack, &token, "killed");
    for name in ["api-1", "worker", "plant", "redis", "postgres", "api-2", "nginx"] {
        stack.signal(name, "-KILL", RESTART_TIMEOUT).await;
    }
    let (mut expected, _failed) = load.finish().await;
    assert!(expected.len() > 2 * CLIENTS, "only {} writes", expected.len());

    let load = Load::start(&stack, &token, "rolling");
    for name in ["api-1", "api-2"] {
        stack.signal(name, "-TERM", Duration::from_secs(60)).await;
    }
    let (acknowledged, failed) = load.finish().await;
    assert_eq!(failed, 0, "no request may fail during a rolling restart");
    expected.extend(acknowledged);
    let stored = stack.memories(&token).await;
    let lost: Vec<_> = expected.iter().filter(|content| !stored.contains(content)).collect();
    assert!(lost.is_empty(), "acknowledged but lost: {lost:?}");
    assert_dashboard_queries_are_valid(&stack).await;
    stack.server(&["audit", "verify"]);

    let backup = dir.join("backup");
    stack.server(&["backup", "--to", backup.to_str().expect("UTF-8")]);
    let mode = std::os::unix::fs::PermissionsExt::mode(&backup.metadata().expect("a backup").permissions());
    assert_eq!(mode & 0o777, 0o600);
    drop(stack);
    let arguments = ["--restore", backup.to_str().expect("UTF-8")];
    let restored = Stack::start(&dir.join("second"), &arguments).await;
    assert_eq!(restored.memories(&token).await, stored, "the old token works, and all memories are restored");
    restored.server(&["audit", "verify"]);
}
