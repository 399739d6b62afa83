//! Agents: specialists to which an orchestrator or a plan hands a part of the work.
//!
//! An agent never extends the rights of its caller: what it may call is the intersection of its own tools with what the
//! caller's role and credential allow.

use crate::digest;
use crate::ids::UserId;
use crate::model::TierChoice;
use crate::time::Timestamp;
use crate::tool::ToolName;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;

/// Specification of an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentSpec {
    /// Unique within the tenant, built-in agents included; see [`is_agent_name`].
    pub name: String,
    /// What it is good at, for people and for the planner.
    pub description: String,
    /// How it works: a part of its system message.
    pub instructions: String,
    /// Names of the tools that it may call, if its caller may.
    pub tools: Vec<String>,
    /// Model tier that it uses.
    pub model: TierChoice,
    /// The tool without whose result its answer does not count.
    pub required_tool: Option<ToolName>,
    /// Whether the platform provides it.
    pub is_builtin: bool,
}

/// An agent that an administrator added to a tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantAgent {
    /// The specification; never built-in.
    pub spec: AgentSpec,
    /// Who changed it last.
    pub updated_by: Option<UserId>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Changes to a tenant's agent. A field that is `None` is left unchanged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct AgentPatch {
    /// Replaces the description.
    pub description: Option<String>,
    /// Replaces the instructions, and so their digest.
    pub instructions: Option<String>,
    /// New tools; they replace all old ones.
    pub tools: Option<Vec<String>>,
    /// New model tier.
    pub model: Option<TierChoice>,
}

/// Maximum number of characters of an agent's name.
pub const MAX_AGENT_NAME_CHARS: usize = 64;
/// Maximum number of characters of an agent's instructions.
pub const MAX_AGENT_INSTRUCTIONS_CHARS: usize = 4_000;
/// Maximum number of tools of an agent.
pub const MAX_AGENT_TOOLS: usize = 32;
/// Maximum number of agents that a tenant may add.
pub const MAX_TENANT_AGENTS: usize = 100;

/// Whether `name` may be the name of an agent: 1 to 64 lower-case letters, digits and underscores, a letter first.
/// `auto` is reserved.
#[must_use]
pub fn is_agent_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=MAX_AGENT_NAME_CHARS).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(is_word)
        && name != "auto"
}

impl AgentSpec {
    /// `sha256:` and the hex SHA-256 of the instructions, which lets the audit log tell their versions apart without
    /// their text.
    #[must_use]
    pub fn instructions_digest(&self) -> String {
        digest::of_bytes(self.instructions.as_bytes())
    }

    /// `sha256:` and the hex SHA-256 of all that decides on how the agent works: instructions, tools in any order,
    /// required tool and model tier.
    #[must_use]
    pub fn digest(&self) -> String {
        let tools: BTreeSet<_> = self.tools.iter().collect();
        let required_tool = self.required_tool.map(ToolName::as_str);
        digest::of_bytes(json!([self.instructions, tools, required_tool, self.model]).to_string().as_bytes())
    }

    /// Whether the agent has the tool.
    #[must_use]
    pub fn has_tool(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool == name)
    }

    /// The specification after a change.
    #[must_use]
    pub fn with_patch(self, patch: &AgentPatch) -> Self {
        Self {
            description: patch.description.clone().unwrap_or(self.description),
            instructions: patch.instructions.clone().unwrap_or(self.instructions),
            tools: patch.tools.clone().unwrap_or(self.tools),
            model: patch.model.unwrap_or(self.model),
            ..self
        }
    }
}

/// The agents that the platform provides.
#[must_use]
pub fn builtin_agents() -> Vec<AgentSpec> {
    use ToolName::{
        Calculator, DocumentList, DocumentRead, MemoryRead, PlantHistoryRead, PlantSystemRead, PlantTagSearch,
        RagSearch,
    };
    let agent = |name: &str, description: &str, instructions: &str, tools: &[ToolName]| AgentSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        instructions: instructions.to_owned(),
        tools: tools.iter().map(|tool| tool.as_str().to_owned()).collect(),
        model: TierChoice::Auto,
        required_tool: None,
        is_builtin: true,
    };
    vec![
        agent(
            "document_analyst",
            "Finds, reads and compares documents of the plant, and states facts from them with their sources.",
            "Answer from the plant's documents. Search with the words of the task; read on where a passage is cut off. \
             Where documents differ, say which says what. State each fact with its number, unit and source.",
            &[RagSearch, DocumentRead, DocumentList, MemoryRead],
        ),
        agent(
            "procedure_lookup",
            "Finds the procedure for a task, with its steps in order, its preconditions and its warnings.",
            "Find the procedure that is in force for the task and give its steps in their order, with preconditions, \
             warnings and limits. Leave nothing out and add nothing. If no procedure covers the task, say so.",
            &[RagSearch, DocumentRead, DocumentList],
        ),
        AgentSpec {
            required_tool: Some(Calculator),
            ..agent(
                "calculator",
                "Calculates exactly: arithmetic, percentages, conversions of units, dates and periods.",
                "Calculate with the tool calculator, never in your head: write each calculation as one expression, \
                    such \
                 as `17.5% of 2480`, `250 psi to bar` or `2026-01-31 + 30 days`. State the result as the tool returns \
                 it, with its unit, and say from which numbers it comes.",
                &[Calculator],
            )
        },
        agent(
            "plant_analyst",
            "Reads present values and histories of the plant's tags, and compares them with limits.",
            "Find the tags first, then read their values or their history. State each value with its unit, quality and \
             time. A value that is STALE or BAD is not the present state. Compare only with limits that you were \
             given.",
            &[PlantTagSearch, PlantSystemRead, PlantHistoryRead, Calculator],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_agents_have_valid_unique_names_and_known_tools() {
        let agents = builtin_agents();
        let names: BTreeSet<_> = agents.iter().map(|agent| agent.name.as_str()).collect();
        assert_eq!(names.len(), agents.len());
        for agent in &agents {
            assert!(is_agent_name(&agent.name), "{}", agent.name);
            assert!(agent.tools.iter().all(|tool| tool.parse::<ToolName>().is_ok()), "{:?}", agent.tools);
            assert!(agent.required_tool.is_none_or(|tool| agent.has_tool(tool.as_str())));
            assert!(!agent.has_tool(ToolName::PlantSystemWrite.as_str()), "no built-in agent writes");
        }
    }

    #[test]
    fn names_are_lower_case_words() {
        for good in ["a", "pump_expert", "x2"] {
            assert!(is_agent_name(good), "{good}");
        }
        for bad in ["", "auto", "A", "2x", "_x", "a-b", "a b", "ä", &"a".repeat(65)] {
            assert!(!is_agent_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_digest_depends_on_the_instructions_alone() {
        let agent = builtin_agents().remove(0);
        let renamed = AgentSpec { name: "other".to_owned(), ..agent.clone() };
        let changed = AgentSpec { instructions: format!("{} ", agent.instructions), ..agent.clone() };
        assert_eq!(agent.instructions_digest(), renamed.instructions_digest());
        assert_ne!(agent.instructions_digest(), changed.instructions_digest());
        assert_eq!(agent.instructions_digest().len(), "sha256:".len() + 64);
    }
}
