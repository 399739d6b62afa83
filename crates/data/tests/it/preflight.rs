//! The preflight checks reject a database that could show a tenant the rows of another one.

use crate::sql_support::connect_as_superuser;
use data::migrate::{self, LoginRole};
use data::preflight::{self, RolePools};
use data::testing::{TestDb, TestError};
use data::{Database, PoolSettings, SetupError};
use sqlx::AssertSqlSafe;

fn connect_pool(url: &str) -> Result<Database, TestError> {
    Ok(Database::new(url, &PoolSettings { max_connections: 2, ..PoolSettings::default() })?)
}

async fn check(app: &str, worker: &str, auditor: &str) -> Result<Vec<String>, TestError> {
    let (app, worker, auditor) = (connect_pool(app)?, connect_pool(worker)?, connect_pool(auditor)?);
    match preflight::check(RolePools { app: &app, worker: &worker, auditor: &auditor, plant: None }).await {
        Ok(()) => Ok(Vec::new()),
        Err(SetupError::RequirementsNotMet { problems }) => Ok(problems),
        Err(error) => Err(error.into()),
    }
}

fn assert_reported(problems: &[String], sentence: &str) {
    assert!(problems.iter().any(|problem| problem == sentence), "{sentence} is not in {problems:#?}");
}

#[tokio::test]
async fn a_correctly_set_up_database_passes() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    assert_eq!(check(&db.app_url(), &db.worker_url(), &db.auditor_url()).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_superuser_is_rejected_for_each_role() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let superuser_url = db.superuser_url();
    let user = connect_as_superuser(&db).await.map(drop).map(|()| "postgres")?;
    for (app, worker, auditor) in [
        (superuser_url.clone(), db.worker_url(), db.auditor_url()),
        (db.app_url(), superuser_url.clone(), db.auditor_url()),
        (db.app_url(), db.worker_url(), superuser_url.clone()),
    ] {
        let problems = check(&app, &worker, &auditor).await?;
        assert_reported(&problems, &format!("The role \"{user}\" is a superuser."));
        assert_reported(&problems, &format!("The role \"{user}\" has BYPASSRLS."));
    }
    Ok(())
}

#[tokio::test]
async fn swapped_roles_are_rejected() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let problems = check(&db.worker_url(), &db.app_url(), &db.app_url()).await.map_err(|error| error.to_string());
    // The query fails because the worker's role may not read the table of migrations.
    assert_eq!(problems, Err("the database failed while checking the application's role".to_owned()));
    let problems = check(&db.app_url(), &db.app_url(), &db.app_url()).await?;
    assert_reported(&problems, "The worker role \"platform_app\" has SELECT on \"documents\".");
    assert_reported(&problems, "The auditor role \"platform_app\" has INSERT on \"audit_logs\".");
    assert_reported(&problems, "The worker role lacks privileges that it needs; were the migrations applied?");
    assert_reported(&problems, "The auditor role lacks privileges that it needs; were the migrations applied?");
    Ok(())
}

/// Changes to the database since its migration, each with the problem that the check must report.
#[tokio::test]
async fn each_weakness_is_reported_as_a_sentence() -> Result<(), TestError> {
    for (weakness, sentence) in [
        (
            "ALTER TABLE documents NO FORCE ROW LEVEL SECURITY",
            "Row-level security is not enabled and forced on table \"documents\".",
        ),
        (
            "ALTER TABLE tenants DISABLE ROW LEVEL SECURITY",
            "Row-level security is not enabled and forced on table \"tenants\".",
        ),
        ("ALTER TABLE memories OWNER TO platform_app", "The role \"platform_app\" owns tables."),
        (
            "GRANT CREATE ON SCHEMA public TO platform_app",
            "The role \"platform_app\" may create objects in the schema public.",
        ),
        (
            "GRANT SELECT ON audit_logs TO platform_app",
            "The application role \"platform_app\" has SELECT on \"audit_logs\".",
        ),
        ("GRANT TRUNCATE ON users TO platform_app", "The application role \"platform_app\" has TRUNCATE on \"users\"."),
        ("GRANT SELECT ON users TO platform_auditor", "The auditor role \"platform_auditor\" has SELECT on \"users\"."),
        (
            "REVOKE INSERT ON audit_logs FROM platform_app",
            "The application role lacks privileges that it needs; were the migrations applied?",
        ),
        (
            "DELETE FROM _sqlx_migrations WHERE version = 7",
            "Migration 7 has not been applied: run `platform-server migrate`.",
        ),
        (
            "UPDATE _sqlx_migrations SET checksum = '' WHERE version = 2",
            "Migration 2 was applied with different content.",
        ),
        ("UPDATE _sqlx_migrations SET success = false WHERE version = 3", "Migration 3 was interrupted."),
    ] {
        let db = TestDb::create().await?;
        let mut superuser = connect_as_superuser(&db).await?;
        // Safe from injection: the statement is one of the literals above.
        sqlx::raw_sql(AssertSqlSafe(weakness)).execute(&mut superuser).await?;
        assert_reported(&check(&db.app_url(), &db.worker_url(), &db.auditor_url()).await?, sentence);
    }
    Ok(())
}

#[tokio::test]
async fn the_problem_of_an_unmigrated_database_names_the_command() -> Result<(), TestError> {
    // The roles exist, because creating a test database creates the template; this database is not migrated.
    drop(TestDb::create().await?);
    let db = TestDb::create_empty().await?;
    let problems = check(&db.app_url(), &db.worker_url(), &db.auditor_url()).await?;
    assert_reported(&problems, "No migration has been applied: run `platform-server migrate`.");
    Ok(())
}

#[tokio::test]
async fn two_programs_that_migrate_at_once_apply_each_migration_once() -> Result<(), TestError> {
    let db = TestDb::create_empty().await?;
    let url = db.superuser_url();
    let (first_result, second_result) = futures::join!(migrate::run(&url), migrate::run(&url));
    first_result?;
    second_result?;
    migrate::run(&url).await?;
    let enable_logins = LoginRole::ALL.map(|role| migrate::enable_login(&url, role, "test"));
    futures::future::try_join_all(enable_logins).await?;
    assert_eq!(check(&db.app_url(), &db.worker_url(), &db.auditor_url()).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn the_plant_process_is_refused_a_role_that_could_do_more() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    preflight::check_plant(&db.plant_pool()?).await?;
    let problems = |result: Result<(), SetupError>| match result {
        Err(SetupError::RequirementsNotMet { problems }) => Ok(problems),
        other => Err(format!("{other:?}")),
    };
    let wrong_role = problems(preflight::check_plant(&db.app_pool()?).await)?;
    assert_reported(&wrong_role, "The plant role \"platform_app\" has SELECT on \"documents\".");
    let mut superuser = connect_as_superuser(&db).await?;
    sqlx::raw_sql("GRANT SELECT ON users TO platform_plant").execute(&mut superuser).await?;
    let too_much = problems(preflight::check_plant(&db.plant_pool()?).await)?;
    assert_reported(&too_much, "The plant role \"platform_plant\" has SELECT on \"users\".");
    Ok(())
}
