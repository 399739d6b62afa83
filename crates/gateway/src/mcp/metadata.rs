//! Describes the endpoint as a protected resource (RFC 9728): its address, and the issuers of its tokens.

use super::endpoint::McpEndpoint;
use super::settings::McpSettings;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{HOST, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;

/// Path of the endpoint.
pub(crate) const PATH: &str = "/mcp";
/// Path of the metadata, to which the endpoint's path is appended.
pub(crate) const WELL_KNOWN_PATH: &str = "/.well-known/oauth-protected-resource";
/// Header in which a reverse proxy states the scheme of its client's connection.
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The data from which the metadata is built.
#[derive(Debug)]
pub(crate) struct ResourceDescription {
    settings: McpSettings,
    behind_proxy: bool,
}

/// The metadata document (RFC 9728, section 2).
#[derive(Serialize)]
pub(crate) struct ResourceMetadata {
    resource: String,
    resource_name: &'static str,
    authorization_servers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    bearer_methods_supported: [&'static str; 1],
}

impl ResourceDescription {
    pub(super) fn new(settings: McpSettings, behind_proxy: bool) -> Self {
        Self { settings, behind_proxy }
    }

    /// Address of the endpoint: the configured one, or the one that the client has used.
    fn resource(&self, headers: &HeaderMap) -> Option<String> {
        if let Some(resource) = &self.settings.resource {
            return Some(resource.clone());
        }
        let host: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
        // A user name in it could make the URL refer to another host.
        if host.as_str().contains('@') {
            return None;
        }
        let forwarded = headers.get(X_FORWARDED_PROTO).filter(|_| self.behind_proxy);
        let scheme = if forwarded.is_some_and(|scheme| scheme == "https") { "https" } else { "http" };
        Some(format!("{scheme}://{host}{PATH}"))
    }

    /// Address of the metadata: the well-known path comes between host and path of the resource.
    fn metadata_url(&self, headers: &HeaderMap) -> Option<String> {
        let resource = self.resource(headers)?;
        let (scheme, rest) = resource.split_once("://")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        Some(format!("{scheme}://{host}{WELL_KNOWN_PATH}/{path}").trim_end_matches('/').to_owned())
    }

    /// The challenge of a 401, with the information that a client needs to sign in.
    fn challenge(&self, headers: &HeaderMap, challenge: &HeaderValue) -> Option<HeaderValue> {
        let challenge = challenge.to_str().ok()?;
        let separator = if challenge.contains(' ') { "," } else { "" };
        let mut challenge = format!("{challenge}{separator} resource_metadata=\"{}\"", self.metadata_url(headers)?);
        if !self.settings.scopes.is_empty() {
            challenge.push_str(&format!(", scope=\"{}\"", self.settings.scopes.join(" ")));
        }
        HeaderValue::try_from(challenge).ok()
    }
}

/// Returns the metadata.
pub(crate) async fn show(
    State(endpoint): State<McpEndpoint>,
    headers: HeaderMap,
) -> Result<Json<ResourceMetadata>, StatusCode> {
    let description = &endpoint.description;
    let McpSettings { authorization_servers, scopes, .. } = description.settings.clone();
    Ok(Json(ResourceMetadata {
        resource: description.resource(&headers).ok_or(StatusCode::BAD_REQUEST)?,
        resource_name: "Plant agent platform",
        authorization_servers,
        scopes_supported: scopes,
        bearer_methods_supported: ["header"],
    }))
}

/// Middleware that names the metadata in each 401 of the endpoint.
pub(crate) async fn name_metadata(State(endpoint): State<McpEndpoint>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let mut response = next.run(request).await;
    if response.status() != StatusCode::UNAUTHORIZED {
        return response;
    }
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let challenge = challenge.and_then(|challenge| endpoint.description.challenge(&headers, challenge));
    if let Some(challenge) = challenge {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(resource: Option<&str>, behind_proxy: bool) -> ResourceDescription {
        let scopes = vec!["https://h.example/mcp/access_as_user".to_owned()];
        let settings = McpSettings { resource: resource.map(str::to_owned), scopes, ..McpSettings::default() };
        ResourceDescription::new(settings, behind_proxy)
    }

    fn headers(host: &'static str, proto: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        if let Some(proto) = proto {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
        }
        headers
    }

    #[test]
    fn a_challenge_names_the_metadata_and_the_scope() {
        let configured = description(Some("https://h.example/mcp"), false);
        let request = headers("127.0.0.1:8000", None);
        let challenge = configured.challenge(&request, &HeaderValue::from_static("Bearer")).expect("a challenge");
        assert_eq!(
            challenge,
            "Bearer resource_metadata=\"https://h.example/.well-known/oauth-protected-resource/mcp\", \
             scope=\"https://h.example/mcp/access_as_user\""
        );
        let invalid = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        let challenge = configured.challenge(&request, &invalid).expect("a challenge");
        assert!(challenge.to_str().is_ok_and(|text| text.starts_with("Bearer error=\"invalid_token\", resource_")));
    }

    #[test]
    fn without_a_configured_address_the_one_that_the_client_used_is_named() {
        let request = headers("h.example:8443", Some("https"));
        let resource = |behind_proxy| description(None, behind_proxy).resource(&request);
        assert_eq!(resource(true).as_deref(), Some("https://h.example:8443/mcp"));
        assert_eq!(resource(false).as_deref(), Some("http://h.example:8443/mcp"));
        assert_eq!(description(None, false).resource(&headers("a@b", None)), None);
        assert_eq!(description(None, false).resource(&headers("a b", None)), None);
    }
}
