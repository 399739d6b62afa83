//! Sparkplug B over MQTT 3.1.1.

mod address;
mod node;
mod payload;
mod quality;
#[cfg(test)]
mod tests;

use crate::config::{self, Common};
use crate::context::Context;
use crate::link::BackoffPolicy;
use crate::mqtt::{BrokerLink, BrokerOptions, Message, Subscriber};
use crate::{check, failure, sample};
use address::{Address, NodeKey};
use async_trait::async_trait;
use domain::plant::{ConnectorCheck, ConnectorError, ConnectorSettings, Quality, Sample, TagAddress, TagMapping};
use domain::ports::{BrowsedTag, Clock, PlantConnector};
use domain::time::Timestamp;
use node::{Kind, Node, Received};
use payload::Payload;
use prost::Message as _;
use quality::QualityCodes;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Namespace of Sparkplug B.
const NAMESPACE: &str = "spBv1.0";
/// Maximum edge nodes that are tracked.
const MAX_NODES: usize = 1_000;
/// Quality code of a node whose messages the account may not read.
const REFUSED: &str = "sparkplug:not_authorized";

#[derive(Default, Deserialize)]
#[serde(default)]
struct SparkplugConfig {
    /// Groups whose edge nodes are all followed, so that their metrics can be listed.
    groups: Vec<String>,
    quality_codes: QualityCodes,
}

/// A connector to the edge nodes of a broker.
pub struct SparkplugConnector {
    context: Context,
    timeout: Duration,
    nodes: Arc<Nodes>,
    link: BrokerLink,
}

impl SparkplugConnector {
    pub fn open(context: Context, settings: &ConnectorSettings) -> Result<Self, ConnectorError> {
        let common = Common::of(settings)?;
        let config: SparkplugConfig = config::parse(settings)?;
        let options = BrokerOptions::of(settings, &common)?;
        let mut wanted = BTreeSet::new();
        for mapping in &settings.tags {
            wanted.insert(Address::parse(&mapping.address.0)?.node);
        }
        if let Some(group) = config.groups.iter().find(|group| group.is_empty() || group.contains(['/', '+', '#'])) {
            return Err(failure::configuration(format!(
                "{group:?} is not a Sparkplug group: it must have a name without /, + and #"
            )));
        }
        let nodes = Arc::new(Nodes {
            filters: filters(&wanted, &config.groups),
            codes: config.quality_codes,
            clock: context.clock.clone(),
            known: Mutex::default(),
            refused: Mutex::default(),
        });
        let link = BrokerLink::start(&context.tasks, options, nodes.clone());
        Ok(Self { context, timeout: common.timeout, nodes, link })
    }

    async fn read_all(&self, backoff: BackoffPolicy, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        self.link.subscribed(backoff, self.timeout).await?;
        let now = self.context.clock.now();
        tags.iter().map(|mapping| self.nodes.sample(mapping, now)).collect()
    }
}

/// Filters for births, data and deaths of the nodes and groups; there are none for commands or for a host's state.
fn filters(nodes: &BTreeSet<NodeKey>, groups: &[String]) -> Vec<String> {
    let of = |group: &str, edge: &str| {
        let node = ["NBIRTH", "NDATA", "NDEATH"].map(|kind| format!("{NAMESPACE}/{group}/{kind}/{edge}"));
        let device = ["DBIRTH", "DDATA", "DDEATH"].map(|kind| format!("{NAMESPACE}/{group}/{kind}/{edge}/+"));
        node.into_iter().chain(device)
    };
    let whole = groups.iter().flat_map(|group| of(group, "+"));
    // Messages of a node in a followed group would arrive twice.
    let single = nodes.iter().filter(|node| !groups.contains(&node.group)).flat_map(|node| of(&node.group, &node.edge));
    whole.chain(single).collect()
}

/// The states of all edge nodes.
struct Nodes {
    filters: Vec<String>,
    codes: QualityCodes,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<NodeKey, Node>>,
    /// Subscriptions that the broker does not allow.
    refused: Mutex<BTreeSet<String>>,
}

/// The edge node, device and kind of a message, from its topic.
struct Topic<'a> {
    node: NodeKey,
    device: Option<&'a str>,
    kind: Kind,
}

impl<'a> Topic<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('/');
        let (namespace, group, message_type, edge) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let device = parts.next();
        let kind = match (message_type, device) {
            ("NBIRTH", None) | ("DBIRTH", Some(_)) => Kind::Birth,
            ("NDATA", None) | ("DDATA", Some(_)) => Kind::Data,
            ("NDEATH", None) | ("DDEATH", Some(_)) => Kind::Death,
            _ => return None,
        };
        let complete = namespace == NAMESPACE && parts.next().is_none();
        complete.then(|| Self { node: NodeKey { group: group.to_owned(), edge: edge.to_owned() }, device, kind })
    }
}

impl Nodes {
    fn sample(&self, mapping: &TagMapping, now: Timestamp) -> Result<Sample, ConnectorError> {
        let address = Address::parse(&mapping.address.0)?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&address.node).and_then(|node| {
            let of_device = address.of_device.as_ref().and_then(|key| node.sample(key));
            of_device.or_else(|| node.sample(&address.of_node))
        });
        let Some(mut sample) = found else {
            let code = if self.is_refused(&address) { REFUSED } else { node::NO_BIRTH };
            return Ok(sample::without_value(code, now));
        };
        sample.value = sample.value.and_then(|value| sample::scaled_value(value, mapping));
        if sample.value.is_none() {
            sample.quality = Quality::Bad;
        }
        Ok(sample)
    }

    /// Whether the broker refuses the subscription to the birth that the tag needs: its node's own, or that of its
    /// group.
    fn is_refused(&self, address: &Address) -> bool {
        let NodeKey { group, edge } = &address.node;
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        [edge.as_str(), "+"].into_iter().any(|edge| {
            let of_device = || refused.contains(&format!("{NAMESPACE}/{group}/DBIRTH/{edge}/+"));
            refused.contains(&format!("{NAMESPACE}/{group}/NBIRTH/{edge}"))
                || address.of_device.is_some() && of_device()
        })
    }

    fn browse(&self, limit: usize) -> Vec<BrowsedTag> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let all = known.iter().flat_map(|(node, state)| state.metrics().map(move |(key, metric)| (node, key, metric)));
        let mut tags: Vec<_> = all
            .map(|(node, key, metric)| BrowsedTag {
                name: key.name.clone(),
                mapping: TagMapping {
                    address: TagAddress(address::address_of(node, key)),
                    data_type: None,
                    scale: None,
                },
                unit: metric.sample.unit.clone(),
                description: metric.description.clone(),
            })
            .collect();
        tags.sort_by(|a, b| a.mapping.address.cmp(&b.mapping.address));
        tags.truncate(limit);
        tags
    }
}

impl Subscriber for Nodes {
    fn filters(&self) -> Vec<String> {
        self.filters.clone()
    }

    fn message(&self, message: Message<'_>) {
        let Some(topic) = Topic::parse(message.topic) else { return };
        // Births must not be retained; a retained one may be from an earlier session of the node.
        if message.retained {
            return;
        }
        let Ok(payload) = Payload::decode(message.payload) else {
            tracing::debug!(topic = message.topic, "ignored a message whose payload is not Sparkplug B");
            return;
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_NODES && !known.contains_key(&topic.node) {
            return;
        }
        let received = Received { device: topic.device, payload: &payload, at: self.clock.now() };
        known.entry(topic.node).or_default().receive(topic.kind, &received, &self.codes);
    }

    fn refused(&self, filter: &str) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(filter.to_owned());
    }

    fn disconnected(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values_mut().for_each(Node::lost);
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[async_trait]
impl PlantConnector for SparkplugConnector {
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

    /// The metrics of births and data since the connector was opened, also stale ones.
    async fn browse(&self, limit: usize) -> Result<Option<Vec<BrowsedTag>>, ConnectorError> {
        self.link.subscribed(BackoffPolicy::Respect, self.timeout).await?;
        Ok(Some(self.nodes.browse(limit)))
    }
}
