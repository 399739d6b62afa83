//! Checks rules about files that clippy does not have: a maximum length, and a `//!` comment at the start. (Clippy
//! checks the length and the number of arguments of functions, with the thresholds in clippy.toml.)

use super::manifest;
use super::workspace::TextFile;

/// Maximum number of lines of a file, not counting its tests.
const MAX_LINES: usize = 400;

/// A message for each violation.
pub fn violations(sources: &[TextFile], manifests: &[TextFile]) -> Vec<String> {
    let source_violations =
        sources.iter().flat_map(|source| [check_length(source), check_module_comment(source)]).flatten();
    source_violations.chain(manifests.iter().filter_map(manifest::violation)).collect()
}

/// The distribution of file lengths in lines, without tests. The targets are a median of 130 and a 90th percentile of
/// 300.
pub fn sizes(sources: &[TextFile]) -> String {
    let mut lengths: Vec<_> =
        sources.iter().filter(|source| !is_test(source)).map(|s| lines_without_tests(&s.content)).collect();
    lengths.sort_unstable();
    let percentile =
        |percent: usize| lengths.get((lengths.len().saturating_sub(1)) * percent / 100).copied().unwrap_or_default();
    format!(
        "{} files, median {} lines, p90 {}, longest {}",
        lengths.len(),
        percentile(50),
        percentile(90),
        percentile(100)
    )
}

fn check_length(source: &TextFile) -> Option<String> {
    let length = lines_without_tests(&source.content);
    (!is_test(source) && length > MAX_LINES)
        .then(|| format!("{} has {length} lines without its tests: split it, {MAX_LINES} is the limit", source.path))
}

fn check_module_comment(source: &TextFile) -> Option<String> {
    (!source.content.starts_with("//!"))
        .then(|| format!("{} does not begin with a //! line that says why it exists", source.path))
}

/// Whether the file contains only tests: it is below a `tests` directory or is called `tests.rs`.
fn is_test(source: &TextFile) -> bool {
    source.path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// Number of lines of a file, not counting a test module at its end.
pub(super) fn lines_without_tests(content: &str) -> usize {
    let lines: Vec<_> = content.lines().collect();
    let Some(start) = lines.iter().rposition(|line| *line == "#[cfg(test)]") else {
        return lines.len();
    };
    let opens_module = lines
        .get(start + 1..)
        .and_then(|rest| rest.iter().find(|line| !line.starts_with("#[")))
        .is_some_and(|line| line.starts_with("mod tests") || line.starts_with("pub mod samples"));
    let ends_file = lines[start..]
        .iter()
        .position(|line| *line == "}")
        .is_some_and(|end| lines[start + end + 1..].iter().all(|line| line.is_empty()));
    if opens_module && ends_file { start } else { lines.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD_MANIFEST: &str = "[lints]\nworkspace = true\n";

    fn source(path: &str, content: String) -> TextFile {
        TextFile { path: path.into(), content }
    }

    fn lines(count: usize) -> String {
        "//! Why.\n".to_owned() + &"fn f() {}\n".repeat(count - 1)
    }

    fn violations_of_source(path: &str, content: String) -> Vec<String> {
        let manifest = TextFile { path: "Cargo.toml".into(), content: GOOD_MANIFEST.into() };
        violations(&[source(path, content)], &[manifest])
    }

    #[test]
    fn a_file_at_the_limit_passes_and_one_above_fails() {
        assert!(violations_of_source("crates/a/src/x.rs", lines(400)).is_empty());
        let found = violations_of_source("crates/a/src/x.rs", lines(401));
        assert_eq!(found, ["crates/a/src/x.rs has 401 lines without its tests: split it, 400 is the limit"]);
    }

    #[test]
    fn tests_at_the_end_do_not_count() {
        let tests = "\n#[cfg(test)]\nmod tests {\n".to_owned() + &"    fn t() {}\n".repeat(300) + "}\n";
        assert!(violations_of_source("crates/a/src/x.rs", lines(390) + &tests).is_empty());
        assert_eq!(lines_without_tests(&(lines(390) + &tests)), 391);
    }

    #[test]
    fn code_after_the_tests_counts() {
        let tests = "#[cfg(test)]\nmod tests {\n}\n".to_owned() + &"fn g() {}\n".repeat(20);
        assert_eq!(violations_of_source("crates/a/src/x.rs", lines(390) + &tests).len(), 1);
        let only_an_item = "#[cfg(test)]\nfn helper() {\n}\n";
        assert_eq!(lines_without_tests(&(lines(10) + only_an_item)), 13);
    }

    #[test]
    fn files_of_tests_may_be_long() {
        assert!(violations_of_source("tests/it/isolation.rs", lines(900)).is_empty());
        assert_eq!(violations_of_source("crates/a/src/contests.rs", lines(900)).len(), 1);
    }

    #[test]
    fn a_file_without_a_module_comment_is_found() {
        assert_eq!(violations_of_source("crates/a/src/x.rs", "fn f() {}\n".into()).len(), 1);
        assert_eq!(violations_of_source("tests/it/x.rs", "// a comment\n".into()).len(), 1);
    }

    #[test]
    fn a_manifest_without_the_lints_is_found() {
        let manifest = TextFile { path: "crates/a/Cargo.toml".into(), content: "[package]\n".into() };
        assert_eq!(violations(&[], &[manifest]).len(), 1);
    }

    #[test]
    fn sizes_are_the_distribution_without_tests() {
        let sources = [
            source("a.rs", lines(10)),
            source("b.rs", lines(20)),
            source("c.rs", lines(90)),
            source("tests/it/d.rs", lines(999)),
        ];
        assert_eq!(sizes(&sources), "3 files, median 20 lines, p90 20, longest 90");
    }
}
