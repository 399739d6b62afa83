//! Posting a message to a URL.

use super::{Retry, SendError, root_cause};
use crate::egress::EgressPolicy;
use chrono::DateTime;
use domain::channel::Message;
use domain::time::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use std::time::Duration;
use url::Url;

/// Maximum `Retry-After` of a receiver.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A request without its URL.
#[derive(Debug)]
pub(super) struct PostRequest {
    /// The body, JSON in UTF-8.
    pub(super) body: String,
    /// Headers besides the type of the content.
    pub(super) headers: HeaderMap,
}

impl PostRequest {
    pub(super) fn new(body: String) -> Self {
        Self { body, headers: HeaderMap::new() }
    }

    /// Adds a header, which is not logged.
    ///
    /// # Errors
    /// If the value has characters that a header cannot have.
    pub(super) fn add(&mut self, name: &'static str, value: &str) -> Result<(), SendError> {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            SendError::never("invalid_secret", "Not sent: the secret has characters that no header has.")
        })?;
        value.set_sensitive(true);
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(())
    }
}

/// Posts the request once. The response's body is not read.
///
/// # Errors
/// If the address is not allowed, the request fails, or the answer is not a success.
pub(super) async fn post(
    policy: &EgressPolicy,
    url: &Url,
    request: PostRequest,
    message: &Message,
) -> Result<(), SendError> {
    let client = policy.checked_client(url).await?;
    let PostRequest { body, headers } = request;
    // Without the character set, Teams counts each character as two.
    let post = client.post(url.clone()).headers(headers).header(CONTENT_TYPE, "application/json; charset=utf-8");
    let response = post.body(body).send().await.map_err(|error| request_error(&error.without_url()))?;
    check_status(&response, message.sent_at)
}

fn check_status(response: &Response, now: Timestamp) -> Result<(), SendError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let detail = format!("The receiver answered {}.", status.as_u16());
    if status.is_redirection() {
        return Err(SendError::never("redirected", format!("{detail} Redirects are not followed: change the URL.")));
    }
    if status == StatusCode::GONE {
        return Err(SendError::never("gone", format!("{detail} It does not want messages any more.")));
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|value| parse_retry_after(value, now));
    Err(SendError { code: "http_status", detail, retry: Retry::Later { after } })
}

/// Parses seconds or a date (RFC 9110, section 10.2.3).
pub(super) fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let pause = match value.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            // A date as HTTP writes it is one of RFC 2822.
            let at = DateTime::parse_from_rfc2822(value.trim()).ok()?;
            (at.to_utc() - now).to_std().ok()?
        }
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

/// Describes why a request failed. The error must not contain the URL.
pub(super) fn request_error(error: &reqwest::Error) -> SendError {
    if error.is_timeout() {
        return SendError::later("timeout", "The receiver took too long.");
    }
    SendError::later("unreachable", format!("The receiver cannot be reached: {}.", root_cause(error)))
}
