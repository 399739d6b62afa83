//! Checks that no line of Rust exceeds the maximum width. rustfmt wraps code, but not comments and strings.

use super::workspace::TextFile;

/// Maximum width of a line, in characters.
const MAX_COLUMNS: usize = 120;

/// A message for each line that is too wide.
pub fn violations(sources: &[TextFile]) -> Vec<String> {
    sources.iter().filter(|source| !is_fixture(&source.path)).flat_map(check_source).collect()
}

/// Whether the file is a fixture or generated, and therefore exempt.
fn is_fixture(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "fixtures" | "snapshots" | "generated"))
}

fn check_source(source: &TextFile) -> impl Iterator<Item = String> {
    source.content.lines().enumerate().filter_map(|(index, line)| {
        let columns = line.chars().count();
        (columns > MAX_COLUMNS)
            .then(|| format!("{}:{} has {columns} columns; the limit is {MAX_COLUMNS}", source.path, index + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, content: String) -> Vec<String> {
        violations(&[TextFile { path: path.into(), content }])
    }

    #[test]
    fn a_line_above_the_limit_is_found_and_one_at_the_limit_is_not() {
        let content = format!("{}\n{}\n", "x".repeat(120), "x".repeat(121));
        assert_eq!(found("crates/a/src/x.rs", content), ["crates/a/src/x.rs:2 has 121 columns; the limit is 120"]);
    }

    #[test]
    fn columns_are_characters_and_not_bytes() {
        assert!(found("crates/a/src/x.rs", "é".repeat(120)).is_empty());
    }

    #[test]
    fn comments_and_strings_count_and_fixtures_do_not() {
        assert_eq!(found("tests/it/x.rs", format!("// {}", "x".repeat(118))).len(), 1);
        assert_eq!(found("tests/it/x.rs", format!("    \"{}\"", "x".repeat(118))).len(), 1);
        assert!(found("crates/a/tests/fixtures/x.rs", "x".repeat(121)).is_empty());
    }
}
