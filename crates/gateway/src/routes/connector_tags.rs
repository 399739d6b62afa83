//! Tags of connectors as JSON, and their import from CSV.

use crate::body::PathId;
use crate::caller::AuthenticatedRequest;
use crate::csv_body::{self, CsvBody, MAX_LINE_ERRORS, malformed};
use crate::error::ApiError;
use crate::fields;
use crate::state::AppState;
use axum::Json;
use csv::StringRecord;
use domain::command::{ImportTags, NewTag};
use domain::error::ErrorKind;
use domain::ids::ConnectorId;
use domain::plant::{DataType, MAX_TAGS_OF_CONNECTOR, OfferedTag, Tag, TagAddress, TagLimits, TagMapping};
use domain::upload::FieldError;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Maximum length of a description or of a path of equipment, in characters.
const MAX_TEXT_CHARS: usize = 1_000;
/// The columns of a CSV file; all except the first two are optional.
const COLUMNS: [&str; 11] = [
    "tag",
    "address",
    "unit",
    "description",
    "equipment",
    "data_type",
    "scale",
    "normal_low",
    "normal_high",
    "alarm_low",
    "alarm_high",
];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(import))
}

fn data_type_or_null() -> RefOr<Schema> {
    fields::enum_schema(DataType::ALL.iter().map(|data_type| data_type.as_str()), true)
}

/// A tag of a connector.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTag)]
pub(super) struct NewTagBody {
    /// Name, unique within the tenant.
    #[schema(min_length = 1, max_length = 128)]
    tag: String,
    /// Address in the notation of the connector's kind.
    #[schema(min_length = 1, max_length = 512)]
    address: String,
    #[schema(max_length = 1000)]
    unit: Option<String>,
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// Path of the equipment, as in `Site/Area 1/P-101`.
    #[schema(max_length = 1000)]
    equipment: Option<String>,
    /// Encoding of the value in Modbus registers.
    #[schema(schema_with = data_type_or_null)]
    data_type: Option<DataType>,
    /// Factor by which numbers are multiplied.
    scale: Option<f64>,
    limits: Option<LimitsBody>,
}

/// A tag of a connector.
#[derive(Serialize, ToSchema)]
#[schema(as = Tag)]
pub(super) struct TagBody {
    tag: String,
    address: String,
    unit: Option<String>,
    description: Option<String>,
    equipment: Option<String>,
    #[schema(schema_with = data_type_or_null)]
    data_type: Option<&'static str>,
    scale: Option<f64>,
    limits: LimitsBody,
}

/// Limits in the tag's unit.
#[derive(Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = TagLimits)]
pub(super) struct LimitsBody {
    normal_low: Option<f64>,
    normal_high: Option<f64>,
    alarm_low: Option<f64>,
    alarm_high: Option<f64>,
}

/// The tags that a plant system offers.
#[derive(Serialize, ToSchema)]
#[schema(as = OfferedTags)]
pub(super) struct OfferedTagsBody {
    /// Whether its protocol can list tags.
    supported: bool,
    tags: Vec<OfferedTagBody>,
}

/// A tag that a plant system offers. Names and descriptions come from the plant system.
#[derive(Serialize, ToSchema)]
#[schema(as = OfferedTag)]
struct OfferedTagBody {
    tag: String,
    address: String,
    unit: Option<String>,
    description: Option<String>,
    #[schema(schema_with = data_type_or_null)]
    data_type: Option<&'static str>,
}

/// Result of an import.
#[derive(Serialize, ToSchema)]
#[schema(as = TagImport)]
struct ImportBody {
    /// Number of tags in the file.
    imported: usize,
    /// Number of tags that the connector has now.
    tags: usize,
}

impl From<TagLimits> for LimitsBody {
    fn from(TagLimits { normal_low, normal_high, alarm_low, alarm_high }: TagLimits) -> Self {
        Self { normal_low, normal_high, alarm_low, alarm_high }
    }
}

impl LimitsBody {
    /// Checks that low limits are below high ones.
    fn parse(self) -> Result<TagLimits, FieldError> {
        let Self { normal_low, normal_high, alarm_low, alarm_high } = self;
        for (field, low, high) in [("normal_high", normal_low, normal_high), ("alarm_high", alarm_low, alarm_high)] {
            if low.zip(high).is_some_and(|(low, high)| low >= high) {
                return Err(FieldError {
                    pointer: format!("/{field}"),
                    detail: "must be above the low one".to_owned(),
                });
            }
        }
        Ok(TagLimits { normal_low, normal_high, alarm_low, alarm_high })
    }
}

impl NewTagBody {
    /// Parses a tag. Pointers are relative to it.
    fn parse(self) -> Result<NewTag, FieldError> {
        let error = |field: &str, detail: String| FieldError { pointer: format!("/{field}"), detail };
        let text = |field: &str, text: Option<String>| {
            let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            match text {
                Some(text) if text.chars().count() > MAX_TEXT_CHARS => {
                    Err(error(field, format!("must be at most {MAX_TEXT_CHARS} characters long")))
                }
                text => Ok(text),
            }
        };
        let name = domain::text::BoundedText::parse(&self.tag).map_err(|cause| error("tag", cause.to_string()))?;
        let limits = self
            .limits
            .unwrap_or_default()
            .parse()
            .map_err(|cause| FieldError { pointer: format!("/limits{}", cause.pointer), ..cause })?;
        Ok(NewTag {
            name,
            mapping: TagMapping {
                address: TagAddress(self.address.trim().to_owned()),
                data_type: self.data_type,
                scale: self.scale,
            },
            unit: text("unit", self.unit)?,
            description: text("description", self.description)?,
            equipment: text("equipment", self.equipment)?,
            limits,
        })
    }
}

/// Parses the tags of a connector.
pub(super) fn parse_tags(tags: Vec<NewTagBody>) -> Result<Vec<NewTag>, ApiError> {
    let parse = |(index, tag): (usize, NewTagBody)| {
        let at = |error: FieldError| FieldError { pointer: format!("/tags/{index}{}", error.pointer), ..error };
        tag.parse().map_err(|error| ApiError::from(at(error)))
    };
    tags.into_iter().enumerate().map(parse).collect()
}

impl From<Tag> for TagBody {
    fn from(tag: Tag) -> Self {
        Self {
            tag: tag.name,
            address: tag.mapping.address.0,
            unit: tag.unit,
            description: tag.description,
            equipment: tag.equipment,
            data_type: tag.mapping.data_type.map(DataType::as_str),
            scale: tag.mapping.scale,
            limits: tag.limits.into(),
        }
    }
}

impl From<Option<Vec<OfferedTag>>> for OfferedTagsBody {
    fn from(tags: Option<Vec<OfferedTag>>) -> Self {
        let offered = |tag: OfferedTag| OfferedTagBody {
            tag: tag.name,
            address: tag.mapping.address.0,
            unit: tag.unit,
            description: tag.description,
            data_type: tag.mapping.data_type.map(DataType::as_str),
        };
        Self { supported: tags.is_some(), tags: tags.into_iter().flatten().map(offered).collect() }
    }
}

/// A tag of a CSV file with its line.
struct CsvTag {
    line: u64,
    tag: NewTag,
}

/// Adds the tags of a CSV file to a connector, and changes those of the same name. Either all lines are imported, or
/// none.
///
/// The first line names the columns: `tag` and `address`, and optionally `unit`, `description`, `equipment`,
/// `data_type`, `scale`, `normal_low`, `normal_high`, `alarm_low`, `alarm_high`; separated by commas or semicolons, in
/// UTF-8.
#[utoipa::path(
    post, path = "/v1/admin/connectors/{id}/tags/import", tag = "plant", params(("id" = Uuid, Path)),
    request_body(content = String, content_type = "text/csv"), responses((status = 200, body = ImportBody))
)]
async fn import(
    call: AuthenticatedRequest,
    PathId(id): PathId<ConnectorId>,
    CsvBody(bytes): CsvBody,
) -> Result<Json<ImportBody>, ApiError> {
    let rows = parse_csv(&bytes)?;
    let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
    let tags: Vec<NewTag> = rows.into_iter().map(|row| row.tag).collect();
    let imported = tags.len();
    let changed = call.execute(ImportTags { id, tags }).await.map_err(|error| with_lines(error, &lines))?;
    Ok(Json(ImportBody { imported, tags: changed.after.tags.len() }))
}

/// Replaces the positions of tags (`/tags/0/address`) by those of their lines.
fn with_lines(mut error: ApiError, lines: &[u64]) -> ApiError {
    for field in &mut error.fields {
        let position = field.pointer.strip_prefix("/tags/").and_then(|rest| rest.split_once('/'));
        let line = position.and_then(|(index, column)| Some((*lines.get(index.parse::<usize>().ok()?)?, column)));
        if let Some((line, column)) = line {
            *field = line_error(line, column, &field.detail);
        }
    }
    error
}

fn line_error(line: u64, column: &str, detail: &str) -> FieldError {
    csv_body::line_error(line, column.trim_start_matches("limits/"), detail)
}

/// Parses a CSV file.
fn parse_csv(bytes: &[u8]) -> Result<Vec<CsvTag>, ApiError> {
    let text = csv_body::decode(bytes)?;
    let mut reader = csv_body::reader(&text);
    let header = reader.headers().map_err(|error| malformed(&error))?.clone();
    let columns = csv_body::parse_header(&header, &COLUMNS, &["tag", "address"])?;
    let (mut rows, mut errors, mut names) = (Vec::new(), Vec::new(), HashMap::new());
    for record in reader.records() {
        let record = record.map_err(|error| malformed(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        match parse_row(&record, &columns) {
            Ok(tag) => {
                if let Some(first) = names.insert(tag.name.as_str().to_owned(), line) {
                    errors.push(line_error(line, "tag", &format!("is the name in line {first}, too")));
                }
                rows.push(CsvTag { line, tag });
            }
            Err(error) => errors.push(line_error(line, error.pointer.trim_start_matches('/'), &error.detail)),
        }
        if errors.len() >= MAX_LINE_ERRORS || rows.len() > MAX_TAGS_OF_CONNECTOR {
            break;
        }
    }
    if rows.len() > MAX_TAGS_OF_CONNECTOR {
        return Err(ApiError::invalid_field("", format!("must be at most {MAX_TAGS_OF_CONNECTOR} tags")));
    }
    if !errors.is_empty() {
        return Err(ApiError { fields: errors, ..ApiError::from_kind(ErrorKind::InvalidField) });
    }
    if rows.is_empty() {
        return Err(ApiError::invalid_field("/lines/2", "the file has no tags below its first line"));
    }
    Ok(rows)
}

fn parse_row(record: &StringRecord, columns: &HashMap<&'static str, usize>) -> Result<NewTag, FieldError> {
    let cell = |column: &str| {
        let text = columns.get(column).and_then(|index| record.get(*index)).unwrap_or_default();
        Some(text).filter(|text| !text.is_empty())
    };
    let error = |column: &str, detail: String| FieldError { pointer: format!("/{column}"), detail };
    let number = |column: &str| {
        let parse = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        cell(column).map(|text| parse(text).ok_or_else(|| error(column, "must be a number".to_owned()))).transpose()
    };
    if record.len() > columns.len() {
        return Err(error("tag", format!("is in a line of {} cells, not {}", record.len(), columns.len())));
    }
    let data_type = cell("data_type").map(str::parse::<DataType>).transpose();
    NewTagBody {
        tag: cell("tag").unwrap_or_default().to_owned(),
        address: cell("address").ok_or_else(|| error("address", "must not be empty".to_owned()))?.to_owned(),
        unit: cell("unit").map(str::to_owned),
        description: cell("description").map(str::to_owned),
        equipment: cell("equipment").map(str::to_owned),
        data_type: data_type.map_err(|cause| error("data_type", cause.to_string()))?,
        scale: number("scale")?,
        limits: Some(LimitsBody {
            normal_low: number("normal_low")?,
            normal_high: number("normal_high")?,
            alarm_low: number("alarm_low")?,
            alarm_high: number("alarm_high")?,
        }),
    }
    .parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(csv: &str) -> Vec<String> {
        match parse_csv(csv.as_bytes()) {
            Ok(rows) => rows.iter().map(|row| format!("{} {}", row.line, row.tag.name.as_str())).collect(),
            Err(error) if error.fields.is_empty() => vec![error.detail.unwrap_or_default()],
            Err(error) => error.fields.into_iter().map(|field| field.pointer).collect(),
        }
    }

    #[test]
    fn a_file_with_commas_or_semicolons_is_read() {
        let commas = "tag,address,unit,scale\nPIT-1001,holding:4,bar,0.1\n\"A, B\",holding:5,,\n";
        assert_eq!(pointers(commas), ["2 PIT-1001", "3 A, B"]);
        let semicolons = "\u{feff}Tag;Address;Normal_high\r\nPIT-1001;ns=2;20.8\r\n";
        assert_eq!(pointers(semicolons), ["2 PIT-1001"]);
    }

    #[test]
    fn each_wrong_line_is_named_and_nothing_is_read() {
        let csv = "tag,address,scale,normal_low,normal_high,data_type\n,a,,,,\nA,a,x,,,\nB,,,,,\nC,c,,5,4,\n\
                   D,d,,,,int99\nE,e,,,,\nE,e,,,,\n";
        assert_eq!(
            pointers(csv),
            [
                "/lines/2/tag",
                "/lines/3/scale",
                "/lines/4/address",
                "/lines/5/normal_high",
                "/lines/6/data_type",
                "/lines/8/tag",
            ]
        );
        assert_eq!(pointers("tag,adress\nA,a\n"), ["/lines/1"]);
        assert_eq!(pointers("tag\nA\n"), ["/lines/1"]);
        assert_eq!(pointers("tag,address\n"), ["/lines/2"]);
        assert_eq!(pointers("tag,address\nA,a,b\n"), ["/lines/2/tag"]);
    }
}
