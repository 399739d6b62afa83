//! Requests to PI Web API. All are GET requests; the only POST carries a batch of them.

use crate::config::Common;
use crate::endpoint::{self, Endpoint, require_insecure_allowed};
use crate::failure;
use crate::tls::PinnedTls;
use domain::plant::{ConnectorCredential, ConnectorError, ConnectorSettings};
use futures::StreamExt as _;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;
use url::Url;

const HTTPS_PORT: u16 = 443;
/// Path of PI Web API if the endpoint names none.
const DEFAULT_PATH: &str = "/piwebapi/";
/// Maximum size of a response, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Header without which PI Web API refuses a POST, as a defence against cross-site request forgery.
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// One request of a batch. There is no other method.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SubRequest {
    method: &'static str,
    resource: String,
}

/// A client of one server.
pub struct PiClient {
    http: Client,
    base: Url,
    credential: Option<ConnectorCredential>,
    tls: Option<PinnedTls>,
    timeout: Duration,
}

/// The response to a request for a resource that may not exist.
pub enum Found<T> {
    /// The resource that was found.
    Yes(T),
    /// The server does not have it, or does not support the request.
    No(StatusCode),
}

/// Resolves names to addresses that may be connected to.
struct CheckedResolver;

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The client sets the port.
            let addresses = endpoint::resolve(name.as_str(), 0).await?;
            Ok::<Addrs, Box<dyn Error + Send + Sync>>(Box::new(addresses.into_iter()))
        })
    }
}

impl PiClient {
    pub fn new(settings: &ConnectorSettings, common: &Common) -> Result<Self, ConnectorError> {
        let endpoint = Endpoint::parse(&settings.endpoint, &["https", "http"], HTTPS_PORT)?;
        let tls = if endpoint.url.scheme() == "https" {
            Some(PinnedTls::new(&common.trust)?)
        } else {
            require_insecure_allowed(&endpoint, common.insecure_allowed, "plain http is not encrypted: use https")?;
            None
        };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(REQUESTED_WITH, HeaderValue::from_static("XMLHttpRequest"));
        let builder = Client::builder()
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(CheckedResolver)
            .https_only(tls.is_some())
            .connect_timeout(common.timeout);
        let builder = match &tls {
            Some(tls) => builder.tls_backend_preconfigured(tls.config.clone()),
            None => builder,
        };
        let http = builder.build().map_err(|_| failure::configuration("the HTTP client cannot be set up"))?;
        let mut base = endpoint.url;
        if base.path() == "/" {
            base.set_path(DEFAULT_PATH);
        } else if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self { http, base, credential: settings.credential.clone(), tls, timeout: common.timeout })
    }

    /// The URL of a resource below the server's own.
    pub fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, ConnectorError> {
        let mut url = self.base.join(path).map_err(|_| failure::configuration("the endpoint cannot be extended"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    pub async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<Found<T>, ConnectorError> {
        self.send(self.http.request(Method::GET, url).timeout(self.timeout)).await
    }

    /// Like [`Self::get`], for a response that may take long; the caller bounds the time.
    pub async fn get_unbounded<T: DeserializeOwned>(&self, url: Url) -> Result<Found<T>, ConnectorError> {
        self.send(self.http.request(Method::GET, url)).await
    }

    /// Gets several resources at once. The responses are keyed by the index of their URL.
    pub async fn get_all(&self, urls: Vec<Url>) -> Result<Found<BTreeMap<String, Value>>, ConnectorError> {
        let batch: BTreeMap<String, SubRequest> = urls
            .into_iter()
            .enumerate()
            .map(|(index, url)| (index.to_string(), SubRequest { method: "GET", resource: url.into() }))
            .collect();
        self.send(self.http.request(Method::POST, self.url("batch", &[])?).timeout(self.timeout).json(&batch)).await
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<Found<T>, ConnectorError> {
        let request = match &self.credential {
            Some(ConnectorCredential::Password { username, password }) => request.basic_auth(username, Some(password)),
            Some(ConnectorCredential::Token { token }) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.failure(&error))?;
        let status = response.status();
        match status {
            StatusCode::UNAUTHORIZED => {
                return Err(failure::access_denied("user name, password or token is wrong (401)"));
            }
            StatusCode::FORBIDDEN => return Err(failure::access_denied("the account may not read this (403)")),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                return Ok(Found::No(status));
            }
            _ if status.is_redirection() => {
                return Err(failure::invalid_response("it redirects elsewhere; set the endpoint to where it leads"));
            }
            _ if status.is_server_error() => {
                return Err(failure::unreachable(format!("the server answers {}", status.as_u16())));
            }
            _ if !status.is_success() => {
                return Err(failure::invalid_response(format!("the server answers {}", status.as_u16())));
            }
            _ => (),
        }
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(part) = stream.next().await {
            body.extend_from_slice(&part.map_err(|error| self.failure(&error))?);
            if body.len() > MAX_ANSWER {
                return Err(failure::invalid_response(format!("the answer is larger than {MAX_ANSWER} bytes")));
            }
        }
        serde_json::from_slice(&body)
            .map(Found::Yes)
            .map_err(|_| failure::invalid_response("it is not JSON of PI Web API; is the endpoint …/piwebapi?"))
    }

    fn failure(&self, error: &reqwest::Error) -> ConnectorError {
        if let Some(untrusted) = self.tls.as_ref().and_then(PinnedTls::take_refusal) {
            return untrusted;
        }
        if error.is_timeout() {
            return failure::timed_out(self.timeout);
        }
        if let Some(refused) = failure::find::<ConnectorError>(error) {
            return refused.clone();
        }
        match failure::find_io(error) {
            Some(error) => failure::io(error),
            None if error.is_connect() => failure::unreachable("no connection"),
            None => failure::unreachable("the connection broke"),
        }
    }
}
