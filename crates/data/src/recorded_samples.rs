//! Samples of tags that the platform records.

use crate::rows::TextEnum;
use crate::statement::{DbRole, Statement, row, statements};
use domain::ids::TagId;
use domain::plant::{Quality, RecordedSample, Sample, TagValue};
use domain::ports::StoreError;
use domain::time::Timestamp;
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::ops::Range;
use uuid::Uuid;

row! {
    struct RecordedRow, columns = recorded_columns {
        tag_id: Uuid,
        at: Timestamp,
        number: Option<f64>,
        other: Option<Json<TagValue>>,
        quality: TextEnum<Quality>,
        quality_code: Option<String>,
        source_timestamp: Option<Timestamp>,
        stale: bool,
    }
}

statements! {
    INSERT: () = Statement::insert(
        "recorded_samples",
        "recording samples",
        "INSERT INTO recorded_samples (tenant_id, tag_id, at, number, other, quality, quality_code, source_timestamp,
                                       stale)
         SELECT app_tenant(), s.tag_id, s.at, s.number, s.other, s.quality, s.quality_code, s.source_timestamp, s.stale
         FROM jsonb_to_recordset($1) AS s
             (tag_id uuid, at timestamptz, number double precision, other jsonb, quality text, quality_code text,
              source_timestamp timestamptz, stale boolean)
         ON CONFLICT (tenant_id, tag_id, at) DO NOTHING",
    )
    .run_by(DbRole::Plant);
    READ: RecordedRow = Statement::select(
        "recorded_samples",
        "reading recorded samples",
        concat!(
            "SELECT ",
            recorded_columns!(),
            " FROM recorded_samples
             WHERE tenant_id = app_tenant() AND tag_id = $1 AND at >= $2 AND at < $3 ORDER BY at LIMIT $4"
        ),
    )
    .run_by(DbRole::Plant);
}

/// A sample as `jsonb_to_recordset` reads it.
#[derive(Serialize)]
struct StoredSample<'a> {
    tag_id: TagId,
    at: Timestamp,
    number: Option<f64>,
    other: Option<&'a TagValue>,
    quality: Quality,
    quality_code: Option<&'a str>,
    source_timestamp: Option<Timestamp>,
    stale: bool,
}

impl<'a> From<&'a RecordedSample> for StoredSample<'a> {
    fn from(recorded: &'a RecordedSample) -> Self {
        let RecordedSample { tag, at, sample, is_stale } = recorded;
        let number = sample.value.as_ref().and_then(TagValue::as_number);
        Self {
            tag_id: *tag,
            at: *at,
            number,
            other: sample.value.as_ref().filter(|_| number.is_none()),
            quality: sample.quality,
            quality_code: sample.quality_code.as_deref(),
            source_timestamp: sample.source_timestamp,
            stale: *is_stale,
        }
    }
}

pub(crate) async fn insert(connection: &mut PgConnection, samples: &[RecordedSample]) -> Result<(), StoreError> {
    let rows: Vec<StoredSample<'_>> = samples.iter().map(StoredSample::from).collect();
    INSERT.query().bind(Json(rows)).execute(connection).await
}

pub(crate) async fn read(
    connection: &mut PgConnection,
    tag: TagId,
    period: Range<Timestamp>,
    limit: u32,
) -> Result<Vec<RecordedSample>, StoreError> {
    let query = READ.query().bind(tag.as_uuid()).bind(period.start).bind(period.end).bind(i64::from(limit));
    query.fetch_all(connection).await
}

impl From<RecordedRow> for RecordedSample {
    fn from(row: RecordedRow) -> Self {
        let value = row.number.and_then(TagValue::number).or_else(|| row.other.map(|Json(value)| value));
        Self {
            tag: row.tag_id.into(),
            at: row.at,
            sample: Sample {
                value,
                unit: None,
                quality: row.quality.0,
                quality_code: row.quality_code,
                source_timestamp: row.source_timestamp,
                received_at: row.at,
            },
            is_stale: row.stale,
        }
    }
}
