//! The digest of a request for approval: what an approver agrees to, and what is checked again before the execution.

use crate::digest;
use crate::ids::UserId;
use serde::Serialize;
use serde_json::Value;

/// Everything that an approval covers. A change of any of these is another request.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ApprovedContent<'a> {
    /// Name of the tool.
    pub tool: &'a str,
    /// Version of the tool's behaviour.
    pub tool_version: u32,
    /// What the write changes, in the plant's own notation.
    pub target: &'a str,
    /// The exact arguments of the call.
    pub arguments: &'a Value,
    /// The user who asked for it.
    pub requested_by: UserId,
    /// Version of the policy that was in force.
    pub policy_version: i64,
}

impl ApprovedContent<'_> {
    /// `sha256:` and the lower-case hex SHA-256 of the content in canonical JSON (RFC 8785).
    ///
    /// # Errors
    /// If the arguments cannot be written as JSON.
    pub fn digest(&self) -> Result<String, serde_json::Error> {
        digest::of_json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    fn content(arguments: &Value) -> ApprovedContent<'_> {
        ApprovedContent {
            tool: "plant_system_write",
            tool_version: 1,
            target: "P-101A",
            arguments,
            requested_by: UserId::from_uuid(Uuid::from_u128(7)),
            policy_version: 2,
        }
    }

    #[test]
    fn the_digest_is_that_of_the_canonical_json() {
        let arguments = json!({"b": 1.0, "a": "\u{e9}", "\u{20ac}": [true, null]});
        let canonical = "{\"arguments\":{\"a\":\"\u{e9}\",\"b\":1,\"\u{20ac}\":[true,null]},\"policy_version\":2,\
                         \"requested_by\":\"00000000-0000-0000-0000-000000000007\",\"target\":\"P-101A\",\
                         \"tool\":\"plant_system_write\",\"tool_version\":1}";
        assert_eq!(content(&arguments).digest().expect("a digest"), digest::of_bytes(canonical.as_bytes()));
    }

    #[test]
    fn each_part_changes_the_digest() {
        let (arguments, other) = (json!({"priority": 2}), json!({"priority": 3}));
        let original = content(&arguments);
        let digest = |content: ApprovedContent<'_>| content.digest().expect("a digest");
        let changed = [
            ApprovedContent { tool: "other", ..original },
            ApprovedContent { tool_version: 2, ..original },
            ApprovedContent { target: "P-101B", ..original },
            ApprovedContent { arguments: &other, ..original },
            ApprovedContent { requested_by: UserId::from_uuid(Uuid::from_u128(8)), ..original },
            ApprovedContent { policy_version: 3, ..original },
        ];
        for content in changed {
            assert_ne!(digest(content), digest(original), "{content:?}");
        }
    }

    proptest! {
        #[test]
        fn white_space_and_the_order_of_members_do_not_matter(
            members in proptest::collection::btree_map("[a-zA-Z\u{e0}-\u{ff}]{1,8}", -1_000_i64..1_000, 0..8),
        ) {
            let forward: serde_json::Map<String, Value> =
                members.iter().map(|(name, number)| (name.clone(), json!(number))).collect();
            let pair = |(name, number): (&String, &i64)| format!(" {}:\n{number}", json!(name));
            let pairs: Vec<_> = members.iter().rev().map(pair).collect();
            let backward: Value = serde_json::from_str(&format!("{{{}}}", pairs.join(","))).expect("JSON");
            let forward = Value::Object(forward);
            prop_assert_eq!(content(&forward).digest().expect("digest"), content(&backward).digest().expect("digest"));
        }
    }
}
