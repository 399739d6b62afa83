//! Checks that migrations only expand the schema: during an upgrade the previous release goes on with the new schema. A
//! statement that takes something away from it needs a comment above it that says why no running release misses it:
//! `-- contract: …`.

use super::workspace::TextFile;

/// The last migration from before this rule. Applied migrations are never edited.
const LAST_EXEMPT_VERSION: u32 = 31;
/// Begin of the comment that permits a statement.
const MARKER: &str = "contract:";
/// Words that take away something that the previous release may use.
const BREAKING_WORDS: &[&str] = &[
    "DROP TABLE",
    "DROP COLUMN",
    "DROP FUNCTION",
    "DROP TYPE",
    "DROP VIEW",
    "RENAME",
    "SET NOT NULL",
    "SET DATA TYPE",
];
/// What `ALTER TABLE … DROP` is followed by unless it drops a column, whose keyword is optional.
const NOT_COLUMNS: &[&str] = &["CONSTRAINT", "DEFAULT", "EXPRESSION", "IDENTITY", "NOT"];

/// A message for each statement without a marker that the previous release may not survive.
pub fn violations(migrations: &[TextFile]) -> Vec<String> {
    migrations.iter().filter(|file| version(&file.path) > LAST_EXEMPT_VERSION).flat_map(check_file).collect()
}

/// Number at the beginning of the file name; 0 for other files.
fn version(path: &str) -> u32 {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('_').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn check_file(file: &TextFile) -> Vec<String> {
    let mut found = Vec::new();
    let mut statement = Statement::default();
    for (index, line) in file.content.lines().enumerate() {
        let (code, comment) = line.split_once("--").unwrap_or((line, ""));
        statement.has_marker |= comment.trim().strip_prefix(MARKER).is_some_and(|reason| !reason.trim().is_empty());
        if code.trim().is_empty() {
            continue;
        }
        statement.first_line.get_or_insert(index + 1);
        statement.text.push_str(code);
        statement.text.push(' ');
        if code.trim_end().ends_with(';') {
            found.extend(std::mem::take(&mut statement).violation(&file.path));
        }
    }
    found
}

/// Code up to a line that ends with a semicolon, with the comments in and above it.
#[derive(Default)]
struct Statement {
    text: String,
    first_line: Option<usize>,
    has_marker: bool,
}

impl Statement {
    fn violation(self, path: &str) -> Option<String> {
        if self.has_marker {
            return None;
        }
        let text = self.text.to_uppercase().replace([',', ';', '(', ')'], " ");
        let words: Vec<_> = text.split_whitespace().collect();
        let what = breaking_words(&words)?;
        let line = self.first_line.unwrap_or_default();
        Some(format!(
            "{path}:{line}: {what} may break the previous release, which runs during an upgrade: do it in a release \
             after the one that stops using this, with a comment `-- {MARKER} why nothing misses it` above"
        ))
    }
}

/// What the previous release may not survive in a statement of these uppercase words.
fn breaking_words(words: &[&str]) -> Option<String> {
    let text = format!(" {} ", words.join(" "));
    if let Some(found) = BREAKING_WORDS.iter().find(|found| text.contains(&format!(" {found} "))) {
        return Some((*found).to_owned());
    }
    if text.contains(" REVOKE ") && !text.contains(" FROM PUBLIC ") {
        return Some("REVOKE".to_owned());
    }
    let adds_required_column = text.split(" ADD COLUMN ").skip(1).any(|column| {
        let column = format!(" {} ", column.split(" ADD ").next().unwrap_or(column));
        column.contains(" NOT NULL ") && !column.contains(" DEFAULT ") && !column.contains(" GENERATED ")
    });
    if adds_required_column {
        return Some("ADD COLUMN … NOT NULL without a DEFAULT".to_owned());
    }
    if words.windows(4).any(|four| four[0] == "ALTER" && four[1] == "COLUMN" && four[3] == "TYPE") {
        return Some("ALTER COLUMN … TYPE".to_owned());
    }
    let drops_column = words.starts_with(&["ALTER", "TABLE"])
        && words.windows(2).any(|two| two[0] == "DROP" && !NOT_COLUMNS.contains(&two[1]));
    drops_column.then(|| "DROP of a column".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sql: &str) -> Vec<String> {
        violations(&[TextFile { path: "migrations/0032_things.sql".into(), content: sql.into() }])
    }

    #[test]
    fn statements_that_take_something_away_are_found() {
        for sql in [
            "DROP TABLE things;",
            "ALTER TABLE things DROP COLUMN name;",
            "ALTER TABLE things DROP name;",
            "ALTER TABLE things\n    RENAME COLUMN name TO title;",
            "ALTER TABLE things ALTER COLUMN size TYPE bigint;",
            "ALTER TABLE things ALTER COLUMN size SET NOT NULL;",
            "ALTER TABLE things ADD COLUMN a text, ADD COLUMN b text NOT NULL;",
            "ALTER TABLE things ADD COLUMN a text NOT NULL, ADD COLUMN b text;",
            "REVOKE UPDATE ON things FROM platform_app;",
            "DROP FUNCTION things_of(uuid);",
        ] {
            assert_eq!(found(&format!("-- Things.\n{sql}\n")).len(), 1, "{sql}");
        }
        let violation = &found("-- Things.\n\nSELECT 1;\nalter table things\n    drop column name;\n")[0];
        assert!(violation.starts_with("migrations/0032_things.sql:4: DROP COLUMN may break"), "{violation}");
    }

    #[test]
    fn a_reason_permits_one_statement() {
        let permitted = "-- contract: 1.4 no longer reads it\nALTER TABLE things DROP COLUMN name;\n";
        assert_eq!(found(permitted), Vec::<String>::new());
        assert_eq!(found(&format!("{permitted}DROP TABLE things;\n")).len(), 1);
        assert_eq!(found("-- contract:\nDROP TABLE things;\n").len(), 1);
    }

    #[test]
    fn statements_that_only_add_are_permitted() {
        for sql in [
            "CREATE TABLE things (id uuid NOT NULL, name text NOT NULL);",
            "ALTER TABLE things ADD COLUMN a text NOT NULL\n    DEFAULT '', ADD COLUMN b text;",
            "ALTER TABLE things ALTER COLUMN a DROP NOT NULL, DROP CONSTRAINT things_check;",
            "REVOKE EXECUTE ON FUNCTION things_of(uuid) FROM PUBLIC;",
            "DROP INDEX things_by_name;",
            "DROP POLICY migrating ON things;",
        ] {
            assert_eq!(found(sql), Vec::<String>::new(), "{sql}");
        }
    }

    #[test]
    fn earlier_migrations_and_other_files_are_exempt() {
        for path in ["migrations/0031_branch_summaries.sql", "migrations/README.md"] {
            let file = TextFile { path: path.into(), content: "DROP TABLE things;\n".into() };
            assert_eq!(violations(&[file]), Vec::<String>::new(), "{path}");
        }
    }
}
