//! The page that starts the console. It contains the sign-in settings, and a nonce for its styles.

use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Placeholder in the built page for the nonce of the response.
const NONCE_PLACEHOLDER: &str = "__CSP_NONCE__";
/// Placeholder in the built page for the settings: JSON in an attribute.
const SETTINGS_PLACEHOLDER: &str = "__CONSOLE_SETTINGS__";

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Sign-in settings of the console. They contain no secrets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConsoleSettings {
    /// The OAuth client that users sign in with; `None` if none is configured for the console.
    pub sign_in: Option<ConsoleClient>,
}

/// The console as a public client (RFC 6749, section 2.1) of an issuer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConsoleClient {
    /// URL of the issuer. The console reads its discovery document.
    pub issuer: String,
    /// The console's client id at this issuer.
    pub client_id: String,
    /// Scopes to request, separated by spaces.
    pub scope: String,
}

/// Settings that the page passes to the console.
#[derive(Clone, Copy, Serialize)]
pub(super) struct PageSettings<'a> {
    pub(super) sign_in: Option<&'a ConsoleClient>,
    /// Whether users can sign in without an identity provider, by selecting a user from a list.
    pub(super) development: bool,
    /// The API's resources, such as `admin/users`.
    pub(super) resources: &'a [String],
}

/// Returns a nonce: the SHA-256 digest of `ids` in base64. It cannot be guessed, because the ids contain random bits.
pub(super) fn nonce(ids: &[Uuid]) -> String {
    let mut hash = Sha256::new();
    for id in ids {
        hash.update(id.as_bytes());
    }
    STANDARD_NO_PAD.encode(hash.finalize())
}

/// Replaces the placeholders in the built page, and adds the headers of the response.
pub(super) fn render(template: &str, nonce: &str, settings: &PageSettings<'_>) -> impl IntoResponse {
    let json = serde_json::to_string(settings).unwrap_or_default();
    let html = template.replace(NONCE_PLACEHOLDER, nonce).replace(SETTINGS_PLACEHOLDER, &escape_attribute(&json));
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
        (CONTENT_SECURITY_POLICY, content_security_policy(nonce, settings)),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin".to_owned()),
        (PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=(), payment=(), usb=()".to_owned()),
    ];
    (headers, html)
}

/// Returns the value of `Content-Security-Policy`. Scripts may come only from this server, and the console may connect
/// only to this server and to the issuer.
fn content_security_policy(nonce: &str, settings: &PageSettings<'_>) -> String {
    let issuer = settings.sign_in.and_then(|client| origin(&client.issuer)).unwrap_or_default();
    let connect = format!("'self' {issuer}");
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self'; font-src 'self'; \
         connect-src {}; worker-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; \
         object-src 'none'; frame-ancestors 'none'",
        connect.trim_end()
    )
}

/// Returns the origin of a URL: its scheme, host and port. `None` if it has no authority, or contains a character that
/// could end the directive.
fn origin(url: &str) -> Option<&str> {
    let authority = url.find("://")? + 3;
    let end = url[authority..].find('/').map_or(url.len(), |slash| authority + slash);
    let origin = &url[..end];
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-[]".contains(&byte);
    origin.bytes().all(is_plain).then_some(origin)
}

fn escape_attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::Response;

    fn client(issuer: &str) -> ConsoleClient {
        ConsoleClient {
            issuer: issuer.to_owned(),
            client_id: "console\"><script>".to_owned(),
            scope: "openid".to_owned(),
        }
    }

    fn header(response: &Response, name: &HeaderName) -> String {
        response.headers()[name].to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn the_content_security_policy_allows_own_scripts_and_connections_to_the_issuer() {
        let client = client("https://login.example:8443/realms/plant");
        let settings = PageSettings { sign_in: Some(&client), development: false, resources: &[] };
        let response = render("", "abc", &settings).into_response();
        let policy = header(&response, &CONTENT_SECURITY_POLICY);
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("connect-src 'self' https://login.example:8443;"), "{policy}");
        assert!(policy.contains("style-src 'self' 'nonce-abc';"), "{policy}");
        assert_eq!(header(&response, &CACHE_CONTROL), "no-store");
    }

    #[test]
    fn an_issuer_url_cannot_add_a_directive_to_the_policy() {
        assert_eq!(origin("https://a.example; script-src *"), None);
        assert_eq!(origin("https://a.example/x; y"), Some("https://a.example"));
        assert_eq!(origin("urn:development"), None);
    }

    #[test]
    fn settings_cannot_break_out_of_their_html_attribute() {
        let json = r#"{"client_id":"a\"><script>"}"#;
        assert!(!escape_attribute(json).contains(['"', '<', '>']));
    }

    #[test]
    fn a_nonce_is_long_and_depends_on_the_ids() {
        let first = nonce(&[Uuid::from_u128(1), Uuid::from_u128(2)]);
        assert_eq!(first.len(), 43);
        assert_ne!(first, nonce(&[Uuid::from_u128(1), Uuid::from_u128(3)]));
    }
}
