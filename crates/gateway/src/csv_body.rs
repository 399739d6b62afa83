//! Bodies of comma-separated values: UTF-8, separated by commas or semicolons, with the names of the columns in the
//! first line.

use crate::body::read_to_limit;
use crate::error::ApiError;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use csv::{Position, Reader, ReaderBuilder, StringRecord, Trim};
use domain::error::ErrorKind;
use domain::upload::FieldError;
use std::collections::HashMap;

/// Maximum size of a file.
const MAX_BYTES: u64 = 4 << 20;
/// Maximum number of wrong lines that are named.
pub(crate) const MAX_LINE_ERRORS: usize = 50;

/// A line of a file.
pub(crate) type Record = StringRecord;

/// Extractor of a body of type `text/csv`.
pub(crate) struct CsvBody(pub(crate) Vec<u8>);

impl<S: Sync> FromRequest<S> for CsvBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence != "text/csv" {
            return Err(ApiError::new(ErrorKind::UnsupportedType, "The request needs a body of type text/csv."));
        }
        Ok(Self(read_to_limit(body, &parts.headers, MAX_BYTES).await?))
    }
}

/// The text of a file, without a byte order mark and with line feeds only, so that lines are counted right.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, ApiError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| ApiError::new(ErrorKind::Malformed, "The file is not UTF-8; save it as CSV UTF-8."))?;
    // The reader counts a carriage return with a line feed to the line after them.
    Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
}

/// A reader of a decoded file. The separator is the one that the first line has more of.
pub(crate) fn reader(text: &str) -> Reader<&[u8]> {
    let header_line = text.lines().next().unwrap_or_default();
    let delimiter = if header_line.matches(';').count() > header_line.matches(',').count() { b';' } else { b',' };
    ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(Trim::All).from_reader(text.as_bytes())
}

/// The position of each column. Every name in the header must be one of `columns`, and all of `required` must be there.
pub(crate) fn parse_header(
    header: &StringRecord,
    columns: &[&'static str],
    required: &[&str],
) -> Result<HashMap<&'static str, usize>, ApiError> {
    let mut positions = HashMap::new();
    for (index, name) in header.iter().enumerate() {
        let name = name.to_lowercase();
        let Some(known) = columns.iter().find(|known| **known == name) else {
            let detail = format!("line 1: {name:?} is no column; the columns are {}", columns.join(", "));
            return Err(ApiError::invalid_field("/lines/1", detail));
        };
        positions.insert(*known, index);
    }
    match required.iter().find(|required| !positions.contains_key(**required)) {
        Some(missing) => Err(ApiError::invalid_field("/lines/1", format!("line 1: the column {missing} is missing"))),
        None => Ok(positions),
    }
}

/// Number of the line at a position, from 1.
pub(crate) fn line_of(position: &Position) -> u64 {
    position.line()
}

/// The error of a file that is not valid CSV.
pub(crate) fn malformed(error: &csv::Error) -> ApiError {
    let line = error.position().map_or(0, Position::line);
    ApiError::new(ErrorKind::Malformed, format!("The file is not valid CSV: line {line}."))
}

/// What is wrong with a column of a line.
pub(crate) fn line_error(line: u64, column: &str, detail: &str) -> FieldError {
    FieldError { pointer: format!("/lines/{line}/{column}"), detail: format!("line {line}: {column} {detail}") }
}
