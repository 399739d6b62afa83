//! Modbus TCP.
//!
//! The protocol has no units, timestamps, qualities or accounts. A value that was just read is good.

mod address;
mod client;
mod decode;
mod plan;

use crate::config::{self, Common};
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::link::{BackoffPolicy, Link};
use crate::{check, failure, sample};
use address::Address;
use async_trait::async_trait;
use client::{Answer, ModbusClient};
use decode::Layout;
use domain::plant::{
    ByteOrder, ConnectorCheck, ConnectorError, ConnectorSettings, Quality, Sample, TagMapping, TagValue,
};
use domain::ports::PlantConnector;
use domain::time::Timestamp;
use plan::Block;
use serde::Deserialize;
use tokio::time::timeout;

/// IANA's port of Modbus TCP.
const DEFAULT_PORT: u16 = 502;
/// Quality code of registers that do not hold a number, such as a float's NaN.
const NOT_A_NUMBER: &str = "modbus:not_a_number";

#[derive(Deserialize)]
#[serde(default)]
struct ModbusConfig {
    unit_id: u8,
    byte_order: ByteOrder,
    word_order: ByteOrder,
}

impl Default for ModbusConfig {
    fn default() -> Self {
        Self { unit_id: 1, byte_order: ByteOrder::Big, word_order: ByteOrder::Big }
    }
}

/// A connector to a Modbus device or gateway.
pub struct ModbusConnector {
    context: Context,
    common: Common,
    endpoint: Endpoint,
    unit_id: u8,
    layout: Layout,
    link: Link<ModbusClient>,
}

/// A tag with its address, and the sample that was read.
struct Reading<'a> {
    mapping: &'a TagMapping,
    address: Address,
    sample: Option<Sample>,
}

impl ModbusConnector {
    pub fn open(context: Context, settings: &ConnectorSettings) -> Result<Self, ConnectorError> {
        let config: ModbusConfig = config::parse(settings)?;
        if settings.credential.is_some() {
            return Err(failure::configuration("Modbus has no credentials; remove the secret"));
        }
        for mapping in &settings.tags {
            Address::of(mapping)?;
        }
        Ok(Self {
            context,
            common: Common::of(settings)?,
            endpoint: Endpoint::parse(
                &settings.endpoint,
                &["modbus", "modbus+tcp", "modbus-tcp", "tcp"],
                DEFAULT_PORT,
            )?,
            unit_id: config.unit_id,
            layout: Layout { bytes: config.byte_order, words: config.word_order },
            link: Link::new(),
        })
    }

    async fn client(&self, backoff: BackoffPolicy) -> Result<std::sync::Arc<ModbusClient>, ConnectorError> {
        self.link.get(backoff, ModbusClient::connect(&self.endpoint, self.unit_id)).await
    }

    /// Runs a call within the time limit; an unusable connection is dropped if it fails.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, ConnectorError>>) -> Result<T, ConnectorError> {
        let result = timeout(self.common.timeout, call).await;
        let result = result.unwrap_or_else(|_| Err(failure::timed_out(self.common.timeout)));
        match &result {
            Err(error @ ConnectorError::TimedOut { .. }) => self.link.discard(Some(error)).await,
            Err(ConnectorError::InvalidResponse { .. }) => self.link.discard(None).await,
            _ => (),
        }
        result
    }

    async fn read_all(&self, backoff: BackoffPolicy, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        let mut readings = Vec::with_capacity(tags.len());
        for mapping in tags {
            readings.push(Reading { mapping, address: Address::of(mapping)?, sample: None });
        }
        let addresses: Vec<_> = readings.iter().map(|reading| reading.address).collect();
        // A connection that broke since the last call fails only now: retry once with a new one.
        let client = self.client(backoff).await?;
        match self.read_blocks(&client, &plan::blocks(&addresses), &mut readings).await {
            Err(ConnectorError::Unreachable { .. }) => {
                self.link.discard(None).await;
                let client = self.client(backoff).await?;
                self.read_blocks(&client, &plan::blocks(&addresses), &mut readings).await?;
            }
            other => other?,
        }
        let now = self.context.clock.now();
        Ok(readings
            .into_iter()
            .map(|reading| reading.sample.unwrap_or_else(|| sample::without_value(NOT_A_NUMBER, now)))
            .collect())
    }

    async fn read_blocks(
        &self,
        client: &ModbusClient,
        blocks: &[Block],
        readings: &mut [Reading<'_>],
    ) -> Result<(), ConnectorError> {
        for block in blocks {
            let answer = client.read(*block).await?;
            let shared = readings.iter().filter(|reading| block.offset(reading.address).is_some()).count() > 1;
            if shared && matches!(answer, Answer::Exception(_)) {
                // The device may lack one of the registers: read each tag separately.
                for index in 0..readings.len() {
                    let single = Block::from(readings[index].address);
                    if block.offset(readings[index].address).is_some() {
                        let answer = client.read(single).await?;
                        self.fill(&answer, single, &mut readings[index..=index]);
                    }
                }
            } else {
                self.fill(&answer, *block, readings);
            }
        }
        Ok(())
    }

    /// Stores the samples of the tags in a response.
    fn fill(&self, answer: &Answer, block: Block, readings: &mut [Reading<'_>]) {
        let now = self.context.clock.now();
        for reading in readings {
            let Some(offset) = block.offset(reading.address) else { continue };
            let value = match answer {
                Answer::Bits(bits) => bits.get(offset).copied().map(TagValue::Bool),
                Answer::Registers(words) => {
                    let data_type = address::data_type(reading.address.table, reading.mapping.data_type);
                    decode::registers(words.get(offset..).unwrap_or_default(), data_type, self.layout, reading.mapping)
                }
                Answer::Exception(code) => {
                    reading.sample = Some(sample::without_value(decode::exception(*code), now));
                    continue;
                }
            };
            reading.sample = value.map(|value| good(value, now));
        }
    }
}

fn good(value: TagValue, received_at: Timestamp) -> Sample {
    Sample {
        value: Some(value),
        unit: None,
        quality: Quality::Good,
        quality_code: None,
        source_timestamp: None,
        received_at,
    }
}

#[async_trait]
impl PlantConnector for ModbusConnector {
    async fn check(&self, sample_tag: Option<&TagMapping>) -> ConnectorCheck {
        let connection = format!("connected to unit {}", self.unit_id);
        let read = async {
            match sample_tag {
                Some(mapping) => self.read_all(BackoffPolicy::Bypass, std::slice::from_ref(mapping)).await,
                None => self.client(BackoffPolicy::Bypass).await.map(|_| Vec::new()),
            }
        };
        match self.bounded(read).await {
            Ok(samples) => check::succeeded(&connection, sample_tag.zip(samples.first())),
            Err(error) => check::failed(&error),
        }
    }

    async fn read(&self, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        self.bounded(self.read_all(BackoffPolicy::Respect, tags)).await
    }

    fn request_count(&self, tags: &[TagMapping]) -> usize {
        let addresses: Vec<_> = tags.iter().filter_map(|tag| Address::of(tag).ok()).collect();
        plan::blocks(&addresses).len().max(1)
    }
}
