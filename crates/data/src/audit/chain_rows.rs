//! Row types of chain entries joined with their audit rows, of checkpoints, and of purge records.

use crate::rows::{AuditHashColumn, JsonText};
use crate::statement::row;
use domain::audit::chain::{ChainPageEntry, ChainedEvent, Checkpoint, EntryWithoutRow, PurgeRecord, RowFormatVersion};
use domain::time::Timestamp;
use uuid::Uuid;

row! {
    /// A chain entry with its audit row. The columns from `event_type` on are null if the audit row has been deleted.
    pub(crate) struct ChainEntryRow {
        tenant_id: Uuid,
        seq: i64,
        id: Uuid,
        created_at: Timestamp,
        row_hash: AuditHashColumn,
        chain_hash: AuditHashColumn,
        event_type: Option<String>,
        phase: Option<String>,
        result_status: Option<String>,
        user_id: Option<Uuid>,
        format_version: Option<i16>,
        session_id: Option<Uuid>,
        conversation_id: Option<Uuid>,
        resource_type: Option<String>,
        resource_id: Option<Uuid>,
        model: Option<String>,
        tools_used: Option<Vec<String>>,
        request_hash: Option<String>,
        latency_ms: Option<i32>,
        correlation_id: Option<Uuid>,
        request_id: Option<String>,
        metadata: Option<JsonText>,
    }
}

row! {
    pub(crate) struct CheckpointRow {
        tenant_id: Uuid,
        seq: i64,
        chain_hash: AuditHashColumn,
        signed_at: Timestamp,
        key_id: String,
        signature: Vec<u8>,
    }
}

/// The columns of a [`CheckpointRow`].
macro_rules! checkpoint_columns {
    () => {
        "tenant_id, seq, chain_hash, at AS signed_at, key_id, signature"
    };
}
pub(super) use checkpoint_columns;

row! {
    pub(crate) struct PurgeRow {
        tenant_id: Uuid,
        through_seq: i64,
        chain_hash: AuditHashColumn,
        created_before: Timestamp,
        row_count: i64,
        signed_at: Timestamp,
        key_id: String,
        signature: Vec<u8>,
    }
}

/// The columns of a [`PurgeRow`].
macro_rules! purge_columns {
    () => {
        "tenant_id, through_seq, chain_hash, before AS created_before, rows AS row_count, at AS signed_at, key_id,
         signature"
    };
}
pub(super) use purge_columns;

/// The session id and the conversation id of an audit row.
pub(super) struct RecordedIds {
    pub(super) session: Option<Uuid>,
    pub(super) conversation: Option<Uuid>,
}

impl RecordedIds {
    /// Swaps the two ids if the row has format version 1, which stored the conversation id in `session_id`.
    pub(super) fn normalize_for_version(self, format_version: RowFormatVersion) -> Self {
        if format_version == RowFormatVersion::WITHOUT_SESSION {
            Self { session: self.conversation, conversation: self.session }
        } else {
            self
        }
    }
}

impl From<ChainEntryRow> for ChainPageEntry {
    fn from(row: ChainEntryRow) -> Self {
        let (AuditHashColumn(row_hash), AuditHashColumn(chain_hash)) = (row.row_hash, row.chain_hash);
        // These columns are NOT NULL in the log, so a null means that the audit row is missing.
        let (Some(event_type), Some(phase), Some(tools_used), Some(correlation_id), Some(JsonText(metadata))) =
            (row.event_type, row.phase, row.tools_used, row.correlation_id, row.metadata)
        else {
            return Self::WithoutRow(EntryWithoutRow {
                tenant_id: row.tenant_id,
                seq: row.seq,
                id: row.id,
                created_at: row.created_at,
                row_hash,
                chain_hash,
            });
        };
        let format_version = row.format_version.map(RowFormatVersion::from_number).unwrap_or_default();
        let ids = RecordedIds { session: row.session_id, conversation: row.conversation_id };
        let ids = ids.normalize_for_version(format_version);
        Self::Event(Box::new(ChainedEvent {
            format_version,
            tenant_id: row.tenant_id,
            seq: row.seq,
            id: row.id,
            created_at: row.created_at,
            event_type,
            phase,
            result_status: row.result_status,
            user_id: row.user_id,
            session_id: ids.session,
            conversation_id: ids.conversation,
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            model: row.model,
            tools_used,
            request_hash: row.request_hash,
            latency_ms: row.latency_ms,
            correlation_id,
            request_id: row.request_id,
            metadata,
            row_hash,
            chain_hash,
        }))
    }
}

impl From<CheckpointRow> for Checkpoint {
    fn from(row: CheckpointRow) -> Self {
        Self {
            tenant_id: row.tenant_id,
            seq: row.seq,
            chain_hash: row.chain_hash.0,
            signed_at: row.signed_at,
            key_id: row.key_id,
            signature: hex::encode(row.signature),
        }
    }
}

impl From<PurgeRow> for PurgeRecord {
    fn from(row: PurgeRow) -> Self {
        Self {
            tenant_id: row.tenant_id,
            through_seq: row.through_seq,
            chain_hash: row.chain_hash.0,
            created_before: row.created_before,
            row_count: row.row_count,
            signed_at: row.signed_at,
            key_id: row.key_id,
            signature: hex::encode(row.signature),
        }
    }
}
