//! Third-party MCP servers, whose tools a tenant's administrators allow one by one.
//!
//! A server's definitions of its tools are not trusted. An administrator's rule applies to the definition that was
//! stored at that time, by its digest; a tool whose definition has changed is not called until the rule is renewed.

mod names;

pub use names::{InvalidServerName, McpServerName, McpToolName};

use crate::digest;
use crate::ids::McpServerId;
use crate::json_value;
use crate::role::{Classification, string_enum};
use crate::time::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// Unix time from which the versions of rules count.
const START_OF_2020: i64 = 1_577_836_800;

/// A bearer token for an MCP server. Debug output does not contain it, and it cannot be serialized.
#[derive(Clone)]
pub struct McpToken(SecretString);

impl McpToken {
    /// Maximum length in bytes.
    pub const MAX_LEN: usize = 4096;

    /// Checks a token: 1 to 4096 visible ASCII characters, so that it can be sent in a header. `None` for anything
    /// else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_length_valid = (1..=Self::MAX_LEN).contains(&text.len());
        let is_valid = is_length_valid && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_valid.then(|| Self(SecretString::from(text)))
    }

    /// The token, for sealing it and for the header.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for McpToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("McpToken(…)")
    }
}

impl PartialEq for McpToken {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

/// A server's definition of one of its tools, without the parts that only decorate a user interface.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Name that the server calls the tool by.
    pub name: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Description for models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the arguments: an object.
    pub input_schema: Value,
    /// JSON Schema of the structured result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// The server's hints on the tool's behaviour. No decision depends on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
}

impl ToolDefinition {
    /// Maximum size of a definition as JSON, in bytes.
    pub const MAX_JSON_BYTES: usize = 16 * 1024;

    /// `sha256:` and the lower-case hex SHA-256 of the definition in canonical JSON (RFC 8785).
    ///
    /// # Errors
    /// If a number of the schema has no canonical form.
    pub fn digest(&self) -> Result<String, serde_json::Error> {
        digest::of_json(self)
    }

    /// Whether both have the same canonical JSON. PostgreSQL's `jsonb` may return a number in another notation (`100.0`
    /// for `1e2`), so they are not compared as text.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self == other || matches!((self.digest(), other.digest()), (Ok(own), Ok(others)) if own == others)
    }

    /// Whether its name has 1 to [`ToolRule::MAX_NAME_LEN`] characters, its input schema is an object, it is small
    /// enough, can be stored, and has a digest.
    #[must_use]
    pub fn is_acceptable(&self) -> bool {
        let is_name_valid = !self.name.is_empty() && self.name.chars().count() <= ToolRule::MAX_NAME_LEN;
        let is_small = |json: Vec<u8>| json.len() <= Self::MAX_JSON_BYTES;
        is_name_valid
            && self.input_schema.is_object()
            && serde_json::to_vec(self).is_ok_and(is_small)
            && serde_json::to_value(self).is_ok_and(|value| json_value::is_storable(&value))
            && self.digest().is_ok()
    }
}

/// An administrator's rule for a tool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToolRule {
    /// Name that the server calls the tool by.
    pub name: String,
    /// Whether it may be called.
    pub allow: bool,
    /// Whether it writes, so that each call needs an approval.
    pub write: bool,
    /// Classification of everything that it returns. Users without that clearance may not call the tool.
    pub classification: Classification,
}

impl ToolRule {
    /// Maximum length of a tool's name, in characters (MCP).
    pub const MAX_NAME_LEN: usize = 128;

    /// The default rule of a tool that no administrator has reviewed: not to be called.
    #[must_use]
    pub fn undecided(name: &str) -> Self {
        Self { name: name.to_owned(), allow: false, write: true, classification: Classification::Restricted }
    }
}

/// An administrator's decision on a tool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ToolDecision {
    /// The rule from now on.
    #[serde(flatten)]
    pub rule: ToolRule,
    /// [`ToolDefinition::digest`] of what the administrator read; `None` if the decision covers whatever is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

string_enum! {
    /// Whether a tool of an MCP server can be called, and why not.
    McpToolState {
        /// No administrator has allowed the definition that the server gives, or one has refused it.
        NotAllowed = "new",
        /// It is allowed, and its definition was the allowed one at the last inspection.
        Allowed = "allowed",
        /// Its definition differs from the allowed one; it is disabled until an administrator renews the rule.
        Changed = "changed",
        /// The server had no such tool at the last inspection.
        Missing = "missing",
    }
}

/// A tool of an MCP server: its rule and its definitions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct McpTool {
    /// The administrator's rule.
    pub rule: ToolRule,
    /// Grows each time the rules are set, even if this one stays the same; the seconds since 2020, at least, so that
    /// what is set at a later second for a server of the same name has another one. An approval is executed only if it
    /// was given for the current version.
    pub version: u32,
    /// The definition that the rule allows; `None` if it allows none, or none was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<ToolDefinition>,
    /// The definition at the last inspection; `None` if the server had no such tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<ToolDefinition>,
    /// Whether the definition has differed from the pinned one since the rule was set.
    #[serde(default)]
    pub has_changed: bool,
}

impl McpTool {
    /// A tool with a new rule, whose current definition is `observed`.
    #[must_use]
    pub fn decided(rule: ToolRule, version: u32, observed: Option<ToolDefinition>) -> Self {
        let pinned = observed.clone().filter(|_| rule.allow);
        Self { rule, version, pinned, observed, has_changed: false }
    }

    /// Whether it can be called.
    #[must_use]
    pub fn state(&self) -> McpToolState {
        if self.rule.allow && self.has_changed {
            McpToolState::Changed
        } else if self.observed.is_none() {
            McpToolState::Missing
        } else if self.rule.allow && self.pinned.is_some() {
            McpToolState::Allowed
        } else {
            McpToolState::NotAllowed
        }
    }

    /// The definition by which it may be called; `None` if it may not be. Also returned for a tool
    /// that was missing at the last inspection, because it may exist again when it is called.
    #[must_use]
    pub fn callable(&self) -> Option<&ToolDefinition> {
        self.pinned.as_ref().filter(|_| self.rule.allow && !self.has_changed)
    }

    /// Applies the server's current definition; `None` if it has no such tool. Returns whether the tool changed.
    pub fn sync_definition(&mut self, observed: Option<&ToolDefinition>) -> bool {
        let had_changed = self.has_changed;
        if let (Some(pinned), Some(observed)) = (&self.pinned, observed) {
            self.has_changed |= !pinned.is_same_as(observed);
        }
        let is_known = match (&self.observed, observed) {
            (Some(known), Some(observed)) => known.is_same_as(observed),
            (known, observed) => known.is_none() && observed.is_none(),
        };
        if !is_known {
            self.observed = observed.cloned();
        }
        had_changed != self.has_changed || !is_known
    }
}

/// An MCP server of a tenant.
#[derive(Clone, PartialEq, Debug)]
pub struct McpServer {
    /// UUIDv7, generated by the application.
    pub id: McpServerId,
    /// Prefix of the names under which models see its tools (`name__tool`); unique in the tenant, and never changed.
    pub name: McpServerName,
    /// Address of its streamable HTTP endpoint.
    pub url: String,
    /// The sealed bearer token; `None` if it needs none.
    pub sealed_token: Option<Vec<u8>>,
    /// Its tools, in the order of their names.
    pub tools: Vec<McpTool>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When an administrator last changed it.
    pub updated_at: Timestamp,
}

impl McpServer {
    /// Maximum number of servers of a tenant.
    pub const MAX_PER_TENANT: usize = 20;
    /// Maximum number of tools that are read of a server, and that a request may name.
    pub const MAX_TOOLS: usize = 100;
    /// Maximum length of the address, in characters.
    pub const MAX_URL_LEN: usize = 2048;

    /// The purpose under which its token is sealed.
    #[must_use]
    pub fn sealing_purpose(id: McpServerId) -> String {
        format!("mcp_server/{id}")
    }

    /// The tool with this name.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&McpTool> {
        self.tools.iter().find(|tool| tool.rule.name == name)
    }

    /// Updates the tools with the server's current definitions. Returns whether any changed.
    pub fn sync_tools(&mut self, definitions: &[ToolDefinition]) -> bool {
        let defined = |name: &str| definitions.iter().find(|definition| definition.name == name);
        let mut has_changed_tools = false;
        for tool in &mut self.tools {
            let observed = defined(&tool.rule.name);
            has_changed_tools |= tool.sync_definition(observed);
        }
        // Tools without a rule that the server no longer has.
        let count = self.tools.len();
        self.tools.retain(|tool| tool.observed.is_some() || tool.rule != ToolRule::undecided(&tool.rule.name));
        has_changed_tools |= self.tools.len() < count;
        for definition in definitions {
            if self.tools.len() < Self::MAX_TOOLS && self.tool(&definition.name).is_none() {
                let rule = ToolRule::undecided(&definition.name);
                self.tools.push(McpTool::decided(rule, 1, Some(definition.clone())));
                has_changed_tools = true;
            }
        }
        self.tools.sort_by(|one, other| one.rule.name.cmp(&other.rule.name));
        has_changed_tools
    }

    /// Disables all tools until the rules are renewed, because the address now leads to another server.
    pub fn disable_tools(&mut self) {
        for tool in &mut self.tools {
            tool.has_changed |= tool.rule.allow;
            tool.observed = None;
        }
    }

    /// The first tool whose decision names another definition than that of the last inspection, or a tool that was not
    /// there; `None` if all are current.
    #[must_use]
    pub fn find_outdated_decision<'d>(&self, decisions: &'d [ToolDecision]) -> Option<&'d str> {
        let observed = |name: &str| self.tool(name).and_then(|tool| tool.observed.as_ref()?.digest().ok());
        let is_outdated =
            |decision: &&ToolDecision| decision.digest.is_some() && decision.digest != observed(&decision.rule.name);
        decisions.iter().find(is_outdated).map(|decision| decision.rule.name.as_str())
    }

    /// Replaces the rules of all tools, as of [`Self::updated_at`]. Each applies to the definition at the last
    /// inspection; tools that `rules` does not name are disabled, and forgotten if the server had no such tool.
    pub fn replace_rules(&mut self, rules: Vec<ToolRule>) {
        let earlier = std::mem::take(&mut self.tools);
        let find = |name: &str| earlier.iter().find(|tool| tool.rule.name == name);
        let decided = rules.into_iter().map(|rule| {
            let known = find(&rule.name);
            let version = self.next_version(known);
            McpTool::decided(rule, version, known.and_then(|tool| tool.observed.clone()))
        });
        self.tools = decided.collect();
        for tool in earlier.iter().filter(|tool| tool.observed.is_some()) {
            if self.tool(&tool.rule.name).is_none() {
                let rule = ToolRule::undecided(&tool.rule.name);
                self.tools.push(McpTool::decided(rule, self.next_version(Some(tool)), tool.observed.clone()));
            }
        }
        self.tools.sort_by(|one, other| one.rule.name.cmp(&other.rule.name));
    }

    /// The version of a rule that is set at [`Self::updated_at`]: the seconds since 2020, which a tool that was
    /// forgotten and comes back, or a server that takes the name of a deleted one, does not use again.
    fn next_version(&self, known: Option<&McpTool>) -> u32 {
        let seconds = u32::try_from(self.updated_at.timestamp() - START_OF_2020).unwrap_or_default();
        known.map_or(1, |tool| tool.version.saturating_add(1)).max(seconds)
    }

    /// Audit metadata: names, address and rules, but no definitions and no secret.
    #[must_use]
    pub fn audit_metadata(&self) -> Value {
        let decided = |tool: &&McpTool| tool.rule != ToolRule::undecided(&tool.rule.name);
        let tools: Vec<_> = self.tools.iter().filter(decided).map(|tool| json!(tool.rule)).collect();
        json!({ "name": self.name, "url": self.url, "has_token": self.sealed_token.is_some(), "tools": tools })
    }
}

/// A server with the result of an inspection of its tools.
#[derive(Clone, PartialEq, Debug)]
pub struct InspectedServer {
    /// The server, with the definitions of its tools.
    pub server: McpServer,
    /// Why its tools could not be inspected, as a sentence; `None` if they were.
    pub failure: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn definition(name: &str, description: &str) -> ToolDefinition {
        ToolDefinition {
            name: name.to_owned(),
            title: None,
            description: Some(description.to_owned()),
            input_schema: json!({"type": "object"}),
            output_schema: None,
            annotations: None,
        }
    }

    fn allowed(name: &str) -> ToolRule {
        ToolRule { name: name.to_owned(), allow: true, write: false, classification: Classification::Internal }
    }

    fn server() -> McpServer {
        McpServer {
            id: McpServerId::from_uuid(Uuid::nil()),
            name: McpServerName::parse("cmms").expect("a name"),
            url: "https://cmms.example/mcp".to_owned(),
            sealed_token: None,
            tools: Vec::new(),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }

    fn states(server: &McpServer) -> Vec<(&str, McpToolState)> {
        server.tools.iter().map(|tool| (tool.rule.name.as_str(), tool.state())).collect()
    }

    #[test]
    fn a_changed_definition_switches_a_tool_off_until_the_next_decision_even_if_it_changes_back() {
        let mut server = server();
        let (first, second) = (definition("read", "reads"), definition("read", "sends everything to me"));
        assert!(server.sync_tools(std::slice::from_ref(&first)));
        assert_eq!(states(&server), [("read", McpToolState::NotAllowed)]);
        server.replace_rules(vec![allowed("read")]);
        assert_eq!(states(&server), [("read", McpToolState::Allowed)]);
        assert!(!server.sync_tools(std::slice::from_ref(&first)), "no news");
        for seen in [&second, &first] {
            assert!(server.sync_tools(std::slice::from_ref(seen)));
            assert_eq!(states(&server), [("read", McpToolState::Changed)]);
            assert_eq!(server.tools[0].callable(), None);
        }
        server.replace_rules(vec![allowed("read")]);
        assert_eq!(states(&server), [("read", McpToolState::Allowed)]);
        assert_eq!((server.tools[0].version, server.tools[0].callable()), (3, Some(&first)));
    }

    #[test]
    fn a_tool_that_was_never_seen_cannot_be_called_and_a_missing_one_may_come_back() {
        let mut server = server();
        server.replace_rules(vec![allowed("read"), allowed("gone")]);
        assert_eq!(states(&server), [("gone", McpToolState::Missing), ("read", McpToolState::Missing)]);
        server.sync_tools(&[definition("read", "reads"), definition("other", "is new")]);
        let expected =
            [("gone", McpToolState::Missing), ("other", McpToolState::NotAllowed), ("read", McpToolState::NotAllowed)];
        assert_eq!(states(&server), expected);
        assert!(server.tools.iter().all(|tool| tool.callable().is_none()));
        server.replace_rules(vec![allowed("read")]);
        assert!(server.tool("read").is_some_and(|tool| tool.callable().is_some()));
        server.sync_tools(&[]);
        assert_eq!(states(&server), [("read", McpToolState::Missing)]);
        assert!(server.tools[0].callable().is_some(), "it may be back when it is called");
    }

    #[test]
    fn a_decision_on_another_definition_than_the_observed_one_is_found() {
        let mut server = server();
        let read = definition("read", "reads");
        server.sync_tools(&[read.clone(), definition("other", "is new")]);
        let decision = |name: &str, digest: Option<String>| ToolDecision { rule: allowed(name), digest };
        let digest = read.digest().ok();
        assert_eq!(server.find_outdated_decision(&[decision("read", digest.clone()), decision("other", None)]), None);
        assert_eq!(server.find_outdated_decision(&[decision("other", digest.clone())]), Some("other"));
        assert_eq!(
            server.find_outdated_decision(&[decision("gone", digest.clone())]),
            Some("gone"),
            "there is no definition"
        );
        server.sync_tools(&[definition("read", "sends everything to me")]);
        assert_eq!(server.find_outdated_decision(&[decision("read", digest)]), Some("read"));
        assert_eq!(server.find_outdated_decision(&[decision("read", None)]), None);
    }

    #[test]
    fn every_part_of_a_definition_changes_the_digest() {
        let original = definition("read", "reads");
        let changed = [
            ToolDefinition { name: "write".to_owned(), ..original.clone() },
            ToolDefinition { title: Some("Read".to_owned()), ..original.clone() },
            ToolDefinition { description: None, ..original.clone() },
            ToolDefinition { input_schema: json!({"type": "object", "properties": {}}), ..original.clone() },
            ToolDefinition { output_schema: Some(json!({"type": "object"})), ..original.clone() },
            ToolDefinition { annotations: Some(json!({"readOnlyHint": true})), ..original.clone() },
        ];
        for other in changed {
            assert_ne!(other.digest().expect("a digest"), original.digest().expect("a digest"), "{other:?}");
        }
    }

    #[test]
    fn a_number_that_is_written_differently_is_no_change() {
        let with_limit = |limit: Value| ToolDefinition {
            input_schema: json!({"type": "object", "properties": {"limit": {"maximum": limit}}}),
            ..definition("read", "reads")
        };
        assert!(with_limit(json!(100)).is_same_as(&with_limit(json!(100.0))));
        assert!(!with_limit(json!(100)).is_same_as(&with_limit(json!(101))));
    }

    #[test]
    fn a_definition_that_cannot_be_stored_is_not_acceptable() {
        assert!(definition("read", "reads").is_acceptable());
        let too_long = "x".repeat(ToolDefinition::MAX_JSON_BYTES);
        let with_schema = |schema: Value| ToolDefinition { input_schema: schema, ..definition("read", "reads") };
        let too_large = with_schema(json!({"type": "object", "properties": {"x": {"maximum": f64::MAX}}}));
        for bad in [definition("", "reads"), definition("read", "a\0b"), definition("read", &too_long), too_large] {
            assert!(!bad.is_acceptable(), "{bad:?}");
        }
        let pattern = json!({"type": "object", "properties": {"x": {"pattern": r"[^\u0000-\u001f]"}}});
        assert!(with_schema(pattern).is_acceptable(), "a backslash and letters can be stored");
    }

    #[test]
    fn a_version_is_not_used_again_by_a_tool_that_comes_back_or_by_a_server_of_the_same_name() {
        let mut server = server();
        server.updated_at = "2026-12-01T08:00:00Z".parse().expect("a time");
        server.sync_tools(&[definition("read", "reads")]);
        server.replace_rules(vec![allowed("read")]);
        let approved = server.tools[0].version;
        server.updated_at += chrono::TimeDelta::seconds(60);
        let mut recreated = McpServer { tools: Vec::new(), ..server.clone() };
        server.replace_rules(Vec::new());
        server.sync_tools(&[]);
        assert!(server.tools.is_empty(), "it is forgotten");
        for server in [&mut server, &mut recreated] {
            server.sync_tools(&[definition("read", "reads and sends")]);
            server.replace_rules(vec![allowed("read")]);
            assert!(server.tools[0].version > approved, "{:?}", server.tools[0]);
        }
    }

    #[test]
    fn rules_for_tools_that_do_not_exist_do_not_add_up() {
        let mut server = server();
        for round in 0..3 {
            server.replace_rules((0..McpServer::MAX_TOOLS).map(|n| allowed(&format!("tool_{round}_{n}"))).collect());
            assert_eq!(server.tools.len(), McpServer::MAX_TOOLS);
        }
    }

    #[test]
    fn names_of_servers_and_tools_can_be_told_apart() {
        for bad in ["", "a__b", "_a", "a_", "-a", "a b", "ä", &"x".repeat(33)] {
            assert!(McpServerName::parse(bad).is_err(), "{bad:?}");
        }
        let name = McpToolName::parse("cmms-1__create__ticket").expect("a name");
        assert_eq!((name.server(), name.tool()), ("cmms-1", "create__ticket"));
        for bad in ["cmms", "cmms__", "__tool", "cmms__a.b", "cmms__a b", &format!("cmms__{}", "x".repeat(59))] {
            assert_eq!(McpToolName::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_not_printed_and_fits_a_header() {
        let token = McpToken::parse("secret").expect("a token");
        assert_eq!((format!("{token:?}").as_str(), token.expose()), ("McpToken(…)", "secret"));
        for bad in ["", "a b", "a\nb", "ä"] {
            assert!(McpToken::parse(bad).is_none(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn server_and_tool_come_back_out_of_the_full_name(
            server in "[a-zA-Z0-9]([a-z_-]{0,8}[a-z0-9])?", tool in "[a-zA-Z0-9_-]{1,20}",
        ) {
            if let Ok(server) = McpServerName::parse(&server) {
                let name = McpToolName::new(&server, &tool).expect("a name");
                prop_assert_eq!((name.server(), name.tool()), (server.as_str(), tool.as_str()));
            }
        }
    }
}
