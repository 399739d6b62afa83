//! No layer below policy names a role or a grant: what a user may do reaches it as the rights of a permit. A change of
//! the policy matrix then reaches all that follows from it.

use super::tidy;
use super::workspace::Text;

/// The layers below policy.
const BELOW: &[&str] = &["crates/data/src/", "crates/model-client/src/", "crates/tools/src/", "crates/runtime/src/"];
/// Reads and writes the columns of users.
const EXCEPTIONS: &[&str] = &["crates/data/src/users.rs"];
/// The types that say who somebody is, not what the permit lets them do.
const WORDS: &[&str] = &["Role", "Grant", "Entitlements"];

/// Where a layer below policy names a role, one sentence each. Tests may.
pub fn violations(sources: &[Text]) -> Vec<String> {
    sources.iter().filter(|source| is_below(&source.path)).flat_map(of_source).collect()
}

fn is_below(path: &str) -> bool {
    BELOW.iter().any(|layer| path.starts_with(layer)) && !EXCEPTIONS.contains(&path)
}

fn of_source(source: &Text) -> impl Iterator<Item = String> {
    let shipped = source.content.lines().take(tidy::length(&source.content));
    let code = shipped.enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter_map(|(at, line)| {
        let named = words(line).find(|word| WORDS.contains(word))?;
        Some(format!("{}:{} names {named}: ask the permit's rights", source.path, at + 1))
    })
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, content: &str) -> Text {
        Text { path: path.to_owned(), content: content.to_owned() }
    }

    #[test]
    fn a_layer_below_policy_that_asks_a_role_is_found() {
        let asks = "//! Why.\n\nfn f(user: &User) -> bool {\n    user.role == Role::Admin\n}\n";
        let found = violations(&[source("crates/runtime/src/documents.rs", asks)]);
        assert_eq!(found, ["crates/runtime/src/documents.rs:4 names Role: ask the permit's rights"]);
        let imports = "//! Why.\nuse domain::user::Entitlements;\n";
        assert_eq!(violations(&[source("crates/tools/src/gateway.rs", imports)]).len(), 1);
    }

    #[test]
    fn policy_tests_comments_and_other_roles_are_not() {
        let asks = "//! Why.\nuse domain::role::Role;\n";
        for path in ["crates/policy/src/matrix.rs", "crates/runtime/tests/it/chat.rs", "crates/data/src/users.rs"] {
            assert_eq!(violations(&[source(path, asks)]), Vec::<String>::new(), "{path}");
        }
        let tested = "//! Why.\n\n#[cfg(test)]\nmod tests {\n    use domain::role::Role;\n}\n";
        let spoken = "//! Why.\n// The Role of the user.\nuse domain::conversation::MessageRole;\n";
        for content in [tested, spoken] {
            assert_eq!(violations(&[source("crates/tools/src/gateway.rs", content)]), Vec::<String>::new());
        }
    }
}
