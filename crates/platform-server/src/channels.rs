//! Composes the sending of messages to channels, and counts what comes of it.

use crate::config::Settings;
use crate::ports::SharedPorts;
use anyhow::Result;
use async_trait::async_trait;
use data::SealedSecrets;
use domain::channel::{ChannelKind, Message};
use domain::upload::FieldError;
use prometheus::{IntCounterVec, Opts, Registry};
use runtime::channels::ChannelPorts;
use std::sync::Arc;
use tools::channels::{ChannelSender, Destination, NetworkSender, Retry, SendError};

/// Builds the dependencies of channels.
///
/// # Errors
/// If the secret or a network in the settings is not valid.
pub(crate) fn channel_ports(settings: &Settings, ports: &SharedPorts) -> Result<ChannelPorts> {
    let SharedPorts { store, clock, ids, .. } = ports.clone();
    Ok(ChannelPorts {
        store,
        sender: Arc::new(NetworkSender::new(settings.egress_policy()?)),
        sealer: Arc::new(SealedSecrets::new(settings.secret_key_bytes()?)),
        clock,
        ids,
        public_url: settings.public_url(),
    })
}

/// Results of an attempt, as the metric's label has them.
const RESULTS: [&str; 3] = ["delivered", "failed", "refused"];

/// A [`ChannelSender`] that counts the attempts of another one.
pub struct MeasuredSender {
    inner: Arc<dyn ChannelSender>,
    attempts: IntCounterVec,
}

impl MeasuredSender {
    /// Registers the counter `channel_deliveries_total`, by kind of channel and result of the attempt: `delivered`,
    /// `failed` (it may be tried again), `refused` (it is given up).
    ///
    /// # Errors
    /// If the registry already has a metric of that name.
    pub fn register(registry: &Registry, inner: Arc<dyn ChannelSender>) -> Result<Self, prometheus::Error> {
        let options = Opts::new("channel_deliveries_total", "Attempts at messages to channels, by kind and result.");
        let attempts = IntCounterVec::new(options, &["kind", "result"])?;
        registry.register(Box::new(attempts.clone()))?;
        for kind in ChannelKind::ALL {
            for result in RESULTS {
                attempts.with_label_values(&[kind.as_str(), result]).inc_by(0);
            }
        }
        Ok(Self { inner, attempts })
    }
}

fn result_label(result: &Result<(), SendError>) -> &'static str {
    let [delivered, failed, refused] = RESULTS;
    match result {
        Ok(()) => delivered,
        Err(SendError { retry: Retry::Later { .. }, .. }) => failed,
        Err(SendError { retry: Retry::Never, .. }) => refused,
    }
}

#[async_trait]
impl ChannelSender for MeasuredSender {
    fn check(&self, destination: &Destination) -> Result<(), FieldError> {
        self.inner.check(destination)
    }

    async fn send(&self, destination: &Destination, message: &Message) -> Result<(), SendError> {
        let result = self.inner.send(destination, message).await;
        let labels = [destination.config.kind().as_str(), result_label(&result)];
        self.attempts.with_label_values(&labels).inc();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_by_kind_and_result_from_zero() -> Result<(), prometheus::Error> {
        let registry = Registry::new();
        let sender = Arc::new(NetworkSender::new(tools::egress::EgressPolicy::default()));
        let measured = MeasuredSender::register(&registry, sender)?;
        measured.attempts.with_label_values(&["teams", "failed"]).inc();
        let encoded = prometheus::TextEncoder::new().encode_to_string(&registry.gather())?;
        for line in [
            "channel_deliveries_total{kind=\"teams\",result=\"failed\"} 1",
            "channel_deliveries_total{kind=\"email\",result=\"delivered\"} 0",
            "channel_deliveries_total{kind=\"webhook\",result=\"refused\"} 0",
        ] {
            assert!(encoded.lines().any(|found| found == line), "{line} in {encoded}");
        }
        Ok(())
    }
}
