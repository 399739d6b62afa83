//! Vector search on larger numbers of passages: the tenant's own index, its recall with filters, when it is created and
//! dropped, and the isolation of one tenant's results from another tenant's passages.

use crate::sql_support::connect_as_superuser;
use crate::store::test_context;
use data::testing::{TestDb, TestError};
use data::{Database, PgStore, PgTenantDirectory};
use domain::document::{NewChunk, NewDocument, Revision, StatusChange};
use domain::ids::{DocumentId, TenantId};
use domain::ports::{Clock, IdGen, JobFilter, JobPayload, NewTenant, Store};
use domain::role::{Classification, Role};
use domain::scope::{Actor, TenantScope};
use domain::search::{RankedCandidate, SearchFilters, SearchScope};
use fakes::store_contract::{TestContext, identity, scope};
use futures::future::try_join_all;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const MODEL: &str = "test-12d";
/// Number of passages per document.
const PASSAGES_PER_DOCUMENT: i32 = 25;

/// Pseudo-random numbers that are the same in each run (a linear congruential generator).
struct PseudoRandom(u64);

impl PseudoRandom {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    }

    /// Returns a random unit vector; near `center`, if given.
    fn vector(&mut self, center: Option<&[f32]>) -> Vec<f32> {
        let raw: Vec<f32> = (0..12).map(|index| self.next() + center.map_or(0.0, |to| 1.5 * to[index])).collect();
        let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
        raw.into_iter().map(|x| x / length).collect()
    }
}

/// Sets the number of passages above which a tenant gets a vector index, for connections opened from now on. Returns a
/// superuser connection.
async fn set_index_threshold(db: &TestDb, limit: u32) -> Result<PgConnection, TestError> {
    let mut superuser = connect_as_superuser(db).await?;
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut superuser).await?;
    let statement = format!("ALTER DATABASE {name} SET platform.vector_index_above = '{limit}'");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut superuser).await?;
    Ok(superuser)
}

async fn create_tenant_with_user(ctx: &TestContext, slug: &str) -> Result<TenantScope, TestError> {
    let tenant = NewTenant { id: ctx.ids.uuid().into(), name: slug.to_owned(), slug: slug.to_owned() };
    let tenant: TenantId = ctx.directory.create_tenant(tenant).await?.id;
    let mut tx = ctx.store.begin(&scope(tenant, Actor::System)).await?;
    let user = tx.users().sign_in(ctx.ids.uuid().into(), &identity("ada", Some(Role::User)), ctx.clock.now()).await?;
    tx.commit().await?;
    Ok(scope(tenant, Actor::User(user.id)))
}

fn chunks(ctx: &TestContext, rng: &mut PseudoRandom) -> Vec<NewChunk> {
    let center = rng.vector(None);
    let passage = |chunk_index| NewChunk {
        id: ctx.ids.uuid().into(),
        chunk_index,
        content: format!("valve {chunk_index}"),
        context: String::new(),
        token_count: 2,
        page: None,
        section: None,
        embedding: rng.vector(Some(&center)),
        term_hashes: None,
    };
    (0..PASSAGES_PER_DOCUMENT).map(passage).collect()
}

/// Publishes documents. Of every ten, the first is public, the next four are internal and the other five restricted.
async fn publish(
    ctx: &TestContext,
    scope: &TenantScope,
    documents: u64,
    rng: &mut PseudoRandom,
) -> Result<Vec<DocumentId>, TestError> {
    let mut ids = Vec::new();
    for number in 0..documents {
        let id = DocumentId::from_uuid(ctx.ids.uuid());
        let document = NewDocument {
            id,
            filename: String::new(),
            title: String::new(),
            mime_type: String::new(),
            file_size_bytes: 1,
            sha256: format!("{:064x}", id.as_uuid().as_u128()),
            storage_path: String::new(),
            doc_type: None,
            tags: Vec::new(),
            classification: match number % 10 {
                0 => Classification::Public,
                1..5 => Classification::Internal,
                _ => Classification::Restricted,
            },
            revision: Revision::default(),
            metadata: serde_json::json!({}),
            uploaded_by: scope.user().ok_or("a user")?,
        };
        let mut tx = ctx.store.begin(scope).await?;
        tx.documents().insert(&document, Classification::Restricted, ctx.clock.now()).await?;
        let ready = StatusChange::Ready {
            title: None,
            page_count: None,
            chunk_count: PASSAGES_PER_DOCUMENT,
            warnings: Vec::new(),
        };
        tx.documents().set_status(id, &ready, ctx.clock.now()).await?;
        tx.chunks().replace(id, MODEL, &chunks(ctx, rng), ctx.clock.now()).await?;
        tx.commit().await?;
        ids.push(id);
    }
    Ok(ids)
}

/// Runs all queued jobs, which must be index builds; returns their number.
async fn build_indexes(ctx: &TestContext) -> Result<usize, TestError> {
    let mut built_count = 0;
    while let Some(job) = ctx.queue.claim(&JobFilter::any(), Duration::from_secs(600)).await? {
        assert_eq!(job.payload, JobPayload::UpdateVectorIndexes);
        assert!(ctx.queue.update_vector_indexes(job.lease).await?);
        built_count += 1;
    }
    Ok(built_count)
}

async fn vector_indexes(superuser: &mut PgConnection, tenant: TenantId) -> Result<Vec<String>, TestError> {
    let names = sqlx::query_scalar(
        "SELECT indexname::text FROM pg_indexes WHERE tablename = passage_partition($1) AND indexdef LIKE '%hnsw%'",
    );
    Ok(names.bind(tenant.as_uuid()).fetch_all(superuser).await?)
}

async fn search_nearest(
    store: &dyn Store,
    scope: &TenantScope,
    vector: &[f32],
    clearance: Classification,
    limit: u32,
) -> Result<Vec<RankedCandidate>, TestError> {
    let search_scope = SearchScope { filters: SearchFilters::default(), clearance };
    let mut tx = store.begin(scope).await?;
    let hits = tx.chunks().search_vector(vector, MODEL, &search_scope, limit).await?;
    tx.commit().await?;
    Ok(hits)
}

fn ids(hits: &[RankedCandidate]) -> BTreeSet<Uuid> {
    hits.iter().map(|hit| hit.candidate.chunk_id.as_uuid()).collect()
}

/// Returns how often an index was scanned. PostgreSQL flushes the statistics of a connection when it closes, so this
/// waits until all connections of the application are closed.
async fn index_scans(superuser: &mut PgConnection, index: &str) -> Result<i64, TestError> {
    for _ in 0..10_000 {
        let open_connections: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'platform_app' AND datname = current_database()",
        )
        .fetch_one(&mut *superuser)
        .await?;
        if open_connections == 0 {
            let scans = sqlx::query_scalar("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = $1");
            return Ok(scans.bind(index).fetch_one(superuser).await?);
        }
    }
    Err("the application's connections did not close".into())
}

/// A reader who may see all or half of the passages is served from the index; one who may see only a tenth, for whom
/// the index would have poor recall, by an exact scan. A limit above the number of visible passages returns all of
/// them.
#[tokio::test]
async fn recall_is_high_for_every_clearance() -> Result<(), TestError> {
    let (ctx, (db, _files)) = test_context().await?;
    let mut superuser = set_index_threshold(&db, 200).await?;
    // New connections, which use the threshold that was just set, and which this test can close.
    let app: Database = db.app_pool()?;
    let ctx = TestContext {
        store: Arc::new(PgStore::new(app.clone())),
        directory: Arc::new(PgTenantDirectory::new(app.clone())),
        ..ctx
    };
    let (user_scope, mut rng) = (create_tenant_with_user(&ctx, "a").await?, PseudoRandom(7));
    publish(&ctx, &user_scope, 40, &mut rng).await?;
    let queries: Vec<Vec<f32>> = (0..20).map(|_| rng.vector(None)).collect();
    let mut exact_searches = Vec::new();
    for clearance in [Classification::Public, Classification::Internal, Classification::Restricted] {
        for query in &queries {
            exact_searches.push((
                clearance,
                query,
                search_nearest(&*ctx.store, &user_scope, query, clearance, 50).await?,
            ));
        }
    }
    assert_eq!(build_indexes(&ctx).await?, 1);
    let index = vector_indexes(&mut superuser, user_scope.tenant()).await?;
    assert_eq!(index.len(), 1);
    let (mut found_count, mut expected_count) = (0, 0);
    for (clearance, query, exact) in &exact_searches {
        let hits = search_nearest(&*ctx.store, &user_scope, query, *clearance, 50).await?;
        assert_eq!(hits.len(), 50);
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score), "best first");
        assert!(hits.iter().all(|hit| hit.candidate.classification <= *clearance));
        if *clearance == Classification::Public {
            assert_eq!(ids(&hits), ids(exact), "a search over a tenth of the passages is an exact scan");
        }
        found_count += ids(&hits).intersection(&ids(exact)).count();
        expected_count += exact.len();
    }
    assert!(found_count * 100 >= expected_count * 97, "{found_count} of {expected_count}");
    for (clearance, all) in [(Classification::Public, 100), (Classification::Internal, 500)] {
        assert_eq!(search_nearest(&*ctx.store, &user_scope, &queries[0], clearance, 2000).await?.len(), all);
    }
    app.close().await;
    // 20 searches over half of the passages, 20 over all, and the one with a limit of 2000; none over a tenth.
    assert_eq!(index_scans(&mut superuser, &index[0]).await?, 41);
    Ok(())
}

/// Neither the passages nor the index of one tenant change the ranks and scores of another tenant's searches at all.
#[tokio::test]
async fn one_tenants_volume_does_not_change_anothers_results() -> Result<(), TestError> {
    let (ctx, (db, _files)) = test_context().await?;
    let mut superuser = set_index_threshold(&db, 60).await?;
    let (small, large, mut rng) =
        (create_tenant_with_user(&ctx, "a").await?, create_tenant_with_user(&ctx, "b").await?, PseudoRandom(3));
    publish(&ctx, &small, 2, &mut rng).await?;
    let query = rng.vector(None);
    let results = async || -> Result<_, TestError> {
        let search_scope = SearchScope { filters: SearchFilters::default(), clearance: Classification::Restricted };
        let vector_hits = search_nearest(&*ctx.store, &small, &query, Classification::Restricted, 200).await?;
        let lexical_hits =
            ctx.store.begin(&small).await?.chunks().search_lexical(&"valve 3".into(), &search_scope, 200).await?;
        Ok((vector_hits, lexical_hits))
    };
    let before = results().await?;
    assert_eq!((before.0.len(), before.1.len()), (50, 50));
    assert_eq!(build_indexes(&ctx).await?, 0, "the small tenant is below the threshold");
    publish(&ctx, &large, 12, &mut rng).await?;
    assert_eq!(build_indexes(&ctx).await?, 1);
    assert_eq!(vector_indexes(&mut superuser, small.tenant()).await?, Vec::<String>::new());
    assert_eq!(vector_indexes(&mut superuser, large.tenant()).await?.len(), 1);
    assert_eq!(results().await?, before);
    Ok(())
}

/// The index of the next model is created while its passages are being staged. The switch drops the index of the old
/// model.
#[tokio::test]
async fn an_index_is_created_and_dropped_with_its_model() -> Result<(), TestError> {
    let (ctx, (db, _files)) = test_context().await?;
    let mut superuser = set_index_threshold(&db, 60).await?;
    let (user_scope, mut rng) = (create_tenant_with_user(&ctx, "a").await?, PseudoRandom(5));
    let documents = publish(&ctx, &user_scope, 3, &mut rng).await?;
    assert_eq!(build_indexes(&ctx).await?, 1);
    let old_indexes = vector_indexes(&mut superuser, user_scope.tenant()).await?;
    for document in &documents {
        let mut tx = ctx.store.begin(&user_scope).await?;
        tx.chunks().stage(*document, "next", &chunks(&ctx, &mut rng), ctx.clock.now()).await?;
        tx.commit().await?;
        build_indexes(&ctx).await?;
    }
    assert_eq!(vector_indexes(&mut superuser, user_scope.tenant()).await?.len(), 2);
    let mut tx = ctx.store.begin(&user_scope).await?;
    assert_eq!(tx.chunks().switch_model("next", ctx.clock.now()).await?, 0);
    tx.commit().await?;
    assert_eq!(build_indexes(&ctx).await?, 1);
    let new_indexes = vector_indexes(&mut superuser, user_scope.tenant()).await?;
    assert!(new_indexes.len() == 1 && new_indexes != old_indexes, "{old_indexes:?} {new_indexes:?}");
    Ok(())
}

/// Tenants that are created concurrently each get a partition. Deleting a document deletes its passages.
#[tokio::test]
async fn each_tenant_has_its_own_partition() -> Result<(), TestError> {
    let (ctx, (db, _files)) = test_context().await?;
    let tenants: Vec<TenantScope> = try_join_all((0..24).map(|number| {
        let slug = format!("plant-{number}");
        let ctx = &ctx;
        async move { create_tenant_with_user(ctx, &slug).await }
    }))
    .await?;
    let mut superuser = connect_as_superuser(&db).await?;
    for tenant in &tenants {
        let is_attached: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'document_chunks'::regclass
                              AND inhrelid = to_regclass(passage_partition($1)))",
        )
        .bind(tenant.tenant().as_uuid())
        .fetch_one(&mut superuser)
        .await?;
        assert!(is_attached);
    }
    let count = "SELECT count(*) FROM document_chunks";
    let documents = publish(&ctx, &tenants[3], 2, &mut PseudoRandom(1)).await?;
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut superuser).await?, 50);
    let mut tx = ctx.store.begin(&tenants[3]).await?;
    assert!(tx.documents().delete(documents[0]).await?.is_some());
    tx.commit().await?;
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut superuser).await?, 25);
    // Changing the classification of a document changes that of its passages.
    sqlx::query("UPDATE documents SET classification = 'restricted'").execute(&mut superuser).await?;
    let restricted_passages: i64 =
        sqlx::query_scalar("SELECT count(*) FROM document_chunks WHERE classification = 'restricted'")
            .fetch_one(&mut superuser)
            .await?;
    assert_eq!(restricted_passages, 25);
    Ok(())
}
