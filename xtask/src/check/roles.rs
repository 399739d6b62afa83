//! Checks that no layer below policy names a role or a grant. These layers get a user's rights from the permit, so that
//! a change of the policy matrix takes effect in all of them.

use super::tidy;
use super::workspace::TextFile;

/// The layers below policy.
const LOWER_LAYERS: &[&str] = &[
    "crates/data/src/",
    "crates/model-client/src/",
    "crates/plant-connectors/src/",
    "crates/tools/src/",
    "crates/runtime/src/",
];
/// Exempt files: these read and write the role column of users.
const EXCEPTIONS: &[&str] = &["crates/data/src/users.rs"];
/// Types that describe who a user is, rather than what the permit allows.
const FORBIDDEN_TYPES: &[&str] = &["Role", "Grant", "Entitlements"];

/// A message for each line outside of tests in which a layer below policy names a role.
pub fn violations(sources: &[TextFile]) -> Vec<String> {
    sources.iter().filter(|source| is_below_policy(&source.path)).flat_map(check_source).collect()
}

fn is_below_policy(path: &str) -> bool {
    LOWER_LAYERS.iter().any(|layer| path.starts_with(layer)) && !EXCEPTIONS.contains(&path)
}

fn check_source(source: &TextFile) -> impl Iterator<Item = String> {
    let shipped = source.content.lines().take(tidy::lines_without_tests(&source.content));
    let code = shipped.enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter_map(|(at, line)| {
        let forbidden = words(line).find(|word| FORBIDDEN_TYPES.contains(word))?;
        Some(format!("{}:{} names {forbidden}: use the permit's rights instead", source.path, at + 1))
    })
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, content: &str) -> TextFile {
        TextFile { path: path.to_owned(), content: content.to_owned() }
    }

    #[test]
    fn a_role_in_a_layer_below_policy_is_found() {
        let with_role = "//! Why.\n\nfn f(user: &User) -> bool {\n    user.role == Role::Admin\n}\n";
        let found = violations(&[source("crates/runtime/src/documents.rs", with_role)]);
        assert_eq!(found, ["crates/runtime/src/documents.rs:4 names Role: use the permit's rights instead"]);
        let with_import = "//! Why.\nuse domain::user::Entitlements;\n";
        assert_eq!(violations(&[source("crates/tools/src/gateway.rs", with_import)]).len(), 1);
    }

    #[test]
    fn policy_tests_comments_and_other_roles_are_allowed() {
        let with_role = "//! Why.\nuse domain::role::Role;\n";
        for path in ["crates/policy/src/matrix.rs", "crates/runtime/tests/it/chat.rs", "crates/data/src/users.rs"] {
            assert_eq!(violations(&[source(path, with_role)]), Vec::<String>::new(), "{path}");
        }
        let with_test_module = "//! Why.\n\n#[cfg(test)]\nmod tests {\n    use domain::role::Role;\n}\n";
        let with_comment = "//! Why.\n// The Role of the user.\nuse domain::conversation::MessageRole;\n";
        for content in [with_test_module, with_comment] {
            assert_eq!(violations(&[source("crates/tools/src/gateway.rs", content)]), Vec::<String>::new());
        }
    }
}
