//! Checks that SQL is static text with bound parameters. sqlx accepts SQL that is built at run time only through
//! `AssertSqlSafe`, and only the files below may use it.

use super::workspace::TextFile;

/// Files that may use `AssertSqlSafe`, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("crates/data/src/chunks/nearest.rs", "the dimension of a vector type, a number, cannot be a parameter"),
    ("crates/data/src/pool.rs", "a simple query that begins a transaction has no parameters for its UUIDs"),
    ("crates/data/src/testing.rs", "databases of tests"),
];
const MARKER: &str = "AssertSqlSafe(";

/// A message for each file outside of tests that uses `AssertSqlSafe`, and for each unnecessary exception.
pub fn violations(sources: &[TextFile]) -> Vec<String> {
    let shipped_sources =
        sources.iter().filter(|source| source.path.starts_with("crates/") && source.path.contains("/src/"));
    let is_exception = |source: &TextFile| EXCEPTIONS.iter().any(|(path, _)| *path == source.path);
    let violation = |source: &TextFile| match (source.content.contains(MARKER), is_exception(source)) {
        (true, false) => Some(format!("{} builds SQL at run time: use static text with parameters", source.path)),
        (false, true) => Some(format!("{} no longer needs an exception", source.path)),
        _ => None,
    };
    shipped_sources.filter_map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, content: &str) -> Vec<String> {
        violations(&[TextFile { path: path.into(), content: content.into() }])
    }

    #[test]
    fn sql_that_is_built_at_run_time_is_found() {
        let content = "sqlx::query(AssertSqlSafe(format!(\"DROP TABLE {name}\")))";
        let expected = "crates/data/src/jobs.rs builds SQL at run time: use static text with parameters";
        assert_eq!(found("crates/data/src/jobs.rs", content), [expected]);
        assert!(found("crates/data/tests/it/queue.rs", content).is_empty());
        assert!(found("crates/data/src/chunks/nearest.rs", content).is_empty());
    }

    #[test]
    fn an_unnecessary_exception_is_found() {
        let found = found("crates/data/src/chunks/nearest.rs", "sqlx::query(\"SELECT 1\")");
        assert_eq!(found, ["crates/data/src/chunks/nearest.rs no longer needs an exception"]);
    }
}
