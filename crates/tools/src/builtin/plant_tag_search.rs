//! The tool `plant_tag_search`: finds tags of plant systems by name, description or equipment.

use super::arguments;
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext};
use async_trait::async_trait;
use domain::classified::Classified;
use domain::ports::PlantReader;
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::text::QueryText;
use domain::tool::{ToolName, ToolResult, ToolSpec};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Maximum number of tags per call.
const MAX_LIMIT: u32 = 50;
/// Number of tags if the call names none.
const DEFAULT_LIMIT: u32 = 10;

/// Searches the tag catalogue; reads no values.
pub struct PlantTagSearch {
    reader: Arc<dyn PlantReader>,
}

impl PlantTagSearch {
    /// A tool that searches through `reader`.
    #[must_use]
    pub fn new(reader: Arc<dyn PlantReader>) -> Self {
        Self { reader }
    }
}

/// What to look for, and the number of tags.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    #[serde(deserialize_with = "arguments::text")]
    query: QueryText,
    #[serde(default, deserialize_with = "arguments::optional_number::<_, 1, MAX_LIMIT>")]
    limit: Option<u32>,
}

#[async_trait]
impl Tool for PlantTagSearch {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        let properties = json!({
            "query": {"type": "string", "minLength": 1, "maxLength": 2000,
                "description": "Name of a tag or of equipment, or words for what is measured."},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT,
                "description": "Maximum number of tags to return; default 10."},
        });
        ToolSpec {
            name: ToolName::PlantTagSearch.into(),
            description: "Find tags (measuring points) of the plant's control systems by name, equipment or what they \
                          measure. Returns names, units and descriptions, but no values."
                .into(),
            required_permission: Permission::new(Resource::Readings, Operation::List),
            writes_to_plant: false,
            parameters: arguments::schema(&properties, &["query"]),
        }
    }

    async fn run(&self, context: ToolContext, arguments: Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT) as usize;
        let reader = context.plant_reader_scope();
        let tags = self.reader.find_tags(&reader, arguments.query.as_str(), limit).await?;
        Ok(Classified::from_content(ToolResult::Tags(tags)))
    }
}
