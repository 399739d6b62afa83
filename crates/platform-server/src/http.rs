//! A small HTTP client for commands that call a running server: `healthcheck` and `dev ask`.

use crate::config::Settings;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::net::IpAddr;
use std::time::Duration;

/// URL at which a server with these settings is reachable from this machine.
#[must_use]
pub fn base_url(settings: &Settings) -> String {
    let host = match settings.server.host {
        IpAddr::V4(address) if address.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(address) if address.is_unspecified() => "[::1]".to_owned(),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    format!("http://{host}:{}", settings.server.port)
}

/// Sends a request with an optional token and JSON body.
///
/// # Errors
/// If the server cannot be reached.
pub async fn send(
    method: Method,
    url: &str,
    token: Option<&str>,
    body: Option<&serde_json::Value>,
) -> Result<Response<Incoming>> {
    let mut request = Request::builder().method(method).uri(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map(ToString::to_string).unwrap_or_default();
    let request = request.body(Full::new(Bytes::from(body))).context("the request cannot be built")?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    client.request(request).await.with_context(|| format!("{url} cannot be reached"))
}

/// The JSON body of a successful response.
///
/// # Errors
/// If the status is not 2xx or the body is not JSON; the message contains the `detail` of a problem response.
pub async fn json_body(response: Response<Incoming>) -> Result<serde_json::Value> {
    let status = response.status();
    let bytes = response.into_body().collect().await.context("the response was interrupted")?.to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&bytes).context("the response is not JSON")?;
    if !status.is_success() {
        let detail = body.get("detail").or_else(|| body.get("title")).and_then(|text| text.as_str()).unwrap_or("");
        bail!("the server responded {status}: {detail}");
    }
    Ok(body)
}

/// Checks that the running server is ready.
///
/// # Errors
/// If it is not ready, or does not respond within five seconds.
pub async fn expect_ready(settings: &Settings) -> Result<()> {
    let url = format!("{}/ready", base_url(settings));
    let response = tokio::time::timeout(Duration::from_secs(5), send(Method::GET, &url, None, None));
    let status = response.await.context("the server does not respond")??.status();
    if status.is_success() { Ok(()) } else { bail!("the server is not ready: {status}") }
}
