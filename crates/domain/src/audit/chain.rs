//! The hash chain of a tenant's audit log: what the hash of a row covers, and what a checkpoint signs.
//!
//! The database computes hashes and sequence numbers (migration 11). Verifiers recompute the hashes here, from the rows
//! or from an export. The hashed text is identical to the output of the database function
//! `audit_canonical`.

use super::canonical;
use crate::store_error::StoreError;
use crate::time::Timestamp;
use futures::stream::BoxStream;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A SHA-256 hash; in JSON, 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditHash([u8; 32]);

impl AuditHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn digest(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Wraps a hash that was read from the database; `None` unless it has 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash that a tenant's chain starts from.
    #[must_use]
    pub fn genesis(tenant: Uuid) -> Self {
        Self(Sha256::new().chain_update("platform-audit-chain/1").chain_update(tenant).finalize().into())
    }

    /// The chain hash at `seq`, where `self` is the chain hash of the previous entry and `at_micros` is in microseconds
    /// since 1970.
    #[must_use]
    pub fn next(&self, seq: i64, at_micros: i64, row_hash: &Self) -> Self {
        let hash = Sha256::new()
            .chain_update(self.0)
            .chain_update(seq.to_be_bytes())
            .chain_update(at_micros.to_be_bytes())
            .chain_update(row_hash.0);
        Self(hash.finalize().into())
    }
}

impl std::fmt::Display for AuditHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for AuditHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AuditHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = decode_hex(&text).and_then(|bytes| Self::from_slice(&bytes));
        bytes.ok_or_else(|| serde::de::Error::custom("a hash is 64 hexadecimal digits"))
    }
}

/// Decodes lower- or upper-case hexadecimal digits; `None` if the text is anything else.
#[must_use]
pub fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit()) && text.len().is_multiple_of(2);
    is_hex.then(|| text.as_bytes().chunks(2).map(pair).collect())?
}

/// A row of the log with its chain entry, as exported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChainedEvent {
    /// Which columns are hashed. Missing in exports of earlier versions.
    #[serde(default, rename = "layout")]
    pub format_version: RowFormatVersion,
    /// Tenant whose log contains the row.
    pub tenant_id: Uuid,
    /// Sequence number in the tenant's chain, from 1 without gaps.
    pub seq: i64,
    /// UUIDv7 of the row.
    pub id: Uuid,
    /// Time of the insert.
    pub created_at: Timestamp,
    /// Name of the event.
    pub event_type: String,
    /// `intent`, `outcome`, or `event` for a single row that is both.
    pub phase: String,
    /// Recorded result of the operation.
    pub result_status: Option<String>,
    /// The acting user; `None` for the worker, the system and refused tokens.
    pub user_id: Option<Uuid>,
    /// Session of the actor.
    #[serde(default)]
    pub session_id: Option<Uuid>,
    /// Conversation that the operation belongs to.
    pub conversation_id: Option<Uuid>,
    /// Kind of resource.
    pub resource_type: Option<String>,
    /// Id of the resource.
    pub resource_id: Option<Uuid>,
    /// Model that answered, if one was called.
    pub model: Option<String>,
    /// Names of the tools that were called, in order.
    pub tools_used: Vec<String>,
    /// Keyed hash of the request's content.
    pub request_hash: Option<String>,
    /// Milliseconds from intent to outcome.
    pub latency_ms: Option<i32>,
    /// Id of the intent row; the same in the intent and its outcome.
    pub correlation_id: Uuid,
    /// Id of the HTTP request or job that caused the row.
    pub request_id: Option<String>,
    /// Further details, as the JSON text from the database. It is not parsed, because that could change how numbers
    /// are written.
    pub metadata: Box<RawValue>,
    /// Hash of the row.
    pub row_hash: AuditHash,
    /// Chain hash at this entry.
    pub chain_hash: AuditHash,
}

/// Version of the row format: which columns of a row are hashed. Rows of version 1 have no session, and their
/// conversation is in the column `session_id`. The database and exports call it the layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowFormatVersion(i16);

impl Default for RowFormatVersion {
    fn default() -> Self {
        Self::WITHOUT_SESSION
    }
}

impl RowFormatVersion {
    /// Rows written before sessions were recorded.
    pub const WITHOUT_SESSION: Self = Self(1);
    /// Rows with a session and a conversation.
    pub const WITH_SESSION: Self = Self(2);

    /// Wraps the number in the column `layout`. An unknown number is kept and hashed, so verification detects it.
    #[must_use]
    pub const fn from_number(number: i16) -> Self {
        Self(number)
    }

    /// The number in the column `layout`.
    #[must_use]
    pub const fn number(self) -> i16 {
        self.0
    }
}

impl ChainedEvent {
    /// Whether the hash covers the session. If a row of version 1 has a session, someone has changed the row;
    /// hashing the session makes the verification fail.
    fn hashes_session(&self) -> bool {
        self.format_version != RowFormatVersion::WITHOUT_SESSION || self.session_id.is_some()
    }

    /// Time of the insert in microseconds since 1970, the form that is hashed.
    #[must_use]
    pub fn created_at_micros(&self) -> i64 {
        self.created_at.timestamp_micros()
    }

    /// The row's hash, recomputed from its fields.
    #[must_use]
    pub fn computed_hash(&self) -> AuditHash {
        AuditHash::digest(self.canonical_json().as_bytes())
    }

    /// The hashed text: a JSON array in the text form of PostgreSQL's `jsonb`.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        let mut array = canonical::ArrayBuilder::new();
        array.number(self.format_version.number().into());
        array.uuid(Some(self.tenant_id));
        array.uuid(Some(self.id));
        array.uuid(self.user_id);
        if self.hashes_session() {
            array.uuid(self.session_id);
        }
        array.uuid(self.conversation_id);
        array.text(Some(&self.event_type));
        array.text(self.resource_type.as_deref());
        array.uuid(self.resource_id);
        array.text(self.model.as_deref());
        array.texts(&self.tools_used);
        array.text(self.request_hash.as_deref());
        array.text(self.result_status.as_deref());
        match self.latency_ms {
            Some(latency) => array.number(latency.into()),
            None => array.null(),
        }
        array.json(&self.metadata);
        array.number(self.created_at_micros());
        array.uuid(Some(self.correlation_id));
        array.text(self.request_id.as_deref());
        array.text(Some(&self.phase));
        array.finish()
    }
}

/// A chain entry whose row is no longer in the log, because it was purged or deleted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EntryWithoutRow {
    /// Tenant whose log contained the row.
    pub tenant_id: Uuid,
    /// Sequence number in the tenant's chain, from 1.
    pub seq: i64,
    /// UUIDv7 of the row.
    pub id: Uuid,
    /// When the row was inserted.
    pub created_at: Timestamp,
    /// Hash of the row before it was removed.
    pub row_hash: AuditHash,
    /// Chain hash at this entry.
    pub chain_hash: AuditHash,
}

/// An entry of the chain, with or without its row.
#[derive(Clone, Debug)]
pub enum ChainPageEntry {
    /// An entry with its row.
    Event(Box<ChainedEvent>),
    /// An entry whose row was removed.
    WithoutRow(EntryWithoutRow),
}

impl ChainPageEntry {
    /// Sequence number in the tenant's chain, from 1.
    #[must_use]
    pub fn seq(&self) -> i64 {
        match self {
            Self::Event(event) => event.seq,
            Self::WithoutRow(entry) => entry.seq,
        }
    }
}

/// A signed statement of a platform process: at this time, the chain had this hash at this sequence number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Tenant that the chain belongs to.
    pub tenant_id: Uuid,
    /// Sequence number in the tenant's chain, from 1.
    pub seq: i64,
    /// Chain hash at that entry.
    pub chain_hash: AuditHash,
    /// Time of the signature.
    #[serde(rename = "at")]
    pub signed_at: Timestamp,
    /// Id of the key that signed.
    pub key_id: String,
    /// Ed25519 signature (RFC 8032) of [`Self::message`], in hex.
    pub signature: String,
}

impl Checkpoint {
    /// The bytes that are signed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let Self { tenant_id, seq, chain_hash, signed_at, .. } = self;
        let signed_at = signed_at.timestamp_micros();
        format!("platform-audit-checkpoint/1\n{tenant_id}\n{seq}\n{chain_hash}\n{signed_at}\n").into_bytes()
    }
}

/// A signed record of a purge: rows before a certain time were removed, and the remaining chain starts after this
/// entry. The database, exports and signed messages call it a retirement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PurgeRecord {
    /// Tenant that the log belongs to.
    pub tenant_id: Uuid,
    /// Sequence number through which all rows were removed.
    pub through_seq: i64,
    /// Chain hash at that entry; the next entry's hash is computed from it.
    pub chain_hash: AuditHash,
    /// Rows created before this time were removed.
    #[serde(rename = "before")]
    pub created_before: Timestamp,
    /// Number of removed rows.
    #[serde(rename = "rows")]
    pub row_count: i64,
    /// Time of the signature.
    #[serde(rename = "at")]
    pub signed_at: Timestamp,
    /// Id of the key that signed.
    pub key_id: String,
    /// Ed25519 signature of [`Self::message`], in hex.
    pub signature: String,
}

impl PurgeRecord {
    /// The bytes that are signed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let Self { tenant_id, through_seq, chain_hash, created_before, row_count, signed_at, .. } = self;
        let (created_before, signed_at) = (created_before.timestamp_micros(), signed_at.timestamp_micros());
        let chain = format!("{tenant_id}\n{through_seq}\n{chain_hash}");
        format!("platform-audit-retirement/1\n{chain}\n{created_before}\n{row_count}\n{signed_at}\n").into_bytes()
    }
}

/// A page of a tenant's log, in chain order.
#[derive(Clone, Debug)]
pub struct ChainPage {
    /// Chain hash before the first entry of the page.
    pub previous_hash: AuditHash,
    /// Entries in ascending order. If rows were purged, the sequence starts with a gap.
    pub entries: Vec<ChainPageEntry>,
    /// Checkpoints for the entries on this page; on the last page, also those for later entries.
    pub checkpoints: Vec<Checkpoint>,
    /// Records of purges; only on the first page.
    pub purges: Vec<PurgeRecord>,
    /// Whether more entries follow.
    pub has_more: bool,
}

/// Pages up to the last entry of the chain. An error ends the stream.
pub type ChainPages = BoxStream<'static, Result<ChainPage, StoreError>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hex_digits_in_json() {
        let hash = AuditHash::digest(b"");
        let json = serde_json::to_string(&hash).expect("JSON");
        assert_eq!(json, "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"");
        assert_eq!(serde_json::from_str::<AuditHash>(&json).expect("a hash"), hash);
        for invalid in
            ["\"e3\"", "\"\"", "\"zz\"", "7", "\"+3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\""]
        {
            assert!(serde_json::from_str::<AuditHash>(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_chain_hash_depends_on_tenant_sequence_time_and_row() {
        let (a, b) = (AuditHash::genesis(Uuid::from_u128(1)), AuditHash::genesis(Uuid::from_u128(2)));
        let row = AuditHash::digest(b"row");
        let first = a.next(1, 10, &row);
        for other in
            [b.next(1, 10, &row), a.next(2, 10, &row), a.next(1, 11, &row), a.next(1, 10, &AuditHash::digest(b"x"))]
        {
            assert_ne!(first, other);
        }
        assert_eq!(first, a.next(1, 10, &row));
    }
}
