//! Typed identifiers, so that a document's id cannot stand where a conversation's is expected.
//!
//! Ids are UUIDv7 made by the application (RFC 9562), never by the database: the audit log's insert-only role cannot
//! read back what it inserted.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps an existing id.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The bare id.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

typed_id! {
    /// A tenant: one plant, site or organization.
    TenantId;
    /// A person or service account within one tenant.
    UserId;
    /// A conversation, owned by one user.
    ConversationId;
    /// A message of a conversation.
    MessageId;
    /// An uploaded document.
    DocumentId;
    /// A passage of a document, as indexed.
    ChunkId;
    /// A remembered fact of one user.
    MemoryId;
    /// A personal access token.
    AccessTokenId;
    /// A mapping of a claim to a tenant.
    MappingId;
    /// One row of the audit log. The id of an intent row is also the correlation id of its outcome.
    AuditId;
    /// A queued piece of background work.
    JobId;
    /// One answering run of a chat turn.
    RunId;
    /// A call to a model, as it stands in the ledger.
    ModelCallId;
    /// What a turn has set aside of a budget.
    ReservationId;
}

impl TenantId {
    /// The platform's own audit stream: events that belong to no tenant, such as a token nobody could verify.
    pub const PLATFORM: Self = Self(Uuid::nil());
}

/// The id that ties everything done for one request together: `x-request-id`, log lines, audit rows.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(String);

impl RequestId {
    /// Longest accepted id, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Takes over a caller's id if it is 1 to 64 of `A–Z a–z 0–9 . _ -`; anything else is `None`, and the caller makes
    /// a new one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len());
        let clean = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        (fits && clean).then(|| Self(text.to_owned()))
    }

    /// A new id from a UUID.
    #[must_use]
    pub fn from_uuid(id: Uuid) -> Self {
        Self(id.to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_that_could_break_a_log_line_are_not_taken_over() {
        for bad in ["", "a b", "a\nb", "\u{1b}[31m", &"x".repeat(65), "ä"] {
            assert_eq!(RequestId::parse(bad), None, "{bad:?}");
        }
        assert_eq!(RequestId::parse("abc-1.2_3").map(|id| id.to_string()), Some("abc-1.2_3".into()));
    }
}
