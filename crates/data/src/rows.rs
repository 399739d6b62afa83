//! Column types of the domain's values, and where pages start.

use domain::audit::sealed::ChainHash;
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

/// A text column that holds one of a closed set of words.
pub(crate) struct Word<T>(pub(crate) T);

impl<T> Type<Postgres> for Word<T> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(column: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(column)
    }
}

impl<T> Decode<'_, Postgres> for Word<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(<&str as Decode<'_, Postgres>>::decode(value)?.parse()?))
    }
}

/// A `bytea` column that holds a SHA-256.
pub(crate) struct Hash(pub(crate) ChainHash);

impl Type<Postgres> for Hash {
    fn type_info() -> PgTypeInfo {
        <[u8] as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for Hash {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let bytes = <&[u8] as Decode<'_, Postgres>>::decode(value)?;
        ChainHash::from_slice(bytes).map(Self).ok_or_else(|| "not a SHA-256".into())
    }
}

/// A text column that holds JSON, kept as the database wrote it.
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

/// The values that a page's statement binds.
pub(crate) struct Start {
    /// Creation time of the last row of the page before.
    pub(crate) at: Option<Timestamp>,
    /// Id of that row.
    pub(crate) id: Option<Uuid>,
    /// How many rows to fetch: one more than the page holds, which shows whether there is a next page.
    pub(crate) fetch: i64,
}

impl Start {
    pub(crate) fn of(page: &PageRequest) -> Self {
        let after: Option<PageKey> = page.after;
        Self { at: after.map(|key| key.at), id: after.map(|key| key.id), fetch: i64::from(page.limit()) + 1 }
    }
}

/// The classifications that a clearance allows to see, as the tables spell them.
pub(crate) fn visible_classifications(clearance: Classification) -> Vec<&'static str> {
    let visible = Classification::ALL.iter().filter(|class| **class <= clearance);
    visible.map(|class| class.as_str()).collect()
}

/// A count or sum of the database, which is never negative.
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
