//! The log as newline-delimited JSON (NDJSON): the format of exports and the input of offline verification.

use super::chain::{AuditHash, ChainPage, ChainPageEntry, ChainedEvent, Checkpoint, EntryWithoutRow, PurgeRecord};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The starting point of a resumed export: the chain's hash before the next entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExportStart {
    /// Tenant whose chain is exported.
    pub tenant_id: Uuid,
    /// Sequence number of the last entry before the export.
    pub seq: i64,
    /// Chain hash at that entry.
    pub chain_hash: AuditHash,
}

/// A line of an export.
#[derive(Clone, Debug)]
pub enum ExportLine {
    /// `"type": "start"`
    Start(ExportStart),
    /// `"type": "event"`
    Event(Box<ChainedEvent>),
    /// `"type": "entry"`, a chain entry whose row was purged
    EntryWithoutRow(EntryWithoutRow),
    /// `"type": "checkpoint"`
    Checkpoint(Checkpoint),
    /// `"type": "retirement"`
    Purge(PurgeRecord),
}

/// Why a line of an export could not be parsed.
#[derive(Debug, thiserror::Error)]
pub enum ExportLineError {
    /// The line is not JSON, or fields are missing or have the wrong type.
    #[error("the line is not part of an audit export")]
    Json(#[from] serde_json::Error),
    /// This program does not know the line's type.
    #[error("unknown line type {0:?}")]
    UnknownType(String),
}

impl ExportLine {
    /// The line as JSON, without the line terminator.
    ///
    /// # Errors
    /// Never in practice: all fields can be serialized.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let (kind, body) = match self {
            Self::Start(start) => ("start", serde_json::to_string(start)?),
            Self::Event(event) => ("event", serde_json::to_string(event)?),
            Self::EntryWithoutRow(entry) => ("entry", serde_json::to_string(entry)?),
            Self::Checkpoint(checkpoint) => ("checkpoint", serde_json::to_string(checkpoint)?),
            Self::Purge(purge) => ("retirement", serde_json::to_string(purge)?),
        };
        // An internally tagged enum would parse and reprint the raw JSON of `metadata`.
        Ok(format!("{{\"type\":\"{kind}\",{}", body.get(1..).unwrap_or_default()))
    }

    /// Parses one line of an export.
    ///
    /// # Errors
    /// If the line is not part of an export.
    pub fn parse(line: &str) -> Result<Self, ExportLineError> {
        #[derive(Deserialize)]
        struct Tag {
            r#type: String,
        }
        let Tag { r#type } = serde_json::from_str(line)?;
        Ok(match r#type.as_str() {
            "start" => Self::Start(serde_json::from_str(line)?),
            "event" => Self::Event(serde_json::from_str(line)?),
            "entry" => Self::EntryWithoutRow(serde_json::from_str(line)?),
            "checkpoint" => Self::Checkpoint(serde_json::from_str(line)?),
            "retirement" => Self::Purge(serde_json::from_str(line)?),
            _ => return Err(ExportLineError::UnknownType(r#type)),
        })
    }

    /// The lines of a page. For the first page of a resumed export, `after` is the sequence number after which the
    /// export starts; otherwise it is 0.
    #[must_use]
    pub fn from_page(tenant_id: Uuid, after: i64, page: ChainPage) -> Vec<Self> {
        let mut lines = Vec::with_capacity(page.entries.len() + page.checkpoints.len() + 1);
        if after > 0 {
            lines.push(Self::Start(ExportStart { tenant_id, seq: after, chain_hash: page.previous_hash }));
        }
        lines.extend(page.purges.into_iter().map(Self::Purge));
        lines.extend(page.entries.into_iter().map(|entry| match entry {
            ChainPageEntry::Event(event) => Self::Event(event),
            ChainPageEntry::WithoutRow(entry) => Self::EntryWithoutRow(entry),
        }));
        lines.extend(page.checkpoints.into_iter().map(Self::Checkpoint));
        lines
    }
}
