//! History of a node, page by page (OPC 10000-11, ReadRawModifiedDetails).

use super::session::Session;
use super::{failure as opcua_failure, value};
use crate::sample;
use domain::plant::{ConnectorError, Sample, TagMapping};
use domain::time::Timestamp;
use opcua::types::{
    AttributeId, ByteString, DateTime, HistoryData, HistoryReadValueId, NodeId, ReadRawModifiedDetails, ReadValueId,
    StatusCode, Variant,
};
use std::ops::Range;

/// Maximum samples per request. Servers page as they see fit, but some drop anything beyond the requested count.
const MAX_SAMPLES_PER_REQUEST: usize = 10_000;
/// The access level bit of nodes with history (OPC 10000-3, 8.57).
const HISTORY_READ: u8 = 0b100;

/// A raw history read.
pub struct HistoryRequest<'a> {
    pub node: NodeId,
    pub mapping: &'a TagMapping,
    pub period: Range<Timestamp>,
    pub limit: usize,
    /// The time that [`Sample::received_at`] gets.
    pub now: Timestamp,
}

impl Session {
    /// The samples, oldest first; `None` if the server stores no history for the node.
    pub async fn raw_history(&self, request: &HistoryRequest<'_>) -> Result<Option<Vec<Sample>>, ConnectorError> {
        let mut samples = Vec::new();
        let mut continuation_point = ByteString::null();
        loop {
            let wanted = request.limit.saturating_sub(samples.len());
            if wanted == 0 {
                self.release(request, continuation_point).await;
                break;
            }
            let details = details(request, wanted.min(MAX_SAMPLES_PER_REQUEST));
            let result = self.history(node_at(request, continuation_point), details, false).await?;
            let Some(result) = result else { break };
            if result.status_code.is_bad() {
                return if is_without_history(result.status_code) {
                    Ok(None)
                } else {
                    Err(opcua_failure::of_status(result.status_code))
                };
            }
            let values = result.history_data.inner_as::<HistoryData>().and_then(|data| data.data_values.as_ref());
            let page = values.into_iter().flatten().map(|data| value::to_sample(data, request.mapping, request.now));
            // Servers differ in whether the end of the range is inclusive, and may add values at its bounds.
            let count_before = samples.len();
            samples.extend(page.filter(|sample| is_within(sample, &request.period)).take(wanted));
            continuation_point = result.continuation_point;
            if continuation_point.is_null_or_empty() {
                break;
            }
            // Stop if a page adds no samples but returns a continuation point, to avoid looping forever.
            if samples.len() == count_before {
                self.release(request, continuation_point).await;
                break;
            }
        }
        if samples.is_empty() && !self.has_history(&request.node).await? {
            return Ok(None);
        }
        samples.sort_by_key(|sample| sample.source_timestamp);
        Ok(Some(samples))
    }

    /// Whether the node has the history bit: some servers return an empty result instead of a bad status when the node
    /// has no history.
    async fn has_history(&self, node: &NodeId) -> Result<bool, ConnectorError> {
        let level = self.read(&[ReadValueId::new(node.clone(), AttributeId::AccessLevel)]).await?;
        let level = level.into_iter().next().and_then(|data| data.value);
        Ok(!matches!(level, Some(Variant::Byte(level)) if level & HISTORY_READ == 0))
    }

    /// Servers limit continuation points. A failed release is ignored: the samples are still valid.
    async fn release(&self, request: &HistoryRequest<'_>, continuation_point: ByteString) {
        if !continuation_point.is_null_or_empty() {
            let _result = self.history(node_at(request, continuation_point), details(request, 1), true).await;
        }
    }
}

fn is_within(sample: &Sample, period: &Range<Timestamp>) -> bool {
    sample
        .source_timestamp
        .is_some_and(|time| sample::truncate_to_stored_precision(period.start) <= time && time < period.end)
}

fn node_at(request: &HistoryRequest<'_>, continuation_point: ByteString) -> HistoryReadValueId {
    HistoryReadValueId { node_id: request.node.clone(), continuation_point, ..HistoryReadValueId::default() }
}

fn details(request: &HistoryRequest<'_>, count: usize) -> ReadRawModifiedDetails {
    ReadRawModifiedDetails {
        is_read_modified: false,
        start_time: DateTime::from(request.period.start),
        end_time: DateTime::from(request.period.end),
        num_values_per_node: u32::try_from(count).unwrap_or(u32::MAX),
        return_bounds: false,
    }
}

/// Whether a status means that the node has no history, or that the server does not support history.
fn is_without_history(status: StatusCode) -> bool {
    matches!(
        StatusCode::from(status.bits() & 0xFFFF_0000),
        StatusCode::BadHistoryOperationUnsupported
            | StatusCode::BadHistoryOperationInvalid
            | StatusCode::BadServiceUnsupported
            | StatusCode::BadNotSupported
            | StatusCode::BadNotReadable
    )
}
