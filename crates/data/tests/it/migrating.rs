//! Migrating a database that is in use: one run at a time, and no long wait for the lock of a table, behind which all
//! later queries of that table would wait too.

use crate::sql_support::connect_as_superuser;
use data::migrate::{LockWait, run_with_lock_wait};
use data::testing::{TestDb, TestError};
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");
/// A version whose next migration alters `messages`.
const VERSION_BEFORE_ALTER: i64 = 30;
const SHORT_WAIT: LockWait =
    LockWait { timeout: Duration::from_millis(200), pause: Duration::from_millis(20), attempts: 1 };

/// A database of [`VERSION_BEFORE_ALTER`].
async fn older_database() -> Result<TestDb, TestError> {
    let db = TestDb::create_empty().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    MIGRATIONS.run_to(VERSION_BEFORE_ALTER, &mut superuser).await?;
    superuser.close().await?;
    Ok(db)
}

async fn applied_count(db: &TestDb) -> Result<i64, TestError> {
    let mut superuser = connect_as_superuser(db).await?;
    Ok(sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations WHERE success").fetch_one(&mut superuser).await?)
}

fn migration_count() -> Result<i64, TestError> {
    Ok(i64::try_from(MIGRATIONS.iter().count())?)
}

/// Begins a transaction that has read `messages`, and so keeps its table from being altered.
async fn begin_reading(db: &TestDb) -> Result<PgConnection, TestError> {
    let mut reader = connect_as_superuser(db).await?;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM messages").execute(&mut reader).await?;
    Ok(reader)
}

#[tokio::test]
async fn a_migration_gives_up_waiting_for_a_table_and_changes_nothing() -> Result<(), TestError> {
    let db = older_database().await?;
    let applied_before = applied_count(&db).await?;
    let reader = begin_reading(&db).await?;
    let refused = run_with_lock_wait(&db.superuser_url(), LockWait { attempts: 2, ..SHORT_WAIT }).await;
    let message = refused.err().ok_or("the table could be altered")?.to_string();
    assert!(message.contains("pg_stat_activity"), "{message}");
    assert_eq!(applied_count(&db).await?, applied_before);
    reader.close().await?;
    run_with_lock_wait(&db.superuser_url(), SHORT_WAIT).await?;
    assert_eq!(applied_count(&db).await?, migration_count()?);
    Ok(())
}

#[tokio::test]
async fn a_migration_is_tried_again_and_lets_queries_pass_meanwhile() -> Result<(), TestError> {
    let db = older_database().await?;
    let reader = begin_reading(&db).await?;
    let url = db.superuser_url();
    let migrate = run_with_lock_wait(&url, LockWait { attempts: 100, ..SHORT_WAIT });
    let read_meanwhile = async {
        let mut other = connect_as_superuser(&db).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        // The timeout is far above the wait for one attempt, and below the wait for all.
        sqlx::raw_sql("SET statement_timeout = '5s'; SELECT count(*) FROM messages").execute(&mut other).await?;
        reader.close().await?;
        Ok::<(), TestError>(())
    };
    let (migrated, read) = tokio::join!(migrate, read_meanwhile);
    read?;
    migrated?;
    assert_eq!(applied_count(&db).await?, migration_count()?);
    Ok(())
}

#[tokio::test]
async fn a_second_run_waits_for_the_first_however_long_that_takes() -> Result<(), TestError> {
    // The roles exist from here on, so that no database that is created meanwhile holds a lock on them.
    let _template_copy = TestDb::create().await?;
    let db = TestDb::create_empty().await?;
    let url = db.superuser_url();
    // All migrations together take longer than this.
    let wait = LockWait { timeout: Duration::from_millis(50), ..SHORT_WAIT };
    tokio::try_join!(run_with_lock_wait(&url, wait), run_with_lock_wait(&url, wait))?;
    assert_eq!(applied_count(&db).await?, migration_count()?);
    Ok(())
}
