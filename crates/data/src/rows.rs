//! Column types for domain values, and the bind parameters of keyset pagination.

use domain::audit::chain::AuditHash;
use domain::page::{PageKey, PageRequest};
use domain::role::Classification;
use domain::time::Timestamp;
use serde_json::value::RawValue;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};
use std::error::Error;
use std::str::FromStr;
use uuid::Uuid;

/// A text column that stores an enum by name; decoded with the enum's [`FromStr`].
pub(crate) struct TextEnum<T>(pub(crate) T);

impl<T> Type<Postgres> for TextEnum<T> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(column: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(column)
    }
}

impl<T> Decode<'_, Postgres> for TextEnum<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(<&str as Decode<'_, Postgres>>::decode(value)?.parse()?))
    }
}

/// A `bytea` column that holds an [`AuditHash`], a SHA-256 digest (32 bytes).
pub(crate) struct AuditHashColumn(pub(crate) AuditHash);

impl Type<Postgres> for AuditHashColumn {
    fn type_info() -> PgTypeInfo {
        <[u8] as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for AuditHashColumn {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let bytes = <&[u8] as Decode<'_, Postgres>>::decode(value)?;
        AuditHash::from_slice(bytes).map(Self).ok_or_else(|| "not a SHA-256 digest: the length is not 32 bytes".into())
    }
}

/// A text column that holds JSON. The text is kept exactly as the database returned it, because it is hashed.
pub(crate) struct JsonText(pub(crate) Box<RawValue>);

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(column: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(column)
    }
}

impl Decode<'_, Postgres> for JsonText {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let text = <String as Decode<'_, Postgres>>::decode(value)?;
        Ok(Self(RawValue::from_string(text)?))
    }
}

/// The bind parameters of a statement that lists one page, newest rows first (keyset pagination).
pub(crate) struct KeysetParams {
    /// Creation time of the last row of the previous page; `None` for the first page.
    pub(crate) created_at: Option<Timestamp>,
    /// Id of that row, the tie-breaker for equal creation times.
    pub(crate) id: Option<Uuid>,
    /// Number of rows to fetch: the page size plus one row, which shows whether there is a next page.
    pub(crate) limit: i64,
}

impl KeysetParams {
    pub(crate) fn new(page: &PageRequest) -> Self {
        let after: Option<PageKey> = page.after;
        Self {
            created_at: after.map(|key| key.created_at),
            id: after.map(|key| key.id),
            limit: i64::from(page.limit()) + 1,
        }
    }
}

/// The classifications up to and including `clearance`, as the tables store them.
pub(crate) fn visible_classifications(clearance: Classification) -> Vec<&'static str> {
    let visible = Classification::ALL.iter().filter(|classification| **classification <= clearance);
    visible.map(|classification| classification.as_str()).collect()
}

/// Converts a count or sum from the database, which is never negative. Returns 0 for a negative number.
pub(crate) fn non_negative(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
