//! Checks that each row of the table of invariants in docs/ARCHITECTURE.md names what enforces it, and that the named
//! files and tests exist.

use super::workspace::TextFile;
use std::collections::HashSet;

/// Heading of the section with the table.
const TABLE_HEADING: &str = "## What never happens";
/// Words that name a check that is not a test file.
const OTHER_CHECKS: &[&str] = &["clippy", "visibility", "cargo xtask", "the store contract", "preflight", "a trigger"];
/// A code span with at least this many underscores is taken for the name of a test.
const MIN_TEST_UNDERSCORES: usize = 3;

/// A message for each named file or test that does not exist, and for each row of the table without a check.
pub fn violations(page: &str, sources: &[TextFile]) -> Vec<String> {
    let function_names: HashSet<&str> = sources.iter().flat_map(|source| function_names(&source.content)).collect();
    let mut found: Vec<String> =
        code_spans(page).filter_map(|span| unknown_reference(span, sources, &function_names)).collect();
    found.extend(rows(page).filter_map(row_without_check));
    found
}

fn unknown_reference(span: &str, sources: &[TextFile], function_names: &HashSet<&str>) -> Option<String> {
    let is_file = span.contains('/') && span.ends_with(".rs");
    if is_file {
        let exists = sources.iter().any(|source| source.path == span || source.path.ends_with(&format!("/{span}")));
        return (!exists).then(|| format!("docs/ARCHITECTURE.md names {span}, which does not exist"));
    }
    let is_name = span.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let is_test = is_name && span.matches('_').count() >= MIN_TEST_UNDERSCORES;
    let exists = !is_test || function_names.contains(span) || function_names.iter().any(|name| name.starts_with(span));
    (!exists).then(|| format!("docs/ARCHITECTURE.md names the test {span}, which does not exist"))
}

/// The rows of the table, without its header.
fn rows(page: &str) -> impl Iterator<Item = &str> {
    let table = page.split_once(TABLE_HEADING).map_or("", |(_, table)| table);
    let section = table.split("\n## ").next().unwrap_or_default();
    section.lines().filter(|line| line.starts_with("| ")).skip(1)
}

fn row_without_check(row: &str) -> Option<String> {
    let check = row.trim_end_matches('|').rsplit(" | ").next().unwrap_or_default();
    let is_named = check.contains(".rs`") || OTHER_CHECKS.iter().any(|word| check.contains(word));
    let is_pending = check.contains("not yet");
    (!is_named || is_pending).then(|| format!("docs/ARCHITECTURE.md: no check is named for {row:?}"))
}

fn code_spans(page: &str) -> impl Iterator<Item = &str> {
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn function_names(content: &str) -> impl Iterator<Item = &str> {
    content.split("fn ").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(row: &str) -> Vec<String> {
        let head = "Text.\n\n## What never happens\n\n| invariant | held up by |\n|---|---|";
        let page = format!("{head}\n{row}\n\n## Next\n| a | b |\n");
        let content = "async fn users_cannot_read_secrets() {}".into();
        let source = TextFile { path: "tests/it/a.rs".into(), content };
        violations(&page, &[source])
    }

    #[test]
    fn a_row_whose_file_and_test_exist_passes() {
        assert!(found("| No x | `tests/it/a.rs`, `users_cannot_read_secrets` |").is_empty());
        assert!(found("| No x | clippy `disallowed-methods` |").is_empty());
    }

    #[test]
    fn a_file_or_test_that_does_not_exist_is_found() {
        assert_eq!(
            found("| No x | `tests/it/b.rs` |"),
            ["docs/ARCHITECTURE.md names tests/it/b.rs, which does not exist"]
        );
        assert_eq!(found("| No x | `tests/it/a.rs`, `users_cannot_write_secrets` |").len(), 1);
    }

    #[test]
    fn a_row_without_a_check_is_found() {
        assert_eq!(found("| No x | read in review |").len(), 1);
        assert_eq!(found("| No x | `tests/it/a.rs`; logs: not yet checked |").len(), 1);
    }
}
