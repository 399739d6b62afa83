//! What the platform adds to a model call: its CPU time per request and per streamed token at the OpenAI-compatible
//! surface, beside a bare proxy that passes bytes through, in one run. `cargo xtask bench pass_through`.
//!
//! The upstream, the proxy and the platform are processes of their own, so that each one's CPU time is its own; Linux
//! alone says it (`/proc/PID/stat`). PostgreSQL's time is not in it.

use anyhow::{Context as _, Result, bail};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use data::testing::TestDb;
use domain::role::Role;
use futures::StreamExt as _;
use platform_server::config::{Environment, ServiceType, Settings};
use platform_server::dev::DevelopmentPlatform;
use platform_server::dev::issuer::{DevelopmentIssuer, Person};
use platform_server::serve;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The message of every request.
const QUESTION: &str = "Which valve is closed before the seal of pump P-101A is changed?";
const CLIENTS: usize = 8;
const REQUESTS: usize = 800;
const ROUNDS: usize = 5;
/// Tokens of a long answer; a short one has one.
const LONG: usize = 257;
/// Clock ticks a second, of every Linux that there is.
const TICKS: f64 = 100.0;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => runtime.block_on(measure()),
        ["upstream", port] => runtime.block_on(listen(port, upstream())),
        ["proxy", port, upstream] => runtime.block_on(listen(port, proxy(upstream))),
        ["platform"] => {
            let settings = Settings::load(None, &Environment::of_process())?;
            runtime.block_on(serve::run(settings, ServiceType::Api, CancellationToken::new()))
        }
        other => bail!("no such part: {other:?}"),
    }
}

async fn listen(port: &str, app: Router) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    Ok(axum::serve(listener, app).await?)
}

/// A model server that says as many tokens as the request's limit is.
fn upstream() -> Router {
    Router::new().route("/v1/chat/completions", post(complete)).route("/health", axum::routing::get(|| async {}))
}

async fn complete(Json(request): Json<Value>) -> Response {
    let tokens = request["max_tokens"].as_u64().unwrap_or(1) as usize;
    if request["stream"] != true {
        let message = json!({ "role": "assistant", "content": "word ".repeat(tokens) });
        return Json(json!({ "id": "c", "object": "chat.completion", "model": "m", "choices": [{
            "index": 0, "message": message, "finish_reason": "stop" }] }))
        .into_response();
    }
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        format!(
            "data: {}\n\n",
            json!({ "id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice] })
        )
    };
    let word = chunk(json!({ "content": "word " }), Value::Null);
    let usage = json!({ "id": "c", "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": tokens } });
    let end = [chunk(json!({}), json!("stop")), format!("data: {usage}\n\n"), "data: [DONE]\n\n".to_owned()];
    let lines = futures::stream::iter(vec![word; tokens].into_iter().chain(end)).then(|line| async move {
        // Each its own frame, as from a model.
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Bytes::from(line))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(lines)).into_response()
}

/// Passes the request on and the answer back, and looks at neither.
fn proxy(upstream: &str) -> Router {
    #[derive(Clone)]
    struct Onward(reqwest::Client, String);
    async fn pass(State(Onward(client, url)): State<Onward>, body: Bytes) -> Response {
        match client.post(url).header(CONTENT_TYPE, "application/json").body(body).send().await {
            Ok(answer) => {
                let kind = answer.headers().get(CONTENT_TYPE).cloned();
                let mut response = Body::from_stream(answer.bytes_stream()).into_response();
                if let Some(kind) = kind {
                    response.headers_mut().insert(CONTENT_TYPE, kind);
                }
                response
            }
            Err(_) => axum::http::StatusCode::BAD_GATEWAY.into_response(),
        }
    }
    platform_server::install_tls();
    let client = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
    let onward = Onward(client, format!("{upstream}/v1/chat/completions"));
    Router::new().route("/openai/v1/chat/completions", post(pass)).with_state(onward)
}

/// A process of this program; it ends when it is dropped.
struct Part {
    process: Child,
    url: String,
}

impl Part {
    fn start(words: &[&str], variables: &[(&str, &str)], port: u16) -> Result<Self> {
        let process = Command::new(std::env::current_exe()?)
            .args(words)
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process, url: format!("http://127.0.0.1:{port}") })
    }

    /// Seconds of CPU time so far.
    fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let after_name = stat.rsplit_once(')').context("no name in the process' state")?.1;
        let field = |at: usize| after_name.split_whitespace().nth(at).and_then(|ticks| ticks.parse::<f64>().ok());
        let (user, system) = (field(11).context("no user time")?, field(12).context("no system time")?);
        Ok((user + system) / TICKS)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

async fn measure() -> Result<()> {
    platform_server::install_tls();
    let db = TestDb::create().await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let dir = tempfile::tempdir()?;
    let upstream_port = free_port()?;
    let upstream = Part::start(&["upstream", &upstream_port.to_string()], &[], upstream_port)?;
    let proxy_port = free_port()?;
    let proxy = Part::start(&["proxy", &proxy_port.to_string(), &upstream.url], &[], proxy_port)?;
    let (platform, token) = platform(&db, dir.path(), &upstream.url).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    for part in [&proxy, &platform] {
        wait_until_ready(&client, part, &token).await?;
    }
    let mut figures = Vec::new();
    for (what, stream, tokens) in [("json", false, 16), ("stream_1", true, 1), ("stream_257", true, LONG)] {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        // In turn, so that a busy machine is as busy for both.
        for _ in 0..ROUNDS {
            bare.push(load(&client, &proxy, &token, Shape { stream, tokens }).await?);
            ours.push(load(&client, &platform, &token, Shape { stream, tokens }).await?);
        }
        figures.push((what, median(bare), median(ours)));
    }
    report(&figures)
}

fn report(figures: &[(&str, f64, f64)]) -> Result<()> {
    let round = |x: f64| (x * 1000.0).round() / 1000.0;
    let mut out = std::io::stdout().lock();
    for (what, bare, ours) in figures {
        let line = json!({ "case": what, "proxy_cpu_ms": round(bare * 1e3), "platform_cpu_ms": round(ours * 1e3),
            "ratio": round(ours / bare) });
        writeln!(out, "{line}")?;
    }
    let per_token = |of: fn(&(&str, f64, f64)) -> f64| (of(&figures[2]) - of(&figures[1])) / (LONG - 1) as f64;
    let (bare, ours) = (per_token(|figure| figure.1), per_token(|figure| figure.2));
    let line = json!({ "case": "per streamed token", "proxy_cpu_us": round(bare * 1e6),
        "platform_cpu_us": round(ours * 1e6), "ratio": round(ours / bare) });
    Ok(writeln!(out, "{line}")?)
}

async fn platform(db: &TestDb, dir: &Path, upstream: &str) -> Result<(Part, String)> {
    let (issuer, storage) = (dir.join("dev-issuer"), dir.join("blobs"));
    let (app, worker, auditor) = (db.app_url(), db.worker_url(), db.auditor_url());
    let (port, path) = (free_port()?, |path: &Path| path.to_string_lossy().into_owned());
    let (number, issuer_dir, storage_dir) = (port.to_string(), path(&issuer), path(&storage));
    let model = model_dir();
    let variables = [
        ("DATABASE_URL", app.as_str()),
        ("DATABASE_WORKER_URL", &worker),
        ("DATABASE_AUDIT_URL", &auditor),
        ("SECRET_KEY", "a secret of the benchmark"),
        ("PLATFORM__MODE", "development"),
        ("PLATFORM__SERVER__PORT", &number),
        ("PLATFORM__SERVER__METRICS_PORT", "0"),
        ("PLATFORM__STORAGE__DIR", &storage_dir),
        ("PLATFORM__AUTH__DEV_ISSUER_DIR", &issuer_dir),
        ("PLATFORM__MODELS__EMBEDDED_DIR", &model),
        ("PLATFORM__MODELS__EMBED_SOURCE", "embedded"),
        ("PLATFORM__RATE_LIMIT__ENABLED", "false"),
        ("LITELLM_BASE_URL", upstream),
        ("LOG_LEVEL", "warn"),
    ];
    let settings = Settings::load(None, &Environment::of(&variables))?;
    let issuer = DevelopmentIssuer::load_or_create(&issuer)?;
    let (ttl, person) = (Duration::from_secs(3_600), Person::named("uma", Role::User));
    let desk = DevelopmentPlatform::open(settings).await?;
    desk.token("plant", &Person::named("founder", Role::Admin), ttl).await?;
    let now = domain::ports::Clock::now(&platform_server::system::SystemClock);
    let token = issuer.token("plant", &person, now, ttl)?;
    Ok((Part::start(&["platform"], &variables, port)?, token))
}

#[expect(clippy::disallowed_methods, reason = "where the embedded model is comes from whoever starts the benchmark")]
fn model_dir() -> String {
    std::env::var("PLATFORM_TEST_MODEL_DIR").unwrap_or_default()
}

/// Form and length of an answer.
#[derive(Clone, Copy)]
struct Shape {
    stream: bool,
    tokens: usize,
}

async fn wait_until_ready(client: &reqwest::Client, part: &Part, token: &str) -> Result<()> {
    for _ in 0..300 {
        if ask(client, part, token, Shape { stream: true, tokens: 1 }).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("{} does not respond", part.url)
}

/// CPU seconds of the part for each of many requests, by several clients at once.
async fn load(client: &reqwest::Client, part: &Part, token: &str, shape: Shape) -> Result<f64> {
    let before = part.cpu()?;
    let one = || async {
        for _ in 0..REQUESTS / CLIENTS {
            ask(client, part, token, shape).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    futures::future::try_join_all((0..CLIENTS).map(|_| one())).await?;
    Ok((part.cpu()? - before) / REQUESTS as f64)
}

async fn ask(client: &reqwest::Client, part: &Part, token: &str, shape: Shape) -> Result<()> {
    let body = json!({ "model": "fast-direct", "stream": shape.stream, "max_tokens": shape.tokens,
        "messages": [{ "role": "user", "content": QUESTION }] });
    let request = client.post(format!("{}/openai/v1/chat/completions", part.url)).bearer_auth(token).json(&body);
    let answer = request.send().await?.error_for_status()?;
    let text = answer.text().await?;
    if text.matches("word ").count() < shape.tokens {
        bail!("an answer of {} bytes instead of {} words", text.len(), shape.tokens);
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
