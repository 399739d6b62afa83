//! Names of MCP servers, and those under which models see their tools.

use serde::Serialize;
use std::fmt;

/// Separates server and tool in a [`McpToolName`].
const SEPARATOR: &str = "__";

/// Name of an MCP server: 1 to 32 characters from `A–Z a–z 0–9 _ -`, beginning and ending with a letter or digit,
/// without two underscores in a row, since those separate it from a tool's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct McpServerName(String);

/// The name of an MCP server is not allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "must have 1 to 32 characters from A-Z a-z 0-9 _ -, begin and end with a letter or digit, and have no two \
     underscores in a row"
)]
pub struct InvalidServerName;

impl McpServerName {
    const MAX_LEN: usize = 32;

    /// Checks a name.
    ///
    /// # Errors
    /// If its length or a character is not allowed.
    pub fn parse(text: &str) -> Result<Self, InvalidServerName> {
        let is_edge_valid = |edge: Option<u8>| edge.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let bytes = text.as_bytes();
        let is_valid = bytes.len() <= Self::MAX_LEN
            && is_edge_valid(bytes.first().copied())
            && is_edge_valid(bytes.last().copied())
            && bytes.iter().all(|byte| is_name_byte(*byte))
            && !text.contains(SEPARATOR);
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidServerName) }
    }

    /// The name as it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for McpServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Characters that the APIs of all language models accept in the name of a tool.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Name under which callers and models see a tool of an MCP server: `server__tool`, at most 64 characters from
/// `A–Z a–z 0–9 _ -`, which the APIs of language models require.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct McpToolName {
    full: String,
    server_len: usize,
}

impl McpToolName {
    /// Maximum length in characters.
    pub const MAX_LEN: usize = 64;

    /// The name of a server's tool; `None` if it is too long or has a character that is not allowed.
    #[must_use]
    pub fn new(server: &McpServerName, tool: &str) -> Option<Self> {
        Self::parse(&format!("{server}{SEPARATOR}{tool}"))
    }

    /// Splits a name into server and tool; `None` for names that no tool of an MCP server can have.
    #[must_use]
    pub fn parse(full: &str) -> Option<Self> {
        let (server, tool) = full.split_once(SEPARATOR)?;
        let is_valid = full.len() <= Self::MAX_LEN
            && !tool.is_empty()
            && full.bytes().all(is_name_byte)
            && McpServerName::parse(server).is_ok();
        is_valid.then(|| Self { full: full.to_owned(), server_len: server.len() })
    }

    /// Name of the server.
    #[must_use]
    pub fn server(&self) -> &str {
        self.full.get(..self.server_len).unwrap_or_default()
    }

    /// Name that the server calls the tool by.
    #[must_use]
    pub fn tool(&self) -> &str {
        self.full.get(self.server_len + SEPARATOR.len()..).unwrap_or_default()
    }

    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }
}
