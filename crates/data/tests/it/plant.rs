//! What the plant process's role can reach, how requests are claimed, and when recorded samples go.

use crate::sql_support::{TENANT_A, TENANT_B, connect_as_superuser};
use crate::tenant_isolation::{database_with_two_tenants, execute_as_tenant, execute_sql};
use data::PgPlantQueue;
use data::testing::TestError;
use domain::ids::TagId;
use domain::plant::{PlantAnswer, PlantFailure, Quality, RecordedSample, Sample, TagValue};
use domain::ports::{LatestSample, PlantQueue as _};
use domain::time::Timestamp;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// What the role may do. Everything else on any table of the schema is refused.
const ALLOWED: &[(&str, &str)] = &[
    ("connectors", "SELECT 1 FROM connectors"),
    ("tags", "SELECT 1 FROM tags"),
    ("plant_requests", "SELECT 1 FROM plant_requests"),
    ("plant_requests", "UPDATE plant_requests SET answer = '{}'"),
    ("tag_samples", "SELECT 1 FROM tag_samples"),
    ("tag_samples", "UPDATE tag_samples SET sample = '{}'"),
    ("recorded_samples", "SELECT 1 FROM recorded_samples"),
];

#[tokio::test]
async fn the_plant_process_reaches_requests_connectors_tags_and_samples_alone() -> Result<(), TestError> {
    let (db, _app) = database_with_two_tenants().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1",
    )
    .fetch_all(&mut superuser)
    .await?;
    assert!(tables.len() > 30, "{tables:?}");
    let mut plant = PgConnection::connect(&db.plant_url()).await?;
    let (own, other, absent) = (TENANT_A.to_string(), TENANT_B.to_string(), Uuid::from_u128(0xc).to_string());
    for (_, sql) in ALLOWED {
        assert_eq!(execute_as_tenant(&mut plant, Some(&own), sql).await?, Ok(1), "control: {sql}");
        for setting in [None, Some(""), Some("garbage"), Some(absent.as_str())] {
            assert_eq!(execute_as_tenant(&mut plant, setting, sql).await?, Ok(0), "{sql} with {setting:?}");
        }
        let foreign = format!("{sql} WHERE tenant_id = '{other}'");
        assert_eq!(execute_as_tenant(&mut plant, Some(&own), &foreign).await?, Ok(0), "{foreign}");
    }
    let refused = Err("42501".to_owned());
    for table in &tables {
        let may_select = ["connectors", "tags", "plant_requests", "tag_samples", "recorded_samples"];
        if !may_select.contains(&table.as_str()) {
            let sql = format!("SELECT 1 FROM {table}");
            assert_eq!(execute_as_tenant(&mut plant, Some(&own), &sql).await?, refused, "{sql}");
        }
        for sql in [format!("DELETE FROM {table}"), format!("TRUNCATE {table}")] {
            assert_eq!(execute_as_tenant(&mut plant, Some(&own), &sql).await?, refused, "{sql}");
        }
        if table != "_sqlx_migrations" && table != "tenants" {
            let sql = format!("UPDATE {table} SET tenant_id = '{other}'");
            assert_eq!(execute_as_tenant(&mut plant, Some(&own), &sql).await?, refused, "{sql}");
        }
    }
    for function in ["directory_list(NULL, NULL, 9)", "claim_job('1 hour')", "audit_streams()"] {
        let sql = format!("SELECT * FROM {function}");
        assert_eq!(execute_as_tenant(&mut plant, None, &sql).await?, refused, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn tenants_take_turns_and_a_request_is_claimed_once() -> Result<(), TestError> {
    let (db, _app) = database_with_two_tenants().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    let (a, b) = (TENANT_A, TENANT_B);
    let fill = format!(
        "DELETE FROM plant_requests;
         INSERT INTO plant_requests (id, tenant_id, connector_id, kind, question, clearance, created_at, expires_at)
         SELECT gen_random_uuid(), '{a}', '{a}', 'check', '{{\"ask\": \"check\"}}', 'internal',
                now() - interval '1 minute' + n * interval '1 ms', now() + interval '1 hour'
         FROM generate_series(1, 50) AS n;
         INSERT INTO plant_requests (id, tenant_id, connector_id, kind, question, clearance, created_at, expires_at)
         VALUES (gen_random_uuid(), '{b}', '{b}', 'check', '{{\"ask\": \"check\"}}', 'internal', now(),
                 now() + interval '1 hour'),
                (gen_random_uuid(), '{b}', '{b}', 'check', '{{\"ask\": \"check\"}}', 'internal', now(), now())"
    );
    execute_sql(&mut superuser, &fill).await?;
    let queue = PgPlantQueue::new(db.plant_pool()?);
    let first = queue.claim(2).await?;
    let mut tenants: Vec<Uuid> = first.iter().map(|claimed| claimed.tenant.as_uuid()).collect();
    tenants.sort_unstable();
    assert_eq!(tenants, [a, b], "the request of b is not behind fifty of a");
    let rest = queue.claim(1_000).await?;
    assert_eq!(rest.len(), 49, "the expired one is left");
    assert_eq!(queue.claim(1_000).await?.len(), 0);

    let claimed = &first[0];
    let answer = PlantAnswer::Failed(PlantFailure::NoHistory);
    queue.answer(claimed.tenant, claimed.request.id, &answer).await?;
    let stored: serde_json::Value = sqlx::query_scalar("SELECT answer FROM plant_requests WHERE id = $1")
        .bind(claimed.request.id.as_uuid())
        .fetch_one(&mut superuser)
        .await?;
    assert_eq!(serde_json::from_value::<PlantAnswer>(stored)?, answer);
    Ok(())
}

fn sample(at: Timestamp, value: TagValue) -> Sample {
    Sample { value: Some(value), quality: Quality::Good, ..Sample::without_value("code", at) }
}

#[tokio::test]
async fn samples_are_recorded_once_and_kept_as_long_as_their_connector_says() -> Result<(), TestError> {
    let (db, _app) = database_with_two_tenants().await?;
    execute_sql(&mut connect_as_superuser(&db).await?, "DELETE FROM recorded_samples").await?;
    let queue = PgPlantQueue::new(db.plant_pool()?);
    let (tenant, tag) = (TENANT_A.into(), TagId::from_uuid(TENANT_A));
    let now = Timestamp::from_timestamp(1_900_000_000, 0).ok_or("a time")?;
    let old = Timestamp::from_timestamp(1_000_000_000, 0).ok_or("a time")?;
    let recorded = |at, value| RecordedSample { tag, at, sample: sample(at, value), is_stale: false };
    let samples = [
        recorded(old, TagValue::Number(1.5)),
        recorded(now, TagValue::Number(2.5)),
        recorded(now + chrono::TimeDelta::seconds(1), TagValue::Text("open".to_owned())),
    ];
    queue.record(tenant, &samples).await?;
    queue.record(tenant, &[recorded(now, TagValue::Number(9.0))]).await?;
    let end = now + chrono::TimeDelta::seconds(2);
    let read = queue.recorded(tenant, tag, old..end, 10).await?;
    let values: Vec<_> = read.iter().map(|recorded| recorded.sample.value.clone()).collect();
    assert_eq!(values, samples.clone().map(|recorded| recorded.sample.value));
    assert_eq!(queue.recorded(tenant, tag, old..end, 1).await?.len(), 1);
    assert_eq!(queue.recorded(TENANT_B.into(), tag, old..end, 10).await?.len(), 0, "another tenant");

    let mut superuser = connect_as_superuser(&db).await?;
    execute_sql(&mut superuser, "UPDATE connectors SET record_interval_s = 1, record_keep_days = 30").await?;
    queue.maintain().await?;
    let left = queue.recorded(tenant, tag, old..end, 10).await?;
    assert_eq!(left.len(), 2, "what is older than 30 days is gone");

    // Whole days go at once: a partition of long ago is dropped.
    execute_sql(
        &mut superuser,
        "SET ROLE platform_owner;
         CREATE TABLE recorded_samples_2020_01_01 PARTITION OF recorded_samples
             FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-01-02 00:00:00+00');
         RESET ROLE",
    )
    .await?;
    queue.maintain().await?;
    let partitions: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'recorded_samples'::regclass ORDER BY 1",
    )
    .fetch_all(&mut superuser)
    .await?;
    assert!(!partitions.contains(&"recorded_samples_2020_01_01".to_owned()), "{partitions:?}");
    assert!(partitions.len() >= 4, "today, two days ahead, and the default: {partitions:?}");
    Ok(())
}

#[tokio::test]
async fn the_newest_sample_of_a_tag_is_kept_and_never_replaced_by_an_older_one() -> Result<(), TestError> {
    let (db, _app) = database_with_two_tenants().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    execute_sql(&mut superuser, "DELETE FROM tag_samples").await?;
    let queue = PgPlantQueue::new(db.plant_pool()?);
    let (tenant, tag) = (TENANT_A.into(), TagId::from_uuid(TENANT_A));
    let at = |second| Timestamp::from_timestamp(second, 0).ok_or("a time");
    let gone = TagId::from_uuid(Uuid::from_u128(0xdead));
    for (second, value) in [(200, 2.0), (100, 1.0)] {
        let latest = |tag| at(second).map(|at| LatestSample { tag, sample: sample(at, TagValue::Number(value)) });
        queue.store_latest(tenant, &[latest(tag)?, latest(gone)?]).await?;
    }
    let latest = queue.latest(tenant, &[tag, gone]).await?;
    assert_eq!(latest, [LatestSample { tag, sample: sample(at(200)?, TagValue::Number(2.0)) }]);
    assert_eq!(queue.latest(TENANT_B.into(), &[tag]).await?, []);
    Ok(())
}
