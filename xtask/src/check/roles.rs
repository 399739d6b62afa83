//! No layer below policy names a role or a grant: it gets what a user may do as the rights of a permit. A change of the
//! policy matrix therefore takes effect in all layers.

use super::tidy;
use super::workspace::Text;

/// The layers below policy.
const LOWER_LAYERS: &[&str] =
    &["crates/data/src/", "crates/model-client/src/", "crates/tools/src/", "crates/runtime/src/"];
/// Exempt files: these read and write the role column of users.
const EXCEPTIONS: &[&str] = &["crates/data/src/users.rs"];
/// Types that describe who a user is, rather than what the permit allows.
const FORBIDDEN_TYPES: &[&str] = &["Role", "Grant", "Entitlements"];

/// A message for each line outside of tests in which a layer below policy names a role.
pub fn violations(sources: &[Text]) -> Vec<String> {
    sources.iter().filter(|source| is_below(&source.path)).flat_map(of_source).collect()
}

fn is_below(path: &str) -> bool {
    LOWER_LAYERS.iter().any(|layer| path.starts_with(layer)) && !EXCEPTIONS.contains(&path)
}

fn of_source(source: &Text) -> impl Iterator<Item = String> {
    let shipped = source.content.lines().take(tidy::length(&source.content));
    let code = shipped.enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter_map(|(at, line)| {
        let named = words(line).find(|word| FORBIDDEN_TYPES.contains(word))?;
        Some(format!("{}:{} names {named}: use the permit's rights instead", source.path, at + 1))
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
    fn a_role_in_a_layer_below_policy_is_found() {
        let asks = "//! Why.\n\nfn f(user: &User) -> bool {\n    user.role == Role::Admin\n}\n";
        let found = violations(&[source("crates/runtime/src/documents.rs", asks)]);
        assert_eq!(found, ["crates/runtime/src/documents.rs:4 names Role: use the permit's rights instead"]);
        let imports = "//! Why.\nuse domain::user::Entitlements;\n";
        assert_eq!(violations(&[source("crates/tools/src/gateway.rs", imports)]).len(), 1);
    }

    #[test]
    fn policy_tests_comments_and_other_roles_are_allowed() {
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
