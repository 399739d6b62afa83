//! Migrates a database of each earlier schema, with rows of two tenants in every table, to the newest schema: no row is
//! lost, and schema and privileges are those of a new database.

use crate::sql_support::{TENANT_A, TENANT_B, connect_as_app, connect_as_superuser, isolation_violations};
use crate::upgrade::run;
use data::testing::{TestDb, TestError};
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");
const TENANTS: [Uuid; 2] = [TENANT_A, TENANT_B];
/// The migration from which there are tables.
const FIRST_VERSION: i64 = 2;
/// Columns (table, column) whose values a migration changes or removes. Each needs a test of its own.
const CHANGED_COLUMNS: &[(&str, &str)] = &[
    // Migration 18 raises what users write from `public` to `internal`.
    ("messages", "classification"),
];
/// Tables that a migration removes, after it has moved their rows. Each needs a test of its own.
const REMOVED_TABLES: &[&str] = &[];

/// All tables, without partitions and the table of migrations.
const TABLES: &str = "SELECT c.relname::text FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relname <> '_sqlx_migrations'
    ORDER BY 1";
/// The tables of [`TABLES`] that the current role may read.
const READABLE_TABLES: &str = "SELECT c.relname::text FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relname <> '_sqlx_migrations' AND has_table_privilege(c.oid, 'SELECT')
    ORDER BY 1";

/// Queries that describe the schema and its privileges, one line of text per object.
const SCHEMA_QUERIES: &[&str] = &[
    "SELECT format('%s: %s %s%s default %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod),
                   CASE WHEN a.attnotnull THEN ' not null' END, pg_get_expr(d.adbin, d.adrelid))
     FROM pg_class c
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')",
    "SELECT format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace",
    // Without the names, which PostgreSQL makes up for the indexes of partitions.
    "SELECT regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX \\S+ ON', ' INDEX ON')
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace",
    "SELECT format('%s: row security %s, forced %s, owner %s', oid::regclass, relrowsecurity, relforcerowsecurity,
                   relowner::regrole)
     FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
    "SELECT format('%s: policy %s for %s to %s using %s with check %s', polrelid::regclass, polname, polcmd,
                   polroles::regrole[], pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
     FROM pg_policy",
    "SELECT format('%s: %s may %s', c.oid::regclass, r.rolname, privilege)
     FROM pg_class c, pg_roles r, unnest(ARRAY ['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND r.rolname LIKE 'platform\\_%'
       AND has_table_privilege(r.oid, c.oid, privilege)",
    "SELECT format('%s: %s may %s %s', c.oid::regclass, r.rolname, privilege, a.attname)
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped,
          pg_roles r, unnest(ARRAY ['SELECT', 'INSERT', 'UPDATE']) AS privilege
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND r.rolname LIKE 'platform\\_%'
       AND has_column_privilege(r.oid, c.oid, a.attnum, privilege)",
    "SELECT format('%s: %s', tgrelid::regclass, pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT pg_get_functiondef(p.oid) FROM pg_proc p
     WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')",
    "SELECT format('%s may execute %s', r.rolname, p.oid::regprocedure) FROM pg_proc p, pg_roles r
     WHERE p.pronamespace = 'public'::regnamespace AND r.rolname LIKE 'platform\\_%'
       AND has_function_privilege(r.oid, p.oid, 'EXECUTE')",
];

/// A part of `upgrade_rows.sql`, for the schemas from `since` up to before `until`.
struct Section {
    since: i64,
    until: i64,
    sql: &'static str,
}

fn sections() -> Result<Vec<Section>, TestError> {
    let mut sections = Vec::new();
    for section in include_str!("upgrade_rows.sql").split("\n-- since ").skip(1) {
        let (heading, sql) = section.split_once('\n').ok_or("a section has no rows")?;
        let (since, until) = match heading.split_once(" until ") {
            Some((since, until)) => (since.parse()?, until.parse()?),
            None => (heading.parse()?, i64::MAX),
        };
        sections.push(Section { since, until, sql });
    }
    Ok(sections)
}

#[tokio::test]
async fn no_row_of_any_earlier_schema_is_lost() -> Result<(), TestError> {
    // Creates the template database, which sets the passwords of the login roles for the whole cluster.
    let _template_copy = TestDb::create().await?;
    let new_database = TestDb::create_empty().await?;
    data::migrate::run(&new_database.superuser_url()).await?;
    let mut superuser = connect_as_superuser(&new_database).await?;
    for tenant in TENANTS {
        let insert = "INSERT INTO tenants (id, name, slug) VALUES ($1, $1::text, 'tenant-' || right($1::text, 1))";
        sqlx::query(insert).bind(tenant).execute(&mut superuser).await?;
    }
    let expected_schema = schema(&mut superuser).await?;
    assert!(expected_schema.len() > 1000, "{}", expected_schema.len());
    let sections = sections()?;
    // With the newest version, which migrates nothing: its new tables need rows, too.
    for version in MIGRATIONS.iter().map(|migration| migration.version).filter(|version| *version >= FIRST_VERSION) {
        let upgraded_schema =
            upgrade(version, &sections).await.map_err(|error| format!("from migration {version}: {error}"))?;
        let differences: Vec<_> = upgraded_schema.symmetric_difference(&expected_schema).collect();
        assert!(differences.is_empty(), "from migration {version}: {differences:#?}");
    }
    Ok(())
}

/// Creates a database of the schema `version` with rows, migrates and checks it, and returns its new schema.
async fn upgrade(version: i64, sections: &[Section]) -> Result<BTreeSet<String>, TestError> {
    let db = TestDb::create_empty().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    MIGRATIONS.run_to(version, &mut superuser).await?;
    for section in sections.iter().filter(|section| (section.since..section.until).contains(&version)) {
        for tenant in TENANTS {
            run(&mut superuser, &section.sql.replace("$1", &format!("'{tenant}'::uuid"))).await?;
        }
    }
    let rows_before = rows(&mut superuser).await?;
    for (table, rows) in &rows_before {
        let tenants: BTreeSet<_> = rows.iter().map(tenant_of).collect();
        assert!(tenants.len() >= TENANTS.len(), "migration {version}: add rows of {table} to upgrade_rows.sql");
    }

    superuser.close().await?;
    data::migrate::run(&db.superuser_url()).await?;

    let mut superuser = connect_as_superuser(&db).await?;
    let rows_after = rows(&mut superuser).await?;
    let lost = lost_rows(&rows_before, &rows_after);
    assert!(lost.is_empty(), "from migration {version}, lost or changed: {lost:#?}");
    assert_eq!(isolation_violations(&mut superuser).await?, Vec::<String>::new(), "from migration {version}");
    assert_tenants_read_their_own_rows(&db, &rows_after).await?;
    schema(&mut superuser).await
}

/// All rows as JSON objects, by table.
async fn rows(superuser: &mut PgConnection) -> Result<BTreeMap<String, Vec<Value>>, TestError> {
    let tables: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(&mut *superuser).await?;
    let mut rows = BTreeMap::new();
    for table in tables {
        // Safe from injection: the names are those of the migrations.
        let query = AssertSqlSafe(format!("SELECT to_jsonb(t) FROM {table} AS t"));
        let values: Vec<Value> = sqlx::query_scalar(query).fetch_all(&mut *superuser).await?;
        rows.insert(table, values);
    }
    Ok(rows)
}

/// The tenant that a row belongs to; in `tenants`, the tenant itself.
fn tenant_of(row: &Value) -> Option<&str> {
    row.get("tenant_id").or_else(|| row.get("id")).and_then(Value::as_str)
}

/// The rows of `before` that `after` has no row for with the same values.
fn lost_rows<'a>(
    before: &'a BTreeMap<String, Vec<Value>>,
    after: &BTreeMap<String, Vec<Value>>,
) -> Vec<(&'a str, &'a Value)> {
    let mut lost = Vec::new();
    for (table, rows) in before.iter().filter(|(table, _)| !REMOVED_TABLES.contains(&table.as_str())) {
        let rows_after = after.get(table).map(Vec::as_slice).unwrap_or_default();
        let is_lost = |row: &&Value| !rows_after.iter().any(|row_after| is_kept(table, row, row_after));
        lost.extend(rows.iter().filter(is_lost).map(|row| (table.as_str(), row)));
    }
    lost
}

/// Whether `after` has the values of `before` in all columns but those of [`CHANGED_COLUMNS`].
fn is_kept(table: &str, before: &Value, after: &Value) -> bool {
    before.as_object().is_some_and(|columns| {
        columns
            .iter()
            .filter(|(column, _)| !CHANGED_COLUMNS.contains(&(table, column.as_str())))
            .all(|(column, value)| after.get(column) == Some(value))
    })
}

/// As the application's role, each tenant reads its own rows, and nobody reads any without a tenant.
async fn assert_tenants_read_their_own_rows(db: &TestDb, rows: &BTreeMap<String, Vec<Value>>) -> Result<(), TestError> {
    let mut app = connect_as_app(db).await?;
    let readable: Vec<String> = sqlx::query_scalar(READABLE_TABLES).fetch_all(&mut app).await?;
    assert!(readable.len() > 10, "{readable:?}");
    for tenant in TENANTS.map(Some).into_iter().chain([None]) {
        let id = tenant.map(|tenant| tenant.to_string()).unwrap_or_default();
        let mut transaction = app.begin().await?;
        sqlx::query(
            "SELECT set_config('app.current_tenant_id', $1, true), set_config('app.current_user_id', $1, true)",
        )
        .bind(&id)
        .execute(&mut *transaction)
        .await?;
        for table in &readable {
            let query = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            let count: i64 = sqlx::query_scalar(query).fetch_one(&mut *transaction).await?;
            let own_count = rows[table].iter().filter(|row| tenant_of(row) == Some(id.as_str())).count();
            assert_eq!(count, i64::try_from(own_count)?, "{table} of tenant {tenant:?}");
        }
        transaction.rollback().await?;
    }
    Ok(())
}

async fn schema(superuser: &mut PgConnection) -> Result<BTreeSet<String>, TestError> {
    let mut lines = BTreeSet::new();
    for query in SCHEMA_QUERIES {
        lines.extend(sqlx::query_scalar::<_, String>(*query).fetch_all(&mut *superuser).await?);
    }
    Ok(lines)
}
