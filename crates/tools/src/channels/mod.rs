//! Sending messages to channels: mail, cards in Microsoft Teams, webhooks. Connections go where the egress policy
//! allows.

mod email;
mod http;
mod teams;
mod webhook;
mod wording;

use crate::egress::{EgressError, EgressPolicy};
use async_trait::async_trait;
use domain::channel::{ChannelConfig, ChannelSecrets, Message};
use domain::upload::FieldError;
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// Time limit of an attempt. A lease on a message must last longer.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// The destination of a message, with its credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The channel's configuration.
    pub config: ChannelConfig,
    /// The channel's secrets.
    pub secrets: ChannelSecrets,
}

/// Whether a failed attempt is retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// It will fail in the same way until the channel is changed.
    Never,
    /// It may succeed later.
    Later {
        /// Delay that the receiver requested (`Retry-After`).
        after: Option<Duration>,
    },
}

/// Why a message was not delivered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct SendError {
    /// For programs: does not change between releases, unlike `detail`.
    pub code: &'static str,
    /// Sentence for people, without content or secrets.
    pub detail: String,
    /// Whether to retry.
    pub retry: Retry,
}

impl SendError {
    fn never(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry: Retry::Never }
    }

    fn later(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry: Retry::Later { after: None } }
    }
}

impl From<EgressError> for SendError {
    fn from(error: EgressError) -> Self {
        let detail = format!("Not sent: {error}.");
        match &error {
            EgressError::UnsupportedUrl => Self::never("unsupported_url", detail),
            EgressError::RefusedAddress { .. } => Self::never("address_refused", detail),
            EgressError::PlainHttp { .. } => Self::never("plain_http", detail),
            EgressError::Unresolved { .. } => Self::later("unresolved", detail),
            EgressError::TooLarge { .. } => Self::later("unreachable", detail),
            EgressError::Http(source) => http::request_error(source),
        }
    }
}

/// Sends messages by mail, to Teams, or to a webhook.
#[async_trait]
pub trait ChannelSender: Send + Sync {
    /// Checks what can be checked of a destination without a connection.
    ///
    /// # Errors
    /// If a field of the channel is not allowed; the pointer begins with `/config` or is `/secret`.
    fn check(&self, destination: &Destination) -> Result<(), FieldError>;

    /// Sends a message once. The receiver may get it twice, with the same id, if an attempt seems to have failed.
    ///
    /// # Errors
    /// If the receiver did not accept it, or could not be reached.
    async fn send(&self, destination: &Destination, message: &Message) -> Result<(), SendError>;
}

/// Sends messages over the network.
#[derive(Clone, Debug)]
pub struct NetworkSender {
    policy: EgressPolicy,
}

impl NetworkSender {
    /// Creates a sender that connects where `policy` allows.
    #[must_use]
    pub fn new(policy: EgressPolicy) -> Self {
        Self { policy }
    }
}

#[async_trait]
impl ChannelSender for NetworkSender {
    fn check(&self, destination: &Destination) -> Result<(), FieldError> {
        let Destination { config, secrets } = destination;
        match config {
            ChannelConfig::Email(config) => {
                email::check(config, secrets.secret.as_ref())?;
                let address = self.policy.check_host(&config.host);
                address.map_err(|error| invalid("/config/host", error.to_string()))
            }
            ChannelConfig::Teams(_) => {
                teams::check(secrets.secret.as_ref())?;
                self.check_url(destination)
            }
            ChannelConfig::Webhook(_) => {
                webhook::check(secrets.secret.as_ref())?;
                self.check_url(destination)
            }
        }
    }

    async fn send(&self, destination: &Destination, message: &Message) -> Result<(), SendError> {
        let Destination { config, secrets } = destination;
        let sending = async {
            match config {
                ChannelConfig::Email(config) => email::send(&self.policy, config, secrets, message).await,
                ChannelConfig::Teams(_) => {
                    let request = teams::request(secrets.secret.as_ref(), message)?;
                    http::post(&self.policy, &self.url(destination)?, request, message).await
                }
                ChannelConfig::Webhook(_) => {
                    let request = webhook::request(secrets, message)?;
                    http::post(&self.policy, &self.url(destination)?, request, message).await
                }
            }
        };
        match timeout(SEND_TIMEOUT, sending).await {
            Ok(result) => result,
            Err(_elapsed) => Err(SendError::later("timeout", "The receiver took too long.")),
        }
    }
}

impl NetworkSender {
    /// The URL that is posted to: of a Teams channel, the one with the secret query.
    fn url(&self, destination: &Destination) -> Result<Url, SendError> {
        let text = match &destination.config {
            ChannelConfig::Teams(config) | ChannelConfig::Webhook(config) => {
                destination.secrets.url.as_ref().unwrap_or(&config.url)
            }
            ChannelConfig::Email(_) => return Err(EgressError::UnsupportedUrl.into()),
        };
        let url = Url::parse(text).map_err(|_| EgressError::UnsupportedUrl)?;
        self.policy.check_url(&url)?;
        Ok(url)
    }

    fn check_url(&self, destination: &Destination) -> Result<(), FieldError> {
        self.url(destination).map(drop).map_err(|error| {
            let detail = error.detail.trim_start_matches("Not sent: ").trim_end_matches('.').to_owned();
            invalid("/config/url", detail)
        })
    }
}

fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> FieldError {
    FieldError { pointer: pointer.into(), detail: detail.into() }
}

/// The innermost cause of an error, for people; shortened, since others wrote it.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    wording::single_line(&cause.to_string(), 200)
}

#[cfg(test)]
mod tests;
