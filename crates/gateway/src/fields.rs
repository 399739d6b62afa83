//! Parts shared by several routes: schemas of enums, citations, and parsing of common fields.

use crate::error::ApiError;
use chrono::{DateTime, Utc};
use domain::approval::{ApprovalRole, ApprovalStatus, ApproverVerdict, ExpiryAction};
use domain::audit::ResultStatus;
use domain::backend_health::BackendStatus;
use domain::channel::{ChannelKind, DeliveryStatus};
use domain::command::{Branches, RetrievalMode};
use domain::conversation::{Citation, DocumentCitation, MessageRole, MessageStatus, ReadingCitation, TextRange};
use domain::decision::Rule;
use domain::document::{DocumentStatus, FailureCode};
use domain::feedback::Rating;
use domain::glossary::GlossarySource;
use domain::goal::{GoalEventKind, GoalStatus, PlanApproval, StepStatus};
use domain::ids::{DocumentId, TeamId};
use domain::ledger::UsageDimension;
use domain::maintenance::{MaintenanceAuth, MaintenanceKind};
use domain::mcp::McpToolState;
use domain::memory::{MemoryOrigin, MemoryStatus};
use domain::model::TierChoice;
use domain::plant::{Aggregate, PlantMode, Quality, TagValue};
use domain::role::{Classification, Grant, Operation, Resource, Role};
use domain::run::{Escalation, FinishReason, ToolStatus};
use domain::team::{InvitationStatus, TeamRole};
use domain::text::{BoundedText, ShortText};
use domain::work_order::WorkOrderStatus;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, RefOr, Schema};
use uuid::Uuid;

/// Pattern of text that has a character other than white space, and no U+0000, which PostgreSQL cannot store.
pub(crate) const NOT_BLANK: &str = r"^[^\x00]*[^\s\x00][^\x00]*$";

/// Maximum size of client data (`parse_metadata`), in bytes of JSON.
pub(crate) const MAX_METADATA_BYTES: usize = 16 << 10;
/// Maximum number of tags of one object or in one filter.
pub(crate) const MAX_TAGS: usize = 32;
/// Maximum number of documents in one filter.
pub(crate) const MAX_DOCUMENT_IDS: usize = 100;

/// Defines functions that return the schema of a domain enum; with `true`, null is allowed as well.
macro_rules! enum_schemas {
    ($($name:ident => $type:ty, $nullable:literal;)*) => {$(
        pub(crate) fn $name() -> RefOr<Schema> {
            enum_schema(<$type>::ALL.iter().map(|word| word.as_str()), $nullable)
        }
    )*};
}

enum_schemas! {
    tier_choice => TierChoice, false;
    tier_choice_or_null => TierChoice, true;
    goal_status => GoalStatus, false;
    step_status => StepStatus, false;
    goal_event_kind => GoalEventKind, false;
    plan_approval => PlanApproval, false;
    plan_approval_or_null => PlanApproval, true;
    retrieval_mode_or_null => RetrievalMode, true;
    message_role => MessageRole, false;
    message_status => MessageStatus, false;
    finish_reason => FinishReason, false;
    escalation_or_null => Escalation, true;
    tool_status => ToolStatus, false;
    document_status => DocumentStatus, false;
    failure_code => FailureCode, false;
    classification => Classification, false;
    classification_or_null => Classification, true;
    role => Role, false;
    team_role => TeamRole, false;
    invitation_status => InvitationStatus, false;
    role_or_null => Role, true;
    result_status => ResultStatus, false;
    resource => Resource, false;
    operation => Operation, false;
    usage_group => UsageDimension, false;
    backend_status => BackendStatus, false;
    branches => Branches, false;
    rating => Rating, false;
    memory_origin => MemoryOrigin, false;
    memory_status => MemoryStatus, false;
    approval_status => ApprovalStatus, false;
    approval_role => ApprovalRole, false;
    approver_verdict => ApproverVerdict, false;
    expiry_action => ExpiryAction, false;
    channel_kind => ChannelKind, false;
    delivery_status => DeliveryStatus, false;
    plant_mode => PlantMode, false;
    aggregate => Aggregate, false;
    quality => Quality, false;
    mcp_tool_state => McpToolState, false;
    work_order_status => WorkOrderStatus, false;
    maintenance_kind => MaintenanceKind, false;
    maintenance_auth_or_null => MaintenanceAuth, true;
    glossary_source => GlossarySource, false;
    rule => Rule, false;
    rule_or_null => Rule, true;
}

/// Returns the schema of the grants that an admin of a tenant can give, or null.
pub(crate) fn grants_or_null() -> RefOr<Schema> {
    let grants = [Grant::Auditor, Grant::Approver].iter().map(|grant| grant.as_str());
    let types = SchemaType::from_iter([Type::Array, Type::Null]);
    ArrayBuilder::new().schema_type(types).items(enum_schema(grants, false)).build().into()
}

/// Returns the schema of an enum of words; if `nullable`, null is allowed as well.
pub(crate) fn enum_schema(words: impl Iterator<Item = &'static str>, nullable: bool) -> RefOr<Schema> {
    let values = words.map(Value::from).chain(nullable.then_some(Value::Null));
    let types =
        if nullable { SchemaType::from_iter([Type::String, Type::Null]) } else { SchemaType::new(Type::String) };
    ObjectBuilder::new().schema_type(types).enum_values(Some(values.collect::<Vec<_>>())).build().into()
}

/// The kind of a citation that is a passage of a document.
const DOCUMENT_KIND: &str = "document";
/// The kind of a citation that is a reading of a plant system.
const READING_KIND: &str = "reading";

fn document_kind() -> RefOr<Schema> {
    enum_schema(std::iter::once(DOCUMENT_KIND), false)
}

fn reading_kind() -> RefOr<Schema> {
    enum_schema(std::iter::once(READING_KIND), false)
}

/// Returns the schema of the value of a tag: a number, a boolean, a text, or null.
fn tag_value() -> RefOr<Schema> {
    let types = SchemaType::from_iter([Type::Number, Type::Boolean, Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(types).build().into()
}

/// A part of a text, as offsets in Unicode code points.
#[derive(Serialize, ToSchema, Clone, Copy, Debug)]
#[schema(as = TextRange)]
pub(crate) struct TextRangeBody {
    /// The first code point.
    start: u32,
    /// Position after the last code point.
    end: u32,
}

impl From<TextRange> for TextRangeBody {
    fn from(TextRange { start, end }: TextRange) -> Self {
        Self { start, end }
    }
}

/// A passage or a reading that an answer is based on. The answer's text refers to it as `[n]`.
#[derive(Serialize, ToSchema, Clone, Debug)]
#[schema(as = Citation)]
#[serde(untagged)]
pub(crate) enum CitationBody {
    /// A passage of a document.
    Document(DocumentCitationBody),
    /// A reading of a plant system.
    Reading(ReadingCitationBody),
}

/// A passage of a document.
#[derive(Serialize, ToSchema, Clone, Debug)]
#[schema(as = DocumentCitation)]
pub(crate) struct DocumentCitationBody {
    /// The number in the text, from 1.
    n: u32,
    /// What is cited.
    #[schema(schema_with = document_kind)]
    kind: &'static str,
    document_id: Uuid,
    /// File name of the document.
    doc: String,
    /// Title of the document.
    title: String,
    /// Page in the file, from 1; null for formats without pages.
    page: Option<u32>,
    /// Heading path.
    section: Option<String>,
    /// The passage.
    chunk_id: Uuid,
    /// The words that support the answer.
    quote: String,
    /// How well the passage matched, 0 to 1.
    score: f32,
}

/// A reading of a plant system, as it was when the answer was written.
#[derive(Serialize, ToSchema, Clone, Debug)]
#[schema(as = ReadingCitation)]
pub(crate) struct ReadingCitationBody {
    /// The number in the text, from 1.
    n: u32,
    /// What is cited.
    #[schema(schema_with = reading_kind)]
    kind: &'static str,
    /// Name of the tag.
    tag: String,
    /// The value in `unit`: a number, a boolean or a text; for a history, its last value. Null if there is no usable
    /// value.
    #[schema(schema_with = tag_value)]
    value: Option<TagValue>,
    /// Engineering unit.
    unit: Option<String>,
    /// Quality that the source reports.
    #[schema(schema_with = quality)]
    quality: &'static str,
    /// When the value was taken.
    at: DateTime<Utc>,
    /// Kind and name of the connector, as in `opcua:plc7`.
    source: String,
    /// Whether the value was too old to count as current when it was read.
    stale: bool,
    /// Address of the chart, if the citation is a history.
    chart: Option<String>,
}

impl From<Citation> for CitationBody {
    fn from(citation: Citation) -> Self {
        match citation {
            Citation::Document(citation) => Self::Document(citation.into()),
            Citation::Reading(citation) => Self::Reading(citation.into()),
        }
    }
}

impl From<DocumentCitation> for DocumentCitationBody {
    fn from(citation: DocumentCitation) -> Self {
        Self {
            n: citation.n,
            kind: DOCUMENT_KIND,
            document_id: citation.document_id.as_uuid(),
            doc: citation.file_name,
            title: citation.title,
            page: citation.page,
            section: citation.section,
            chunk_id: citation.chunk_id.as_uuid(),
            quote: citation.quote,
            score: citation.score,
        }
    }
}

impl From<ReadingCitation> for ReadingCitationBody {
    fn from(citation: ReadingCitation) -> Self {
        Self {
            n: citation.n,
            kind: READING_KIND,
            chart: citation.chart(),
            tag: citation.tag,
            value: citation.value,
            unit: citation.unit,
            quality: citation.quality.as_str(),
            at: citation.at,
            source: citation.source,
            stale: citation.stale,
        }
    }
}

/// Parses a text; `pointer` names the field in the error.
pub(crate) fn parse_text<const MAX: usize>(pointer: &str, text: &str) -> Result<BoundedText<MAX>, ApiError> {
    BoundedText::parse(text).map_err(|error| ApiError::invalid_field(pointer, error))
}

/// Parses an optional text.
pub(crate) fn parse_optional_text<const MAX: usize>(
    pointer: &str,
    value: Option<&str>,
) -> Result<Option<BoundedText<MAX>>, ApiError> {
    value.map(|value| parse_text(pointer, value)).transpose()
}

/// Parses tags and drops duplicates.
pub(crate) fn parse_tags<'a>(
    pointer: &str,
    values: impl IntoIterator<Item = &'a String>,
) -> Result<Vec<ShortText>, ApiError> {
    let mut tags = Vec::new();
    for (index, tag) in values.into_iter().enumerate() {
        let tag = parse_text(&format!("{pointer}/{index}"), tag)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > MAX_TAGS {
        return Err(ApiError::invalid_field(pointer, format!("must be at most {MAX_TAGS} tags")));
    }
    Ok(tags)
}

/// Checks the number of document ids in a filter.
pub(crate) fn parse_document_ids(pointer: &str, ids: Vec<Uuid>) -> Result<Vec<DocumentId>, ApiError> {
    if ids.len() > MAX_DOCUMENT_IDS {
        let detail = format!("must be at most {MAX_DOCUMENT_IDS} documents");
        return Err(ApiError::invalid_field(pointer, detail));
    }
    Ok(ids.into_iter().map(DocumentId::from).collect())
}

/// Maximum number of teams in one request.
const MAX_TEAM_IDS: usize = 10;

/// Checks the number of teams, and drops repetitions.
pub(crate) fn parse_team_ids(pointer: &str, ids: Vec<Uuid>) -> Result<Vec<TeamId>, ApiError> {
    let ids: BTreeSet<TeamId> = ids.into_iter().map(TeamId::from).collect();
    if ids.len() > MAX_TEAM_IDS {
        return Err(ApiError::invalid_field(pointer, format!("must be at most {MAX_TEAM_IDS} teams")));
    }
    Ok(ids.into_iter().collect())
}

/// Checks the size of client data.
pub(crate) fn parse_metadata(pointer: &str, fields: Map<String, Value>) -> Result<Value, ApiError> {
    let value = Value::Object(fields);
    if value.to_string().len() > MAX_METADATA_BYTES {
        let detail = format!("must be at most {} KiB of JSON", MAX_METADATA_BYTES >> 10);
        return Err(ApiError::invalid_field(pointer, detail));
    }
    Ok(value)
}
