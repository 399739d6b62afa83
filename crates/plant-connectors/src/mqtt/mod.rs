//! MQTT with plain topics: a read returns the newest message of each.

mod link;
mod options;
mod payload;
mod session;

use crate::config::Common;
use crate::context::Context;
use crate::link::BackoffPolicy;
use crate::{check, failure, sample};
use async_trait::async_trait;
use domain::plant::{ConnectorCheck, ConnectorError, ConnectorSettings, Quality, Sample, TagMapping};
use domain::ports::{Clock, PlantConnector};
use domain::time::Timestamp;
pub use link::{BrokerLink, Message, Subscriber};
pub use options::BrokerOptions;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Time after a subscription for the broker to send retained messages.
const RETAINED_WITHIN: Duration = Duration::from_secs(1);
/// Quality code of a topic of which no message has arrived yet.
const NO_MESSAGE: &str = "mqtt:no_message";
/// Quality code of a topic that the account may not subscribe to.
const REFUSED: &str = "mqtt:not_authorized";

/// A connector to the plain topics of a broker.
pub struct MqttConnector {
    context: Context,
    timeout: Duration,
    topics: Arc<Topics>,
    link: BrokerLink,
}

impl MqttConnector {
    pub fn open(context: Context, settings: &ConnectorSettings) -> Result<Self, ConnectorError> {
        let common = Common::of(settings)?;
        let options = BrokerOptions::of(settings, &common)?;
        let mut names = BTreeSet::new();
        for mapping in &settings.tags {
            require_topic(&mapping.address.0)?;
            names.insert(mapping.address.0.clone());
        }
        let topics = Arc::new(Topics::new(names, context.clock.clone()));
        let link = BrokerLink::start(&context.tasks, options, topics.clone());
        Ok(Self { context, timeout: common.timeout, topics, link })
    }

    async fn read_all(&self, backoff: BackoffPolicy, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        let since = self.link.subscribed(backoff, self.timeout).await?;
        self.topics.wait_for_all(tags, since + RETAINED_WITHIN).await;
        let now = self.context.clock.now();
        Ok(tags.iter().map(|mapping| self.topics.sample(mapping, now)).collect())
    }
}

/// Refuses a pattern in place of a topic.
fn require_topic(topic: &str) -> Result<(), ConnectorError> {
    let unusable =
        topic.is_empty() || topic.len() > 1_024 || topic.contains(['+', '#', '\0']) || topic.starts_with('$');
    if unusable {
        let topic = failure::foreign(topic);
        return Err(failure::configuration(format!("{topic:?} is no MQTT topic: patterns and $ topics are not read")));
    }
    Ok(())
}

/// The newest message of each topic.
struct Topics {
    names: BTreeSet<String>,
    clock: Arc<dyn Clock>,
    newest: Mutex<HashMap<String, Sample>>,
    /// Counts messages, so that a reader can wait for one.
    count: watch::Sender<u64>,
}

impl Topics {
    fn new(names: BTreeSet<String>, clock: Arc<dyn Clock>) -> Self {
        Self { names, clock, newest: Mutex::default(), count: watch::Sender::new(0) }
    }

    fn has_all(&self, tags: &[TagMapping]) -> bool {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        tags.iter().all(|mapping| newest.contains_key(&mapping.address.0))
    }

    /// Waits until there is a message for each tag, at most until `deadline`.
    async fn wait_for_all(&self, tags: &[TagMapping], deadline: Instant) {
        let mut count = self.count.subscribe();
        let waited = async { while !self.has_all(tags) && count.changed().await.is_ok() {} };
        let _result = timeout_at(deadline, waited).await;
    }

    fn sample(&self, mapping: &TagMapping, now: Timestamp) -> Sample {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = newest.get(&mapping.address.0) else { return sample::without_value(NO_MESSAGE, now) };
        let mut scaled = found.clone();
        scaled.value = scaled.value.and_then(|value| sample::scaled_value(value, mapping));
        if scaled.value.is_none() {
            scaled.quality = Quality::Bad;
        }
        scaled
    }

    fn keep(&self, topic: &str, sample: Sample) {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), sample);
        self.count.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Subscriber for Topics {
    fn filters(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }

    fn message(&self, message: Message<'_>) {
        // No other topic is subscribed to, but the map stays bounded by the tags whatever a broker sends.
        if self.names.contains(message.topic) {
            let sample = payload::sample(message.payload, message.retained, self.clock.now());
            self.keep(message.topic, sample);
        }
    }

    fn refused(&self, filter: &str) {
        self.keep(filter, sample::without_value(REFUSED, self.clock.now()));
    }

    fn disconnected(&self) {}
}

#[async_trait]
impl PlantConnector for MqttConnector {
    async fn check(&self, sample_tag: Option<&TagMapping>) -> ConnectorCheck {
        let tags = sample_tag.map(std::slice::from_ref).unwrap_or_default();
        match self.read_all(BackoffPolicy::Bypass, tags).await {
            Ok(samples) => check::succeeded("connected to the broker", sample_tag.zip(samples.first())),
            Err(error) => check::failed(&error),
        }
    }

    async fn read(&self, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        self.read_all(BackoffPolicy::Respect, tags).await
    }
}
