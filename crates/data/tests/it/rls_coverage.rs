//! Checks the system catalog for row-level security on every tenant table, so that a new table cannot be forgotten.

use crate::sql_support::{TENANT_A, connect_as_superuser, isolation_violations};
use data::testing::{TestDb, TestError};
use sqlx::{AssertSqlSafe, PgConnection};

#[tokio::test]
async fn every_tenant_table_is_isolated() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut connection = connect_as_superuser(&db).await?;
    add_tenant(&mut connection).await?;
    assert_eq!(isolation_violations(&mut connection).await?, Vec::<String>::new());
    let policy_count: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_policies WHERE 'platform_app' = ANY(roles)")
        .fetch_one(&mut connection)
        .await?;
    assert!(policy_count >= 13, "too few policies in the catalog");
    Ok(())
}

/// Inserts a tenant, which also creates a partition for the checks to look at.
async fn add_tenant(connection: &mut PgConnection) -> Result<(), TestError> {
    let insert = sqlx::query("INSERT INTO tenants (id, name, slug) VALUES ($1, 'a', 'a')").bind(TENANT_A);
    insert.execute(connection).await?;
    Ok(())
}

/// Mistakes that a migration could make, each with the beginning of the violation that must be reported.
const MISTAKES: &[(&str, &str)] = &[
    (
        "ALTER TABLE document_chunks_0000000000000000000000000000000a NO FORCE ROW LEVEL SECURITY",
        "document_chunks_0000000000000000000000000000000a: row security is not forced",
    ),
    (
        "DROP POLICY tenant ON document_chunks_0000000000000000000000000000000a",
        "document_chunks_0000000000000000000000000000000a: a partition without a policy",
    ),
    (
        "GRANT SELECT ON document_chunks_0000000000000000000000000000000a TO platform_app",
        "document_chunks_0000000000000000000000000000000a: a partition that platform_app can access directly",
    ),
    (
        "ALTER TABLE document_chunks DETACH PARTITION document_chunks_0000000000000000000000000000000a;
             ALTER TABLE document_chunks_0000000000000000000000000000000a RENAME TO elsewhere",
        "a: no partition of passages",
    ),
    (
        "CREATE POLICY all_of_them ON messages FOR SELECT TO platform_owner USING (true)",
        "messages: a policy for platform_owner",
    ),
    ("DROP POLICY tenant ON documents", "documents: platform_app has SELECT without a policy"),
    ("ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY", "jobs: row security is not forced"),
    ("ALTER TABLE users DISABLE ROW LEVEL SECURITY", "users: row security is not forced"),
    ("ALTER POLICY tenant ON teams WITH CHECK (true)", "teams: policy tenant does not check the tenant"),
    ("CREATE POLICY extra ON users FOR SELECT USING (true)", "users: policy extra does not check the tenant"),
    (
        "ALTER POLICY owner ON messages USING (tenant_id = (SELECT app_tenant()))",
        "messages: policy owner does not check the user",
    ),
    (
        "ALTER POLICY tenant ON documents USING (tenant_id = (SELECT app_tenant()))",
        "documents: policy tenant does not check the space",
    ),
    ("GRANT SELECT ON audit_logs TO platform_app", "audit_logs: platform_app has SELECT"),
    ("GRANT INSERT ON audit_chain TO platform_app", "audit_chain: platform_app has INSERT"),
    ("GRANT DELETE ON audit_open TO platform_app", "audit_open: platform_app has DELETE"),
    ("ALTER TABLE audit_logs DISABLE TRIGGER appended", "audit_chain: no trigger records new rows"),
    ("ALTER TABLE audit_logs_other NO FORCE ROW LEVEL SECURITY", "audit_logs_other: row security is not forced"),
    ("GRANT UPDATE ON documents TO platform_app", "documents: platform_app may update tenant_id"),
    ("GRANT TRUNCATE ON messages TO platform_app", "messages: platform_app has TRUNCATE"),
    ("GRANT SELECT (id) ON documents TO platform_worker", "documents: platform_worker has SELECT"),
    ("CREATE TABLE things (id uuid PRIMARY KEY)", "things: no tenant_id"),
    ("CREATE VIEW everything AS SELECT * FROM documents", "everything: a view"),
    ("ALTER TABLE memories OWNER TO platform_app", "memories: owned by platform_app"),
    (
        "ALTER TABLE memories ADD FOREIGN KEY (user_id, tenant_id) REFERENCES users (id, tenant_id),
                 ADD CONSTRAINT bare UNIQUE (id)",
        "memories: bare does not contain tenant_id",
    ),
    ("CREATE UNIQUE INDEX bare_index ON users (email)", "users: unique index bare_index does not contain"),
    ("ALTER FUNCTION claim_job(interval) RESET search_path", "claim_job(interval): search_path is not pinned"),
    ("GRANT EXECUTE ON FUNCTION claim_job(interval) TO PUBLIC", "claim_job(interval): executable by platform_app"),
];

#[tokio::test]
async fn each_mistake_is_detected() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut connection = connect_as_superuser(&db).await?;
    add_tenant(&mut connection).await?;
    for (mistake, expected) in MISTAKES {
        // Safe from injection: the statements are the literals above. The rollback undoes them.
        let script = AssertSqlSafe(format!("BEGIN; {mistake}"));
        sqlx::raw_sql(script).execute(&mut connection).await?;
        let violations = isolation_violations(&mut connection).await?;
        assert!(violations.iter().any(|violation| violation.starts_with(expected)), "{mistake}: {violations:?}");
        sqlx::raw_sql("ROLLBACK").execute(&mut connection).await?;
    }
    assert_eq!(isolation_violations(&mut connection).await?, Vec::<String>::new());
    Ok(())
}
