//! The agent's tools: specifications, calls and results.

use crate::approval::PolicyTerms;
use crate::classified::HasClassification;
use crate::document::Document;
use crate::ledger::CallOrigin;
use crate::mcp::McpToolName;
use crate::memory::Memory;
use crate::plant::{CatalogTag, SeriesPeriod, TagHistory, TagReading};
use crate::rights::Permission;
use crate::role::{Classification, string_enum};
use crate::search::{Passage, Retrieval};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

string_enum! {
    /// The built-in tools. Those that write to a plant system need an approval for each call.
    ToolName {
        /// Search over ingested documents.
        RagSearch = "rag_search",
        /// The text of one document.
        DocumentRead = "document_read",
        /// List of the documents that the user may see.
        DocumentList = "document_list",
        /// The user's memories.
        MemoryRead = "memory_read",
        /// Search over the tags of plant systems.
        PlantTagSearch = "plant_tag_search",
        /// Present values of tags.
        PlantSystemRead = "plant_system_read",
        /// History of a tag.
        PlantHistoryRead = "plant_history_read",
        /// Writes to the plant's maintenance system.
        PlantSystemWrite = "plant_system_write",
        /// Arithmetic with units, percentages and dates.
        Calculator = "calculator",
    }
}

/// Which tool: one of the platform's own, or one of an MCP server that the tenant's administrators allow. A built-in
/// name never has the form of an MCP tool's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ToolId {
    /// A tool of the platform.
    Builtin(ToolName),
    /// A tool of one of the tenant's MCP servers.
    Mcp(McpToolName),
}

impl ToolId {
    /// The name that models and clients call it by.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Builtin(name) => name.as_str(),
            Self::Mcp(name) => name.as_str(),
        }
    }

    /// Reads a name; `None` if no tool can have it. Whether an MCP tool of this name exists is not checked.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let builtin = text.parse::<ToolName>().ok().map(Self::Builtin);
        builtin.or_else(|| McpToolName::parse(text).map(Self::Mcp))
    }
}

impl From<ToolName> for ToolId {
    fn from(name: ToolName) -> Self {
        Self::Builtin(name)
    }
}

impl fmt::Display for ToolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ToolId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Specification of a tool, as listed in the tool manifest.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolSpec {
    /// Name that the model calls it by.
    pub name: ToolId,
    /// Description of the tool for the model.
    pub description: Cow<'static, str>,
    /// Permission that the caller needs.
    pub required_permission: Permission,
    /// Whether it writes to a plant system. Such a tool is registered only as a write tool, whose calls need an
    /// approval.
    pub writes_to_plant: bool,
    /// JSON Schema of the arguments; unknown arguments are rejected.
    pub parameters: Value,
}

/// Specification of a tool that writes. Each call needs an approval.
#[derive(Clone, PartialEq, Debug)]
pub struct WriteToolSpec {
    /// The manifest entry; `writes_to_plant` is `true`.
    pub tool: ToolSpec,
    /// Version of the tool's behaviour; part of what approvers agree to.
    pub version: u32,
    /// What the tool does to the plant.
    pub effect: WriteEffect,
    /// Who approves calls unless the tenant sets another policy. A tool without one is not registered.
    pub default_policy: Option<PolicyTerms>,
    /// Classification of the results.
    pub result_classification: Classification,
}

impl WriteToolSpec {
    /// Whether the tool is as if it did not exist for a user with this clearance: that of an MCP server, whose results
    /// are classified above it.
    #[must_use]
    pub fn is_hidden_from(&self, clearance: Classification) -> bool {
        matches!(self.tool.name, ToolId::Mcp(_)) && self.result_classification > clearance
    }
}

/// What a tool that writes does to the plant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteEffect {
    /// Creates or changes records, such as work orders.
    Records,
    /// Changes the process itself: set points, acknowledgement of alarms. The registry refuses such tools, whatever the
    /// approval.
    Control,
}

/// A tool as it is listed to a caller.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedTool {
    /// The manifest entry.
    pub spec: ToolSpec,
    /// Whether each call needs an approval.
    pub requires_approval: bool,
}

/// A tool call. Tenant and user are never arguments; they come from the permit.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolCall {
    /// Id that links the call to its result.
    pub call_id: String,
    /// The requested name, which may not be a known tool.
    pub name: String,
    /// The arguments: a JSON object. Anything else is refused, such as the text of a model that wrote no valid JSON.
    pub arguments: Value,
    /// The highest classification of what the arguments may quote: of everything that the model has read, or `public`
    /// for those that a person or a program sent.
    pub arguments_classification: Classification,
    /// Conversation and run that the call is part of.
    pub origin: CallOrigin,
}

/// What a tool returned.
#[derive(Clone, PartialEq, Debug)]
pub enum ToolResult {
    /// Passages that a search found.
    Retrieval(Retrieval),
    /// Passages of one document, in order.
    DocumentText {
        /// Document that contains the passages.
        document: Box<Document>,
        /// Passages of the document, in order.
        passages: Vec<Passage>,
        /// Whether the document has more passages than were returned.
        truncated: bool,
    },
    /// Documents, newest first.
    Documents(Vec<Document>),
    /// Memories, most important first.
    Memories(Vec<Memory>),
    /// Tags of plant systems, best first.
    Tags(Vec<CatalogTag>),
    /// Present readings of tags, in the order in which they were asked for.
    Readings(Vec<TagReading>),
    /// The history of a tag.
    History {
        /// The points, with how they were made.
        history: Box<TagHistory>,
        /// The period that was asked for.
        period: SeriesPeriod,
    },
    /// The result of an MCP tool. It is untrusted.
    Mcp(McpToolResult),
    /// The result of a calculation.
    Calculation(Calculation),
}

/// A calculation with its result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calculation {
    /// What was calculated, as the caller wrote it.
    pub expression: String,
    /// The result, with its unit.
    pub result: String,
    /// Whether the result is exact rather than rounded.
    pub is_exact: bool,
}

/// The result of an MCP tool, within the limits of the platform.
#[derive(Clone, PartialEq, Debug)]
pub struct McpToolResult {
    /// Its texts, in order, without invisible characters.
    pub texts: Vec<String>,
    /// Its structured result, if it gave one.
    pub structured: Option<Value>,
    /// Number of parts that are no text, such as pictures; they are left out.
    pub omitted_parts: usize,
    /// Whether texts were cut, or the structured result left out, because the result was too large.
    pub is_truncated: bool,
    /// Whether the tool reported a failure.
    pub is_error: bool,
    /// Classification that the administrator gave to the tool.
    pub classification: Classification,
}

impl HasClassification for ToolResult {
    fn classification(&self) -> Classification {
        match self {
            Self::Retrieval(found) => found.hits.classification(),
            Self::DocumentText { document, passages, .. } => document.classification().max(passages.classification()),
            Self::Documents(documents) => documents.classification(),
            Self::Memories(memories) => memories.classification(),
            Self::Tags(tags) => tags.classification(),
            Self::Readings(readings) => readings.classification(),
            Self::History { history, .. } => history.classification(),
            Self::Mcp(result) => result.classification,
            // It says nothing that its caller did not already know.
            Self::Calculation(_) => Classification::Public,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::{Operation, Resource};

    #[test]
    fn no_builtin_name_has_the_form_of_an_mcp_tool() {
        for name in ToolName::ALL {
            assert_eq!(ToolId::parse(name.as_str()), Some(ToolId::Builtin(*name)));
            assert_eq!(McpToolName::parse(name.as_str()), None);
        }
        assert!(matches!(ToolId::parse("cmms__read"), Some(ToolId::Mcp(_))));
        assert_eq!(ToolId::parse("made_up"), None);
    }

    #[test]
    fn a_write_tool_of_an_mcp_server_is_hidden_from_users_who_may_not_see_its_results() {
        let spec = |name: &str| WriteToolSpec {
            tool: ToolSpec {
                name: ToolId::parse(name).expect("a name"),
                description: "".into(),
                required_permission: Permission::new(Resource::ForeignTools, Operation::Create),
                writes_to_plant: true,
                parameters: Value::Null,
            },
            version: 1,
            effect: WriteEffect::Records,
            default_policy: None,
            result_classification: Classification::Confidential,
        };
        assert!(spec("cmms__write").is_hidden_from(Classification::Internal));
        assert!(!spec("cmms__write").is_hidden_from(Classification::Confidential));
        assert!(!spec("plant_system_write").is_hidden_from(Classification::Internal));
    }
}
