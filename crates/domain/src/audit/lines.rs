//! The log as lines of JSON (NDJSON), one thing a line: what an export is made of and what is verified offline.

use super::sealed::{ChainHash, Checkpoint, EntryWithoutRow, Retirement, SealedEntry, SealedEvent, SealedPage};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a resumed export continues: the chain's hash before the next entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Tenant that this belongs to.
    pub tenant_id: Uuid,
    /// The place before the next entry.
    pub seq: i64,
    /// The chain's hash there.
    pub chain_hash: ChainHash,
}

/// A line of an export.
#[derive(Clone, Debug)]
pub enum Line {
    /// `"type": "start"`
    Start(Start),
    /// `"type": "event"`
    Event(Box<SealedEvent>),
    /// `"type": "entry"`: a place without its row.
    Entry(EntryWithoutRow),
    /// `"type": "checkpoint"`
    Checkpoint(Checkpoint),
    /// `"type": "retirement"`
    Retirement(Retirement),
}

/// A line that is not part of an audit export.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The line is not JSON, or members are missing or of the wrong type.
    #[error("the line is not of an audit export")]
    Json(#[from] serde_json::Error),
    /// This program does not know the line's type.
    #[error("the line is of the unknown type {0:?}")]
    Type(String),
}

impl Line {
    /// The line, without its end.
    ///
    /// # Errors
    /// Never, short of a defect: everything in it can be written as JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let (kind, body) = match self {
            Self::Start(start) => ("start", serde_json::to_string(start)?),
            Self::Event(event) => ("event", serde_json::to_string(event)?),
            Self::Entry(entry) => ("entry", serde_json::to_string(entry)?),
            Self::Checkpoint(checkpoint) => ("checkpoint", serde_json::to_string(checkpoint)?),
            Self::Retirement(retirement) => ("retirement", serde_json::to_string(retirement)?),
        };
        // An internally tagged enum would take the metadata's text apart.
        Ok(format!("{{\"type\":\"{kind}\",{}", body.get(1..).unwrap_or_default()))
    }

    /// Reads a line.
    ///
    /// # Errors
    /// If the line is not part of an export.
    pub fn parse(line: &str) -> Result<Self, LineError> {
        #[derive(Deserialize)]
        struct Tag {
            r#type: String,
        }
        let Tag { r#type } = serde_json::from_str(line)?;
        Ok(match r#type.as_str() {
            "start" => Self::Start(serde_json::from_str(line)?),
            "event" => Self::Event(serde_json::from_str(line)?),
            "entry" => Self::Entry(serde_json::from_str(line)?),
            "checkpoint" => Self::Checkpoint(serde_json::from_str(line)?),
            "retirement" => Self::Retirement(serde_json::from_str(line)?),
            _ => return Err(LineError::Type(r#type)),
        })
    }

    /// The lines of a page. `after`: the place after which an export was taken up again, on its first page; 0
    /// otherwise.
    #[must_use]
    pub fn of_page(tenant_id: Uuid, after: i64, page: SealedPage) -> Vec<Self> {
        let mut lines = Vec::with_capacity(page.entries.len() + page.checkpoints.len() + 1);
        if after > 0 {
            lines.push(Self::Start(Start { tenant_id, seq: after, chain_hash: page.anchor }));
        }
        lines.extend(page.retirements.into_iter().map(Self::Retirement));
        lines.extend(page.entries.into_iter().map(|entry| match entry {
            SealedEntry::Event(event) => Self::Event(event),
            SealedEntry::WithoutRow(entry) => Self::Entry(entry),
        }));
        lines.extend(page.checkpoints.into_iter().map(Self::Checkpoint));
        lines
    }
}
