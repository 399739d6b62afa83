//! Cursor pagination: parses `limit` and `cursor`, and writes lists.

use crate::error::ApiError;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike};
use domain::page::{Page, PageKey, PageRequest};
use domain::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Length of a decoded cursor: microseconds since 1970 (big-endian), then the id.
const CURSOR_BYTES: usize = 8 + 16;

/// Start of the year 1, in microseconds since 1970: the earliest timestamp that is passed to the database.
const MIN_TIMESTAMP_MICROS: i64 = -62_135_596_800_000_000;
/// End of the year 9999, in microseconds since 1970: the latest timestamp that is passed to the database.
const MAX_TIMESTAMP_MICROS: i64 = 253_402_300_799_999_999;

/// One page of a list, newest first.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Listing<T> {
    /// The items.
    pub(crate) data: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last page.
    pub(crate) next_cursor: Option<String>,
    /// Whether there is a next page.
    pub(crate) has_more: bool,
}

impl<T> Listing<T> {
    /// Converts a page of domain objects with `convert`.
    pub(crate) fn from_page<D>(page: Page<D>, convert: impl Fn(D) -> T) -> Self {
        Self {
            has_more: page.next.is_some(),
            next_cursor: page.next.map(encode),
            data: page.items.into_iter().map(convert).collect(),
        }
    }
}

/// Parses `limit` and `cursor`.
pub(crate) fn parse(limit: Option<u32>, cursor: Option<&str>) -> Result<PageRequest, ApiError> {
    let after = match cursor {
        Some(text) => Some(decode(text).ok_or_else(|| {
            ApiError::invalid_field("/cursor", "is not a valid cursor; leave it out to start at the first page")
        })?),
        None => None,
    };
    PageRequest::new(limit.unwrap_or(PageRequest::DEFAULT_LIMIT), after)
        .ok_or_else(|| ApiError::invalid_field("/limit", format!("must be from 1 to {}", PageRequest::MAX_LIMIT)))
}

fn encode(key: PageKey) -> String {
    let mut bytes = [0; CURSOR_BYTES];
    bytes[..8].copy_from_slice(&key.created_at.timestamp_micros().to_be_bytes());
    bytes[8..].copy_from_slice(key.id.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<PageKey> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let bytes: [u8; CURSOR_BYTES] = bytes.try_into().ok()?;
    let (at, id) = bytes.split_first_chunk::<8>()?;
    // A timestamp outside of the range is valid, since it is before or after all rows.
    let at = i64::from_be_bytes(*at).clamp(MIN_TIMESTAMP_MICROS, MAX_TIMESTAMP_MICROS);
    Some(PageKey { created_at: DateTime::from_timestamp_micros(at)?, id: Uuid::from_slice(id).ok()? })
}

/// Checks that a timestamp in a filter is within the range that the database supports.
pub(crate) fn check_timestamp(pointer: &str, time: Option<Timestamp>) -> Result<Option<Timestamp>, ApiError> {
    match time {
        Some(at) if !in_range(at) => Err(ApiError::invalid_field(pointer, "must be between the years 1 and 9999")),
        other => Ok(other),
    }
}

fn in_range(at: Timestamp) -> bool {
    (1..=9999).contains(&at.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_decodes_to_its_key() {
        let key = PageKey {
            created_at: DateTime::from_timestamp_micros(1_767_225_600_123_456).expect("a valid time"),
            id: Uuid::from_u128(7),
        };
        assert_eq!(decode(&encode(key)), Some(key));
    }

    #[test]
    fn invalid_cursors_and_limits_are_refused_with_their_pointer() {
        for invalid in ["", "x", "AAAA", "!!!", &"A".repeat(33), &"f".repeat(31)] {
            let error = parse(None, Some(invalid)).expect_err(invalid);
            assert_eq!(error.fields[0].pointer, "/cursor", "{invalid}");
        }
        for out_of_range in ["f".repeat(32), "_".repeat(32), "A".repeat(32)] {
            let at = decode(&out_of_range).expect("a valid cursor").created_at;
            assert!(in_range(at), "{out_of_range}: {at}");
        }
        for invalid in [0, 201, u32::MAX] {
            let error = parse(Some(invalid), None).expect_err("out of range");
            assert_eq!(error.fields[0].pointer, "/limit");
        }
        assert_eq!(parse(Some(200), None).map(|page| page.limit()), Ok(200));
    }
}
