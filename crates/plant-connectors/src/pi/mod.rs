//! AVEVA PI Web API. Tags are identified by their WebIds.

mod client;
mod value;

use crate::config::Common;
use crate::context::Context;
use crate::{check, failure, sample};
use async_trait::async_trait;
use client::{Found, PiClient};
use domain::plant::{ConnectorCheck, ConnectorError, ConnectorSettings, Sample, TagAddress, TagMapping};
use domain::ports::{BrowsedTag, PlantConnector};
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use value::TimedValue;

/// Maximum length of a WebId, in characters.
const MAX_WEB_ID: usize = 512;
/// Requested fields of a value.
const VALUE_FIELDS: &str = "Timestamp;Value;UnitsAbbreviation;Good;Questionable;Substituted;Errors";
const RECORDED_FIELDS: &str = "Items.Timestamp;Items.Value;Items.UnitsAbbreviation;Items.Good;Items.Questionable;\
                               Items.Substituted;Errors";
/// Maximum samples per response: servers refuse more than 150,000.
const MAX_RECORDED: usize = 100_000;

/// A list, as PI Web API returns it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List<T> {
    #[serde(default = "Vec::new")]
    items: Vec<T>,
    #[serde(default)]
    errors: Vec<Value>,
}

/// One answer within a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubAnswer {
    status: u16,
    #[serde(default)]
    content: Value,
}

/// The fields of a PI Data Archive that are needed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DataServer {
    web_id: String,
}

/// A PI point.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Point {
    web_id: String,
    name: String,
    #[serde(default)]
    descriptor: String,
    #[serde(default)]
    engineering_units: String,
}

/// A connector to PI Web API.
pub struct PiConnector {
    context: Context,
    client: PiClient,
    timeout: Duration,
    /// Set once the server has refused a batch: some administrators disable them.
    without_batches: AtomicBool,
}

impl PiConnector {
    pub fn open(context: Context, settings: &ConnectorSettings) -> Result<Self, ConnectorError> {
        let common = Common::of(settings)?;
        for mapping in &settings.tags {
            web_id(mapping)?;
        }
        let client = PiClient::new(settings, &common)?;
        Ok(Self { context, client, timeout: common.timeout, without_batches: AtomicBool::new(false) })
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, ConnectorError>>) -> Result<T, ConnectorError> {
        timeout(self.timeout, call).await.unwrap_or_else(|_| Err(failure::timed_out(self.timeout)))
    }

    async fn read_all(&self, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        let mut urls = Vec::with_capacity(tags.len());
        for mapping in tags {
            urls.push(
                self.client.url(&format!("streams/{}/value", web_id(mapping)?), &[("selectedFields", VALUE_FIELDS)])?,
            );
        }
        if !self.without_batches.load(Ordering::Relaxed) && tags.len() > 1 {
            match self.client.get_all(urls.clone()).await? {
                Found::Yes(answers) => {
                    let now = self.context.clock.now();
                    let of = |index: usize| answers.get(&index.to_string()).cloned().unwrap_or_default();
                    return Ok(tags
                        .iter()
                        .enumerate()
                        .map(|(index, mapping)| from_batch(of(index), mapping, now))
                        .collect());
                }
                Found::No(_) => self.without_batches.store(true, Ordering::Relaxed),
            }
        }
        let mut samples = Vec::with_capacity(tags.len());
        for (url, mapping) in urls.into_iter().zip(tags) {
            let found: Found<TimedValue> = self.client.get(url).await?;
            let now = self.context.clock.now();
            samples.push(match found {
                Found::Yes(value) => value.to_sample(mapping, now),
                Found::No(status) => sample::without_value(format!("PI:http:{}", status.as_u16()), now),
            });
        }
        Ok(samples)
    }

    async fn recorded(&self, request: &Recorded<'_>) -> Result<Option<Vec<Sample>>, ConnectorError> {
        let millis = |time: Timestamp| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let (start, end) = (millis(request.period.start), millis(request.period.end));
        let count = request.limit.min(MAX_RECORDED).to_string();
        let query = [
            ("startTime", start.as_str()),
            ("endTime", end.as_str()),
            ("boundaryType", "Inside"),
            ("maxCount", count.as_str()),
            ("selectedFields", RECORDED_FIELDS),
        ];
        let url = self.client.url(&format!("streams/{}/recorded", web_id(request.mapping)?), &query)?;
        let found: Found<List<TimedValue>> = self.client.get_unbounded(url).await?;
        let list = match found {
            Found::Yes(list) => list,
            Found::No(_) => return Ok(None),
        };
        if !list.errors.is_empty() {
            return Err(failure::invalid_response(value::error_code(&list.errors)));
        }
        let now = self.context.clock.now();
        let mut samples: Vec<_> = list.items.iter().map(|item| item.to_sample(request.mapping, now)).collect();
        samples.retain(|sample| sample.source_timestamp.is_some_and(|time| request.period.contains(&time)));
        samples.sort_by_key(|sample| sample.source_timestamp);
        samples.truncate(request.limit);
        Ok(Some(samples))
    }

    async fn points(&self, limit: usize) -> Result<Option<Vec<BrowsedTag>>, ConnectorError> {
        let servers = self.client.url("dataservers", &[("selectedFields", "Items.WebId")])?;
        let servers: List<DataServer> = match self.client.get(servers).await? {
            Found::Yes(servers) => servers,
            Found::No(_) => return Ok(None),
        };
        let mut tags = Vec::new();
        for server in servers.items {
            let wanted = limit.saturating_sub(tags.len());
            if wanted == 0 || !is_web_id(&server.web_id) {
                continue;
            }
            let count = wanted.to_string();
            let fields = "Items.WebId;Items.Name;Items.Descriptor;Items.EngineeringUnits";
            let query = [("maxCount", count.as_str()), ("selectedFields", fields)];
            let url = self.client.url(&format!("dataservers/{}/points", server.web_id), &query)?;
            if let Found::Yes(points) = self.client.get::<List<Point>>(url).await? {
                tags.extend(
                    points.items.into_iter().filter(|point| is_web_id(&point.web_id)).take(wanted).map(browsed),
                );
            }
        }
        Ok(Some(tags))
    }
}

/// A request for recorded values.
struct Recorded<'a> {
    mapping: &'a TagMapping,
    period: Range<Timestamp>,
    limit: usize,
}

fn from_batch(answer: Value, mapping: &TagMapping, now: Timestamp) -> Sample {
    let Ok(answer) = serde_json::from_value::<SubAnswer>(answer) else {
        return sample::without_value("PI:error:no answer", now);
    };
    let content: TimedValue = serde_json::from_value(answer.content).unwrap_or_default();
    if !(200..300).contains(&answer.status) && content.errors.is_empty() {
        return sample::without_value(format!("PI:http:{}", answer.status), now);
    }
    content.to_sample(mapping, now)
}

fn browsed(point: Point) -> BrowsedTag {
    let description = failure::foreign(&point.descriptor);
    BrowsedTag {
        name: failure::foreign(&point.name),
        mapping: TagMapping { address: TagAddress(point.web_id), data_type: None, scale: None },
        unit: sample::unit(&point.engineering_units),
        description: (!description.is_empty()).then_some(description),
    }
}

fn is_web_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_WEB_ID
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn web_id(mapping: &TagMapping) -> Result<&str, ConnectorError> {
    let text = mapping.address.0.trim();
    if is_web_id(text) {
        return Ok(text);
    }
    let text = failure::foreign(text);
    Err(failure::configuration(format!("{text:?} is no WebId: use the one that PI Web API shows for the point")))
}

#[async_trait]
impl PlantConnector for PiConnector {
    async fn check(&self, sample_tag: Option<&TagMapping>) -> ConnectorCheck {
        let read = async {
            match sample_tag {
                Some(mapping) => self.read_all(std::slice::from_ref(mapping)).await,
                None => match self.client.get::<Value>(self.client.url("", &[])?).await? {
                    Found::Yes(_) => Ok(Vec::new()),
                    Found::No(_) => Err(failure::invalid_response("there is no PI Web API at the endpoint's path")),
                },
            }
        };
        match self.bounded(read).await {
            Ok(samples) => check::succeeded("connected to PI Web API", sample_tag.zip(samples.first())),
            Err(error) => check::failed(&error),
        }
    }

    async fn read(&self, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        self.bounded(self.read_all(tags)).await
    }

    fn request_count(&self, tags: &[TagMapping]) -> usize {
        if self.without_batches.load(Ordering::Relaxed) { tags.len().max(1) } else { 1 }
    }

    async fn history(
        &self,
        tag: &TagMapping,
        period: Range<Timestamp>,
        limit: usize,
    ) -> Result<Option<Vec<Sample>>, ConnectorError> {
        self.recorded(&Recorded { mapping: tag, period, limit }).await
    }

    async fn browse(&self, limit: usize) -> Result<Option<Vec<BrowsedTag>>, ConnectorError> {
        self.bounded(self.points(limit)).await
    }
}
