//! The web console: its pages and static files, with three small files instead of the built ones.

use crate::support::{Reply, gate_for, get, send, settings, with_header};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use domain::role::Role;
use fakes::SequentialIds;
use gateway::console::{ConsoleClient, ConsoleFile, ConsoleFiles, ConsolePorts, ConsoleSettings};
use gateway::{AlwaysReady, GatewaySettings, InProcessLimiter, Ports};
use std::borrow::Cow;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// The page, a script and an icon.
struct TestFiles;

impl ConsoleFiles for TestFiles {
    fn file(&self, path: &str) -> Option<ConsoleFile> {
        let content = match path {
            "index.html" => "<meta content=\"__CONSOLE_SETTINGS__\"><style nonce=\"__CSP_NONCE__\"></style>",
            "assets/app-1f.js" => "console.log('a script')",
            "icon.svg" => "<svg/>",
            _ => return None,
        };
        let borrowed = Cow::Borrowed(content.as_bytes());
        let compressed = |bytes: &'static [u8]| path.ends_with(".js").then_some(Cow::Borrowed(bytes));
        Some(ConsoleFile {
            content: borrowed,
            brotli: compressed(b"brotli"),
            gzip: compressed(b"gzip"),
            etag: "abc".to_owned(),
        })
    }
}

fn router(files: Option<Arc<dyn ConsoleFiles>>, settings: GatewaySettings) -> Router {
    let ports = Ports {
        ids: Arc::new(SequentialIds::default()),
        readiness: Arc::new(AlwaysReady),
        limiter: Arc::new(InProcessLimiter::default()),
        metrics: None,
        tasks: TaskTracker::new(),
        console: ConsolePorts { files, development: None },
    };
    gateway::router(Arc::new(gate_for(Role::User)), ports, settings)
}

fn router_with_console() -> Router {
    router(Some(Arc::new(TestFiles)), settings())
}

fn get_script_accepting(encodings: &str) -> Request<Body> {
    with_header(get("/ui/assets/app-1f.js"), "accept-encoding", encodings)
}

async fn fetch(path: &str) -> Reply {
    send(&router_with_console(), get(path)).await
}

#[tokio::test]
async fn the_root_redirects_to_the_console() {
    for path in ["/", "/ui"] {
        let reply = fetch(path).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (307, Some("/ui/")), "{path}");
    }
}

#[tokio::test]
async fn every_page_has_a_new_nonce_and_is_not_cached() {
    let router = router_with_console();
    let mut nonces = Vec::new();
    for path in ["/ui/", "/ui/documents/1?page=2", "/ui/index.html"] {
        let reply = send(&router, get(path)).await;
        assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (200, Some("no-store")), "{path}");
        let nonce = reply.text.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a nonce");
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.contains(&format!("'nonce-{nonce}'")) && policy.contains("object-src 'none'"), "{policy}");
        nonces.push(nonce.to_owned());
    }
    nonces.dedup();
    assert_eq!(nonces.len(), 3);
}

#[tokio::test]
async fn the_page_contains_the_sign_in_settings_and_the_resources_of_the_server() {
    let client = ConsoleClient {
        issuer: "https://login.example/plant".to_owned(),
        client_id: "console".to_owned(),
        scope: "openid".to_owned(),
    };
    let settings = GatewaySettings { console: ConsoleSettings { sign_in: Some(client) }, ..settings() };
    let reply = send(&router(Some(Arc::new(TestFiles)), settings), get("/ui/")).await;
    let text = reply.text.replace("&quot;", "\"");
    assert!(text.contains(r#""client_id":"console""#) && text.contains(r#""development":false"#), "{text}");
    assert!(text.contains(r#""admin/users""#), "{text}");
    assert!(reply.header("content-security-policy").is_some_and(|policy| policy.contains(" https://login.example;")));
}

#[tokio::test]
async fn hashed_files_are_immutable_and_missing_files_are_not_found() {
    let asset = fetch("/ui/assets/app-1f.js").await;
    assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(asset.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(fetch("/ui/icon.svg").await.header("cache-control"), Some("public, max-age=86400"));
    for path in ["/ui/assets/none.js", "/ui/pdfjs/none.bcmap"] {
        assert_eq!(fetch(path).await.problem().0, 404, "{path}");
    }
    let conditional = with_header(get("/ui/assets/app-1f.js"), "if-none-match", "W/\"abc\"");
    assert_eq!(send(&router_with_console(), conditional).await.status.as_u16(), 304);
}

#[tokio::test]
async fn a_file_is_sent_in_an_encoding_that_the_browser_accepts() {
    for (accepted, encoding, body) in [
        ("gzip, deflate, br", Some("br"), "brotli"),
        ("gzip, br;q=0", Some("gzip"), "gzip"),
        ("identity", None, "console.log('a script')"),
    ] {
        let reply = send(&router_with_console(), get_script_accepting(accepted)).await;
        assert_eq!((reply.header("content-encoding"), reply.text.as_str()), (encoding, body), "{accepted}");
        assert_eq!(reply.header("vary"), Some("accept-encoding"));
    }
}

#[tokio::test]
async fn console_and_development_routes_are_not_found_if_disabled() {
    let router = router(None, settings());
    for path in ["/ui/", "/ui/assets/app-1f.js", "/v1/development/users"] {
        assert_eq!(send(&router, get(path)).await.problem().0, 404, "{path}");
    }
}
