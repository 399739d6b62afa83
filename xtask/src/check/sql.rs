//! SQL is static text with bound parameters: sqlx takes text that is put together at run time only through
//! `AssertSqlSafe`, and only the files below may use it.

use super::workspace::Text;

/// Files that may, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("crates/data/src/chunks/nearest.rs", "the dimension of a vector type, a number, cannot be a parameter"),
    ("crates/data/src/testing.rs", "databases of tests"),
];
const MARKER: &str = "AssertSqlSafe(";

/// One sentence for each place outside of tests that asserts SQL to be safe, and for each exception without need.
pub fn violations(sources: &[Text]) -> Vec<String> {
    let shipped = sources.iter().filter(|source| source.path.starts_with("crates/") && source.path.contains("/src/"));
    let is_exception = |source: &Text| EXCEPTIONS.iter().any(|(path, _)| *path == source.path);
    let wrong = |source: &Text| match (source.content.contains(MARKER), is_exception(source)) {
        (true, false) => Some(format!("{} puts SQL together: use static text with parameters", source.path)),
        (false, true) => Some(format!("{} needs no exception any more", source.path)),
        _ => None,
    };
    shipped.filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, content: &str) -> Vec<String> {
        violations(&[Text { path: path.into(), content: content.into() }])
    }

    #[test]
    fn sql_that_is_put_together_is_found() {
        let content = "sqlx::query(AssertSqlSafe(format!(\"DROP TABLE {name}\")))";
        let expected = "crates/data/src/jobs.rs puts SQL together: use static text with parameters";
        assert_eq!(found("crates/data/src/jobs.rs", content), [expected]);
        assert!(found("crates/data/tests/it/queue.rs", content).is_empty());
        assert!(found("crates/data/src/chunks/nearest.rs", content).is_empty());
    }

    #[test]
    fn an_exception_without_need_is_found() {
        let found = found("crates/data/src/chunks/nearest.rs", "sqlx::query(\"SELECT 1\")");
        assert_eq!(found, ["crates/data/src/chunks/nearest.rs needs no exception any more"]);
    }
}
