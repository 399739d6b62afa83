//! The tool `plant_history_read`: reads the history of a tag.

use super::arguments;
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext};
use async_trait::async_trait;
use domain::classified::Classified;
use domain::plant::{Aggregate, HistoryQuery, SeriesPeriod};
use domain::ports::PlantReader;
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::text::ShortText;
use domain::time::Timestamp;
use domain::tool::{ToolName, ToolResult, ToolSpec};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Longest period, in days.
const MAX_DAYS: i64 = 366;
/// Longest interval, in seconds: the longest period.
const MAX_INTERVAL_S: u32 = 31_622_400;

/// Reads a history as samples, or as minima, maxima or means of intervals.
pub struct PlantHistoryRead {
    reader: Arc<dyn PlantReader>,
}

impl PlantHistoryRead {
    /// A tool that reads through `reader`.
    #[must_use]
    pub fn new(reader: Arc<dyn PlantReader>) -> Self {
        Self { reader }
    }
}

/// The tag, the period, and how samples become points.
#[derive(Debug, Deserialize)]
#[serde(try_from = "UncheckedArguments")]
pub struct Arguments {
    tag: ShortText,
    period: SeriesPeriod,
    aggregate: Aggregate,
    interval: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedArguments {
    #[serde(deserialize_with = "arguments::text")]
    tag: ShortText,
    from: Timestamp,
    to: Timestamp,
    aggregate: Aggregate,
    #[serde(default, deserialize_with = "arguments::optional_number::<_, 1, MAX_INTERVAL_S>")]
    interval_s: Option<u32>,
}

impl TryFrom<UncheckedArguments> for Arguments {
    type Error = String;

    fn try_from(arguments: UncheckedArguments) -> Result<Self, String> {
        let UncheckedArguments { tag, from, to, aggregate, interval_s } = arguments;
        if from >= to {
            return Err("`from` must be before `to`".to_owned());
        }
        if to.signed_duration_since(from).num_seconds() > MAX_DAYS * 86_400 {
            return Err(format!("the period is longer than {MAX_DAYS} days; ask for a shorter one"));
        }
        let interval = interval_s.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Self { tag, period: SeriesPeriod { from, to }, aggregate, interval })
    }
}

#[async_trait]
impl Tool for PlantHistoryRead {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        let aggregates: Vec<&str> = Aggregate::ALL.iter().map(|aggregate| aggregate.as_str()).collect();
        let properties = json!({
            "tag": {"type": "string", "minLength": 1, "maxLength": 128,
                "description": "Name of the tag, as plant_tag_search returns it."},
            "from": {"type": "string", "format": "date-time", "description": "Start (RFC 3339), inclusive."},
            "to": {"type": "string", "format": "date-time",
                "description": "End (RFC 3339), exclusive; at most 366 days after the start."},
            "aggregate": {"type": "string", "enum": aggregates,
                "description": "The samples themselves, or what becomes of those of each interval."},
            "interval_s": {"type": "integer", "minimum": 1, "maximum": MAX_INTERVAL_S,
                "description": "Length of the intervals in seconds; without it, one that gives at most 200 points."},
        });
        ToolSpec {
            name: ToolName::PlantHistoryRead.into(),
            description: "Read the history of a tag, with the share of good samples.".into(),
            required_permission: Permission::new(Resource::Readings, Operation::Read),
            writes_to_plant: false,
            parameters: arguments::schema(&properties, &["tag", "from", "to", "aggregate"]),
        }
    }

    async fn run(&self, context: ToolContext, arguments: Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let Arguments { tag, period, aggregate, interval } = arguments;
        let query = HistoryQuery { tag: tag.into_string(), period: period.from..period.to, aggregate, interval };
        let history = self.reader.history(&context.plant_reader_scope(), &query).await?;
        Ok(Classified::from_content(ToolResult::History { history: Box::new(history), period }))
    }
}
