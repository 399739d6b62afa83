//! Reading columns into the domain's types, and where pages start.

use domain::page::{PageKey, PageRequest};
use domain::role::Classification;
use domain::time::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{Decode, Postgres, Row, Type};
use std::str::FromStr;
use uuid::Uuid;

/// A column that holds an id.
pub(crate) fn id<T: From<Uuid>>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    row.try_get::<Uuid, _>(column).map(T::from)
}

/// A column that holds one of a fixed set of words.
pub(crate) fn word<T>(row: &PgRow, column: &str) -> Result<T, sqlx::Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    parse(column, row.try_get(column)?)
}

/// As [`word`], where the column may be null.
pub(crate) fn optional_word<T>(row: &PgRow, column: &str) -> Result<Option<T>, sqlx::Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.try_get::<Option<&str>, _>(column)?.map(|text| parse(column, text)).transpose()
}

/// A JSON column.
pub(crate) fn json<'r, T>(row: &'r PgRow, column: &str) -> Result<T, sqlx::Error>
where
    Json<T>: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get::<Json<T>, _>(column).map(|Json(value)| value)
}

fn parse<T>(column: &str, text: &str) -> Result<T, sqlx::Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse::<T>().map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) })
}

/// The values that a page's statement binds: after which row, and one more row than the page holds.
pub(crate) struct Start {
    /// Creation time of the last row seen.
    pub(crate) at: Option<Timestamp>,
    /// Its id.
    pub(crate) id: Option<Uuid>,
    /// How many rows to fetch; the surplus one says that there is a next page.
    pub(crate) fetch: i64,
}

impl Start {
    pub(crate) fn of(page: &PageRequest) -> Self {
        let after: Option<PageKey> = page.after;
        Self { at: after.map(|key| key.at), id: after.map(|key| key.id), fetch: i64::from(page.limit()) + 1 }
    }
}

/// The words up to a clearance.
pub(crate) fn words_up_to(clearance: Classification) -> Vec<&'static str> {
    let visible = Classification::ALL.iter().filter(|class| **class <= clearance);
    visible.map(|class| class.as_str()).collect()
}
