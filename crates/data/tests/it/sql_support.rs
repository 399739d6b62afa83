//! Plain connections and checks of the system catalog, for tests that bypass the repositories.

use data::testing::{TestDb, TestError};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// The tenant that the SQL tests act as.
pub(crate) const TENANT_A: Uuid = Uuid::from_u128(0xa);
/// The other tenant, whose rows must stay hidden.
pub(crate) const TENANT_B: Uuid = Uuid::from_u128(0xb);

/// Connects as the application's role. Asserts that the role cannot bypass row-level security; otherwise, the tests
/// would prove nothing.
pub(crate) async fn connect_as_app(db: &TestDb) -> Result<PgConnection, TestError> {
    let mut connection = PgConnection::connect(&db.app_url()).await?;
    let role: (String, bool, bool) =
        sqlx::query_as("SELECT rolname::text, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
            .fetch_one(&mut connection)
            .await?;
    assert_eq!(role, ("platform_app".to_owned(), false, false));
    Ok(connection)
}

/// Connects as the cluster's superuser, to whom no policy applies.
pub(crate) async fn connect_as_superuser(db: &TestDb) -> Result<PgConnection, TestError> {
    Ok(PgConnection::connect(&db.superuser_url()).await?)
}

/// Checks the tenant isolation of the schema against the [`VIOLATION_QUERIES`]; returns each violation as text.
pub(crate) async fn isolation_violations(connection: &mut PgConnection) -> Result<Vec<String>, TestError> {
    let mut violations: Vec<String> = Vec::new();
    for query in VIOLATION_QUERIES {
        violations.extend(sqlx::query_scalar::<_, String>(*query).fetch_all(&mut *connection).await?);
    }
    Ok(violations)
}

/// Queries on the system catalog that return one line of text per violation.
const VIOLATION_QUERIES: &[&str] = &[
    // Row-level security is forced on every table, and every table but `tenants` has a tenant_id. The table of
    // migrations has neither.
    "SELECT format('%s: row security is not forced', c.relname) FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations'
       AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    "SELECT format('%s: no tenant_id', c.relname) FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND c.relname NOT IN ('_sqlx_migrations', 'tenants')
       AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
           AND a.attnotnull)",
    // There are no views, because a view reads with the rights of its owner and so bypasses the policies.
    "SELECT format('%s: a view', c.relname) FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('v', 'm')
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')",
    // For each command that a role may run on a table, there is a policy that checks the tenant of the rows read and
    // written.
    "WITH granted AS (
         SELECT c.oid, c.relname, r.oid AS role, r.rolname, command.name, command.letter
         FROM pg_class c, pg_roles r,
              (VALUES ('SELECT', 'r'), ('INSERT', 'a'), ('UPDATE', 'w'), ('DELETE', 'd')) AS command (name, letter)
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations'
           AND r.rolname IN ('platform_app', 'platform_worker', 'platform_auditor', 'platform_plant')
           AND CASE command.name WHEN 'DELETE' THEN has_table_privilege(r.oid, c.oid, 'DELETE')
                    ELSE has_any_column_privilege(r.oid, c.oid, command.name) END)
     SELECT format('%s: %s has %s without a policy that checks the tenant', g.relname, g.rolname, g.name)
     FROM granted g
     WHERE NOT EXISTS (
         SELECT FROM pg_policy p
         WHERE p.polrelid = g.oid AND g.role = ANY(p.polroles) AND p.polcmd::text IN ('*', g.letter)
           AND (g.name = 'INSERT' OR pg_get_expr(p.polqual, p.polrelid) LIKE '%app_tenant()%')
           AND (g.name IN ('SELECT', 'DELETE') OR pg_get_expr(p.polwithcheck, p.polrelid) LIKE '%app_tenant()%'))",
    // Every policy of those roles checks the tenant. One that does not would be enough for a leak, because permissive
    // policies are combined with OR.
    "SELECT format('%s: policy %s does not check the tenant', c.relname, p.polname)
     FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
     WHERE p.polroles <> ARRAY ['platform_owner'::regrole::oid]
       AND (pg_get_expr(p.polqual, p.polrelid) NOT LIKE '%= ( SELECT app_tenant() AS app_tenant)%'
            OR pg_get_expr(p.polwithcheck, p.polrelid) NOT LIKE '%= ( SELECT app_tenant() AS app_tenant)%')",
    // Policies of tables with private rows of a user also check the user.
    "SELECT format('%s: policy %s does not check the user', c.relname, p.polname)
     FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
     WHERE (c.relname IN ('conversations', 'messages', 'memories', 'idempotency_keys', 'run_events', 'goals',
     'goal_plans',
                          'goal_steps', 'goal_events')
            OR c.relname = 'message_feedback' AND p.polcmd <> 'r')
         AND p.polroles <> ARRAY ['platform_owner'::regrole::oid]
       AND (pg_get_expr(p.polqual, p.polrelid) NOT LIKE '%app_user()%'
            OR pg_get_expr(p.polwithcheck, p.polrelid) NOT LIKE '%app_user()%')",
    // Every policy of the application keeps to the space of the transaction, but for what is a tenant's as a whole: its
    // row, its usage, and its audit log, which the application only adds to.
    "SELECT format('%s: policy %s does not check the space', c.relname, p.polname)
     FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
     WHERE to_regprocedure('app_team()') IS NOT NULL AND 'platform_app'::regrole::oid = ANY(p.polroles)
       AND c.relname NOT LIKE 'audit_%'
       AND c.relname NOT IN ('tenants', 'tenant_usage', 'tenant_token_usage', 'usage_days', 'budget_reservations')
       AND (pg_get_expr(p.polqual, p.polrelid) NOT LIKE '%app_team()%'
            OR pg_get_expr(p.polwithcheck, p.polrelid) NOT LIKE '%app_team()%')",
    // The owner of the functions may see all rows only in the tables of the queue, the directory and the usage totals.
    // (`job_turns` states when the fair queue last served each tenant.) In other tables, a named policy gives it the
    // rows that a function needs:
    // - `queue_models`: for finding documents by their embedding model, to requeue them
    // - `index_build`: for building the vector index of one tenant
    // - `directory_token`: for looking up an access token before there is a tenant scope
    // - `ended_…`, `expired_…`, `sweep` and `retirement`: for deleting rows that are no longer needed
    // - `recovery`: for ending the runs and intents of processes that died
    // - `expired` of `teams`: for finding deleted teams whose content is to go
    // - `due`: for finding the tenants whose approvals, messages or goals need a worker, and for leasing goals' work
    // - `claiming` and `overview`: for the plant process, which gets ids; `retention…` for dropping recorded samples
    // - `streams`: for listing the tenants that have audit rows
    // - `keeping`: for keeping the audit chain; `audit_open` holds the intents without an outcome
    "SELECT format('%s: a policy for platform_owner', c.relname) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
     WHERE 'platform_owner'::regrole::oid = ANY(p.polroles) AND c.relname NOT IN
           ('jobs', 'job_turns', 'tenants', 'tenant_settings_versions', 'tenant_usage', 'usage_days', 'tenant_mappings')
       AND (c.relname, p.polname) NOT IN (('documents', 'queue_models'), ('document_chunks', 'index_build'),
           ('access_tokens', 'directory_token'), ('teams', 'expired'),
           ('sessions', 'ended_read'), ('sessions', 'ended_sweep'),
           ('audit_logs', 'recovery'), ('audit_logs', 'streams'), ('audit_logs_other', 'retirement'),
           ('audit_unsealed', 'keeping'), ('audit_chain', 'keeping'), ('audit_checkpoints', 'keeping'),
           ('audit_retirements', 'keeping'), ('audit_open', 'keeping'),
           ('run_events', 'recovery'), ('run_events', 'sweep'), ('approvals', 'due'), ('plant_mode', 'due'),
           ('channel_deliveries', 'due'),
           ('plant_requests', 'claiming'), ('connectors', 'overview'), ('tags', 'overview'),
           ('goals', 'due'), ('goal_steps', 'due'), ('recorded_samples', 'retention'), ('recorded_samples',
           'retention_read'),
           ('idempotency_keys', 'expired_read'), ('idempotency_keys', 'expired_sweep'))",
    // Each tenant has a partition of passages with its own policies, which can only be accessed through the parent.
    // `document_chunks_nobody` is the default partition, which is always empty.
    "SELECT format('%s: no partition of passages', t.slug) FROM tenants t
     WHERE to_regclass('public.' || passage_partition(t.id)) IS NULL",
    "SELECT format('%s: a partition without a policy that checks the tenant', c.relname) FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relispartition AND c.relkind = 'r'
       AND c.relname <> 'document_chunks_nobody'
       AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid
                         AND pg_get_expr(p.polqual, p.polrelid) LIKE '%= ( SELECT app_tenant() AS app_tenant)%'
                         AND pg_get_expr(p.polwithcheck, p.polrelid) LIKE '%= ( SELECT app_tenant() AS app_tenant)%')",
    "SELECT format('%s: a partition that %s can access directly', c.relname, r.rolname) FROM pg_class c, pg_roles r
     WHERE c.relnamespace = 'public'::regnamespace AND c.relispartition AND c.relkind = 'r'
       AND r.rolname IN ('platform_app', 'platform_worker', 'platform_auditor', 'platform_plant')
       AND (has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE') OR has_table_privilege(r.oid, c.oid,
           'DELETE'))",
    // No login role can move a row to another tenant, truncate a table, or own or create objects.
    "SELECT format('%s: %s may update tenant_id', c.relname, r.rolname) FROM pg_class c, pg_roles r
     WHERE c.relnamespace = 'public'::regnamespace
         AND r.rolname IN ('platform_app', 'platform_worker', 'platform_auditor', 'platform_plant')
       AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                     AND has_column_privilege(r.oid, c.oid, a.attnum, 'UPDATE'))",
    "SELECT format('%s: %s has %s', c.relname, r.rolname, surplus.name)
     FROM pg_class c, pg_roles r, (VALUES ('TRUNCATE'), ('TRIGGER'), ('REFERENCES')) AS surplus (name)
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND r.rolname IN ('platform_app', 'platform_worker', 'platform_auditor', 'platform_plant')
       AND has_table_privilege(r.oid, c.oid, surplus.name)",
    "SELECT format('%s: owned by %s', c.relname, c.relowner::regrole) FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations'
       AND c.relowner <> 'platform_owner'::regrole",
    "SELECT format('%s: a privilege that no role of the platform may have', r.rolname) FROM pg_roles r
     WHERE r.rolname IN ('platform_owner', 'platform_app', 'platform_worker', 'platform_auditor',
           'platform_plant')
       AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication
            OR r.rolcanlogin = (r.rolname = 'platform_owner')
            OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid)
            OR (r.rolname <> 'platform_owner' AND has_schema_privilege(r.oid, 'public', 'CREATE'))
            OR has_database_privilege(r.oid, current_database(), 'TEMPORARY')
            OR has_database_privilege(r.oid, current_database(), 'CREATE'))",
    // Different roles append to and read the audit log; no role can change it.
    "SELECT format('audit_logs: %s has %s', r.rolname, privilege.name)
     FROM pg_roles r, (VALUES ('SELECT'), ('INSERT'), ('UPDATE')) AS privilege (name)
     WHERE r.rolname IN ('platform_app', 'platform_worker', 'platform_auditor', 'platform_plant')
       AND (r.rolname, privilege.name) NOT IN (('platform_app', 'INSERT'), ('platform_auditor', 'SELECT'))
       AND has_any_column_privilege(r.oid, 'audit_logs', privilege.name)",
    "SELECT format('audit_logs: %s has DELETE', r.rolname) FROM pg_roles r
     WHERE r.rolname IN ('platform_app', 'platform_worker', 'platform_auditor', 'platform_plant')
       AND has_table_privilege(r.oid, 'audit_logs', 'DELETE')",
    // The hash chain and its checkpoints are written only by functions of the database.
    "SELECT format('%s: %s has %s', c.relname, r.rolname, privilege.name)
     FROM pg_class c, pg_roles r, (VALUES ('INSERT'), ('UPDATE'), ('DELETE')) AS privilege (name)
     WHERE c.relnamespace = 'public'::regnamespace
       AND c.relname IN ('audit_unsealed', 'audit_chain', 'audit_checkpoints', 'audit_retirements', 'audit_open')
       AND r.rolname IN ('platform_app', 'platform_worker', 'platform_auditor', 'platform_plant')
       AND CASE privilege.name WHEN 'DELETE' THEN has_table_privilege(r.oid, c.oid, 'DELETE')
                ELSE has_any_column_privilege(r.oid, c.oid, privilege.name) END",
    "SELECT format('%s: no trigger records new rows', c.relname) FROM pg_class c
     WHERE c.oid = to_regclass('public.audit_chain') AND NOT EXISTS (
         SELECT FROM pg_trigger t WHERE t.tgrelid = 'audit_logs'::regclass AND t.tgname = 'appended'
             AND t.tgenabled = 'O')",
    // Keys are enforced without row-level security, so each of them must contain tenant_id; foreign keys on both sides.
    "SELECT format('%s: %s does not contain tenant_id', con.conrelid::regclass, con.conname)
     FROM pg_constraint con
     WHERE con.connamespace = 'public'::regnamespace AND con.contype IN ('p', 'u', 'f')
       AND con.conrelid NOT IN ('tenants'::regclass, coalesce(to_regclass('_sqlx_migrations'), 0))
       AND NOT EXISTS (SELECT FROM pg_attribute a
                       WHERE a.attrelid = con.conrelid AND a.attnum = ANY(con.conkey) AND a.attname = 'tenant_id')",
    "SELECT format('%s: %s does not point at tenant_id', con.conrelid::regclass, con.conname)
     FROM pg_constraint con
     WHERE con.connamespace = 'public'::regnamespace AND con.contype = 'f' AND con.confrelid <> 'tenants'::regclass
       AND NOT EXISTS (SELECT FROM unnest(con.conkey, con.confkey) AS pair (here, there)
                       JOIN pg_attribute h ON h.attrelid = con.conrelid AND h.attnum = pair.here
                       JOIN pg_attribute t ON t.attrelid = con.confrelid AND t.attnum = pair.there
                       WHERE h.attname = 'tenant_id' AND t.attname = 'tenant_id')",
    "SELECT format('%s: unique index %s does not contain tenant_id', i.indrelid::regclass, i.indexrelid::regclass)
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace
       AND c.relname NOT IN ('tenants', '_sqlx_migrations')
       AND NOT EXISTS (SELECT FROM pg_attribute a
                       WHERE a.attrelid = c.oid AND a.attnum = ANY(i.indkey) AND a.attname = 'tenant_id')",
    // Each SECURITY DEFINER function pins its search path and is executable by only one login role. `audit_streams`
    // lists the tenants that have audit rows; `directory_…` looks up and manages tenants before there is a tenant
    // scope.
    "SELECT format('%s: search_path is not pinned', p.oid::regprocedure) FROM pg_proc p
     WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace
       AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS setting
                       WHERE setting LIKE 'search_path=pg_catalog, %' AND setting LIKE '%, pg_temp')",
    "SELECT format('%s: executable by %s', p.oid::regprocedure, r.rolname)
     FROM pg_proc p, pg_roles r
     WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace
       AND r.rolname IN ('platform_app', 'platform_worker', 'platform_auditor', 'platform_plant')
       AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
       AND r.rolname <> CASE WHEN p.proname = 'audit_streams' THEN 'platform_auditor'
                             WHEN p.proname = 'plant_mode_counts' THEN 'platform_worker'
                             WHEN p.proname LIKE '%plant%' THEN 'platform_plant'
                             WHEN p.proname LIKE 'directory_%' OR p.proname LIKE 'audit_%' THEN 'platform_app'
                             ELSE 'platform_worker' END",
    // The worker has no access to any table: it calls functions. The auditor reads only the tables of the audit log.
    "SELECT format('%s: platform_worker has %s', c.relname, privilege.name)
     FROM pg_class c, (VALUES ('SELECT'), ('INSERT'), ('UPDATE')) AS privilege (name)
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND has_any_column_privilege('platform_worker', c.oid, privilege.name)",
    "SELECT format('%s: platform_plant has %s', c.relname, privilege.name)
     FROM pg_class c, (VALUES ('SELECT'), ('INSERT'), ('UPDATE')) AS privilege (name)
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND has_any_column_privilege('platform_plant', c.oid, privilege.name)
       AND (c.relname, privilege.name) NOT IN (
           ('connectors', 'SELECT'), ('tags', 'SELECT'), ('plant_requests', 'SELECT'), ('plant_requests', 'UPDATE'),
           ('tag_samples', 'SELECT'), ('tag_samples', 'INSERT'), ('tag_samples', 'UPDATE'),
           ('recorded_samples', 'SELECT'), ('recorded_samples', 'INSERT'))",
    "SELECT format('%s: platform_auditor may read it', c.relname) FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND c.relname NOT IN ('audit_logs', 'audit_unsealed', 'audit_chain', 'audit_checkpoints', 'audit_retirements')
       AND has_any_column_privilege('platform_auditor', c.oid, 'SELECT')",
];
