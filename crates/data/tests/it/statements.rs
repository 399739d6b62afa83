//! Checks every static statement against the migrated schema: it can be prepared by the login that runs it, and its
//! result has all columns that the program reads, with types that the program can decode.

use data::testing::{Login, StatementInfo, TestDb, TestError, statements};
use sqlx::postgres::PgStatement;
use sqlx::{Column as _, Connection as _, Executor as _, PgConnection, SqlStr, Statement as _};
use std::path::Path;

/// Prepares a statement and returns the problems found, if any.
async fn problems(connection: &mut PgConnection, statement: &StatementInfo) -> Vec<String> {
    match connection.prepare(SqlStr::from_static(statement.sql)).await {
        Err(error) => vec![format!("{} as {:?}: {error}\n{}", statement.doing, statement.login, statement.sql)],
        Ok(prepared) => mismatches(statement, &prepared),
    }
}

fn mismatches(statement: &StatementInfo, prepared: &PgStatement) -> Vec<String> {
    let columns = prepared.columns();
    let fields = (statement.fields)();
    let wrong = fields.iter().filter_map(|field| {
        let column = match field.name {
            "" => columns.first().filter(|_| columns.len() == 1),
            name => columns.iter().find(|column| column.name() == name),
        };
        let Some(column) = column else { return Some(format!("no column {:?} in the result", field.name)) };
        let is_readable = (field.accepts)(column.type_info());
        (!is_readable)
            .then(|| format!("column {:?} is {}, which its field cannot read", field.name, column.type_info()))
    });
    wrong.map(|what| format!("{}: {what}\n{}", statement.doing, statement.sql)).collect()
}

#[tokio::test]
async fn every_statement_fits_the_schema() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let all = statements();
    assert!(all.len() > 100, "only {} statements", all.len());
    let mut found = Vec::new();
    for (login, url) in [
        (Login::App, db.app_url()),
        (Login::Worker, db.worker_url()),
        (Login::Auditor, db.auditor_url()),
        (Login::Owner, db.superuser_url()),
    ] {
        let mut connection = PgConnection::connect(&url).await?;
        if login == Login::Owner {
            sqlx::query("SET ROLE platform_owner").execute(&mut connection).await?;
        }
        for statement in all.iter().filter(|statement| statement.login == login) {
            found.extend(problems(&mut connection, statement).await);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    Ok(())
}

#[tokio::test]
async fn a_changed_column_is_noticed() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut owner = PgConnection::connect(&db.superuser_url()).await?;
    let mut app = PgConnection::connect(&db.app_url()).await?;
    let all = statements();
    let reading = all.iter().find(|statement| statement.doing == "reading a memory").ok_or("no such statement")?;
    assert_eq!(problems(&mut app, reading).await, Vec::<String>::new());
    sqlx::query("ALTER TABLE memories ALTER importance TYPE numeric").execute(&mut owner).await?;
    let mut app = PgConnection::connect(&db.app_url()).await?;
    let found = problems(&mut app, reading).await.join("\n");
    assert!(found.contains("column \"importance\" is NUMERIC"), "{found}");
    sqlx::query("ALTER TABLE memories RENAME importance TO weight").execute(&mut owner).await?;
    let mut app = PgConnection::connect(&db.app_url()).await?;
    let found = problems(&mut app, reading).await.join("\n");
    assert!(found.contains("\"importance\" does not exist"), "{found}");
    Ok(())
}

/// Repositories must declare their statements with `statements!`. Only the code for migrations, preflight checks and
/// tests may call sqlx directly.
#[test]
fn no_statement_escapes_the_list() -> Result<(), TestError> {
    const MAY_CALL_SQLX: &[&str] = &["statement.rs", "migrate.rs", "preflight.rs", "testing.rs"];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if !MAY_CALL_SQLX.contains(&name) {
                let text = std::fs::read_to_string(&path)?;
                let escapes = ["sqlx::query(", "sqlx::query_as(", "sqlx::query_scalar(", "QueryBuilder"];
                let found = escapes.iter().find(|call| text.contains(**call));
                assert_eq!(found, None, "{}", path.display());
            }
        }
    }
    Ok(())
}
