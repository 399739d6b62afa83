//! The tool `plant_system_read`: reads the present values of tags.

use super::arguments;
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext};
use async_trait::async_trait;
use domain::classified::Classified;
use domain::ports::PlantReader;
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::text::ShortText;
use domain::tool::{ToolName, ToolResult, ToolSpec};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Maximum number of tags per call.
const MAX_TAGS: usize = 50;

/// Reads present values, with their quality and age.
pub struct PlantSystemRead {
    reader: Arc<dyn PlantReader>,
}

impl PlantSystemRead {
    /// A tool that reads through `reader`.
    #[must_use]
    pub fn new(reader: Arc<dyn PlantReader>) -> Self {
        Self { reader }
    }
}

/// Names of the tags.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    #[serde(deserialize_with = "arguments::non_empty_list::<_, _, MAX_TAGS>")]
    tags: Vec<TagName>,
}

/// A tag's name of 1 to 128 characters.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct TagName(#[serde(deserialize_with = "arguments::text")] ShortText);

#[async_trait]
impl Tool for PlantSystemRead {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        let properties = json!({
            "tags": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 128},
                "minItems": 1, "maxItems": MAX_TAGS,
                "description": "Names of the tags, as plant_tag_search returns them."},
        });
        ToolSpec {
            name: ToolName::PlantSystemRead.into(),
            description: "Read the present values of tags from the plant's control systems, with unit, quality, age \
                          and normal range."
                .into(),
            required_permission: Permission::new(Resource::Readings, Operation::Read),
            writes_to_plant: false,
            parameters: arguments::schema(&properties, &["tags"]),
        }
    }

    async fn run(&self, context: ToolContext, arguments: Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let mut tags: Vec<String> = Vec::new();
        for TagName(tag) in arguments.tags {
            if !tags.iter().any(|known| known == tag.as_str()) {
                tags.push(tag.into_string());
            }
        }
        let readings = self.reader.read(&context.plant_reader_scope(), &tags).await?;
        Ok(Classified::from_content(ToolResult::Readings(readings)))
    }
}
