//! The parts of lexical search that depend on PostgreSQL: stemming, plant identifiers, BM25 scores and query plans.

use crate::sql_support::{connect_as_app, connect_as_superuser};
use crate::store::test_context;
use data::testing::TestError;
use domain::document::{NewChunk, NewDocument, StatusChange};
use domain::ids::{ChunkId, DocumentId, TenantId};
use domain::ports::{Clock, IdGen, NewTenant};
use domain::role::{Classification, Role};
use domain::scope::{Actor, TenantScope};
use domain::search::{LexicalQuery, RankedCandidate, SearchFilters, SearchScope, WeightedSynonym};
use fakes::store_contract::{TestContext, identity, scope};
use sqlx::{AssertSqlSafe, Row};
use std::collections::HashMap;

async fn create_tenant_with_user(ctx: &TestContext, slug: &str) -> Result<TenantScope, TestError> {
    let tenant = NewTenant { id: ctx.ids.uuid().into(), name: slug.to_owned(), slug: slug.to_owned() };
    let tenant: TenantId = ctx.directory.create_tenant(tenant).await?.id;
    let mut tx = ctx.store.begin(&scope(tenant, Actor::System)).await?;
    let user = tx.users().sign_in(ctx.ids.uuid().into(), &identity("ada", Some(Role::User)), ctx.clock.now()).await?;
    tx.commit().await?;
    Ok(scope(tenant, Actor::User(user.id)))
}

/// Stores and publishes a document with these passages, which all have the same context (title and headings). The
/// document's SHA-256 consists of `sha256_digit`, which must differ between the documents of a tenant.
async fn ingest(
    ctx: &TestContext,
    scope: &TenantScope,
    sha256_digit: char,
    context: &str,
    passages: &[&str],
) -> Result<(), TestError> {
    ingest_as(ctx, scope, sha256_digit, Classification::Internal, context, passages).await
}

async fn ingest_as(
    ctx: &TestContext,
    scope: &TenantScope,
    sha256_digit: char,
    classification: Classification,
    context: &str,
    passages: &[&str],
) -> Result<(), TestError> {
    let id = DocumentId::from_uuid(ctx.ids.uuid());
    let document = NewDocument {
        id,
        filename: format!("{sha256_digit}.md"),
        title: context.to_owned(),
        mime_type: "text/markdown".to_owned(),
        file_size_bytes: 1,
        sha256: sha256_digit.to_string().repeat(64),
        storage_path: String::new(),
        doc_type: None,
        tags: Vec::new(),
        classification,
        revision: domain::document::Revision::default(),
        metadata: serde_json::json!({}),
        uploaded_by: scope.user().ok_or("a user")?,
    };
    let chunks = (0..).zip(passages).map(|(chunk_index, content)| NewChunk {
        id: ctx.ids.uuid().into(),
        chunk_index,
        content: (*content).to_owned(),
        context: context.to_owned(),
        token_count: 1,
        page: None,
        section: None,
        embedding: vec![1.0],
        term_hashes: None,
    });
    let mut tx = ctx.store.begin(scope).await?;
    tx.documents().insert(&document, Classification::Restricted, ctx.clock.now()).await?;
    tx.chunks().replace(id, "one", &chunks.collect::<Vec<_>>(), ctx.clock.now()).await?;
    let chunk_count = i32::try_from(passages.len())?;
    tx.documents()
        .set_status(
            id,
            &StatusChange::Ready { title: None, page_count: None, chunk_count, warnings: Vec::new() },
            ctx.clock.now(),
        )
        .await?;
    Ok(tx.commit().await?)
}

async fn search(
    ctx: &TestContext,
    scope: &TenantScope,
    query: impl Into<LexicalQuery>,
) -> Result<Vec<(String, f32)>, TestError> {
    let search_scope = SearchScope { filters: SearchFilters::default(), clearance: Classification::Internal };
    let mut tx = ctx.store.begin(scope).await?;
    let hits = tx.chunks().search_lexical(&query.into(), &search_scope, 10).await?;
    let ids: Vec<ChunkId> = hits.iter().map(|hit| hit.candidate.chunk_id).collect();
    let passages = tx.chunks().get_by_ids(&ids, Classification::Internal).await?;
    let mut texts: HashMap<ChunkId, String> =
        passages.into_iter().map(|passage| (passage.chunk_id, passage.content)).collect();
    let text = |hit: RankedCandidate| Some((texts.remove(&hit.candidate.chunk_id)?, hit.score));
    hits.into_iter().map(text).collect::<Option<_>>().ok_or_else(|| "a candidate without a text".into())
}

#[tokio::test]
async fn an_identifier_is_found_in_any_spelling_and_similar_ones_are_not() -> Result<(), TestError> {
    let (ctx, _guard) = test_context().await?;
    let user_scope = create_tenant_with_user(&ctx, "a").await?;
    let passages = [
        "Isolate P-101A before work.",
        "Isolate P101B before work.",
        "PIT 1001 reads low.",
        "Alarm ERR-88: reset.",
        "Alarm ERR-89.",
    ];
    ingest(&ctx, &user_scope, 'a', "Notes", &passages).await?;
    for (queries, passage) in [
        (["P-101A", "p101a", "P 101 A", "the P-101-A", "p\u{2011}101a?"], passages[0]),
        (["P-101B", "p101b", "P 101 B", "P-101-B", "P_101B"], passages[1]),
        (["PIT-1001", "pit1001", "PIT 1001", "pit 1001", "PIT1001."], passages[2]),
        (["ERR-88", "err88", "ERR 88", "err-88", "(ERR88)"], passages[3]),
    ] {
        for query in queries {
            let hits = search(&ctx, &user_scope, query).await?;
            assert_eq!(hits.first().map(|hit| hit.0.as_str()), Some(passage), "{query}: {hits:?}");
            assert!(hits.len() == 1 || hits[0].1 > 1.5 * hits[1].1, "{query}: {hits:?}");
        }
    }
    let contents: Vec<_> = search(&ctx, &user_scope, "P-101").await?.into_iter().map(|hit| hit.0).collect();
    assert!(contents.contains(&passages[0].to_owned()) && contents.contains(&passages[1].to_owned()), "{contents:?}");
    Ok(())
}

#[tokio::test]
async fn words_match_by_stem_and_rare_words_score_higher() -> Result<(), TestError> {
    let (ctx, _guard) = test_context().await?;
    let user_scope = create_tenant_with_user(&ctx, "a").await?;
    let passages = [
        "Lubricating the bearings.",
        "The pump runs.",
        "The pump stops.",
        "The pump starts.",
        "A gasket for the pump.",
    ];
    ingest(&ctx, &user_scope, 'a', "Notes", &passages).await?;
    assert_eq!(search(&ctx, &user_scope, "how is a bearing lubricated?").await?[0].0, passages[0]);
    // The context (title and headings) is searched as well as the content.
    assert_eq!(search(&ctx, &user_scope, "note").await?.len(), passages.len());
    let hits = search(&ctx, &user_scope, "pump gasket").await?;
    assert_eq!((hits.len(), hits[0].0.as_str()), (4, passages[4]));
    assert!(hits[0].1 > 3.0 * hits[1].1, "{hits:?}");
    Ok(())
}

/// Computes the BM25 formula by hand for five passages of three lexemes each (including the context), one of which
/// contains `pump` once.
#[tokio::test]
async fn the_score_is_bm25() -> Result<(), TestError> {
    let (ctx, _guard) = test_context().await?;
    let user_scope = create_tenant_with_user(&ctx, "a").await?;
    ingest(&ctx, &user_scope, 'a', "Notes", &["pump valve", "seal valve", "gauge valve", "rotor valve", "motor valve"])
        .await?;
    let hits = search(&ctx, &user_scope, "pump").await?;
    let weight = (1.0_f32 + (5.0 - 1.0 + 0.5) / (1.0 + 0.5)).ln();
    // For frequency 1 in a passage of mean length, the term factor is 2.2 / (1 + 1.2) = 1.
    assert_eq!(hits.len(), 1);
    assert!((hits[0].1 - weight).abs() < 1e-5, "{hits:?} {weight}");
    Ok(())
}

/// `normalized_score` is the share of the highest score that any passage could have for the query. It makes the results
/// of different queries comparable.
#[tokio::test]
async fn an_unknown_word_lowers_the_normalized_score_but_not_the_score() -> Result<(), TestError> {
    let (ctx, _guard) = test_context().await?;
    let user_scope = create_tenant_with_user(&ctx, "a").await?;
    ingest(&ctx, &user_scope, 'a', "Notes", &["pump valve", "seal valve", "gauge valve", "rotor valve", "motor valve"])
        .await?;
    let mut tx = ctx.store.begin(&user_scope).await?;
    let scope = SearchScope { filters: SearchFilters::default(), clearance: Classification::Restricted };
    let hits = tx.chunks().search_lexical(&"pump".into(), &scope, 5).await?;
    let with_unknown_word = tx.chunks().search_lexical(&"pump turbine".into(), &scope, 5).await?;
    // A single occurrence in a passage of mean length scores 1 times the weight; the upper bound is 2.2 times.
    assert!((hits[0].normalized_score - 1.0 / 2.2).abs() < 1e-5, "{hits:?}");
    assert_eq!(hits[0].score, with_unknown_word[0].score);
    assert!(with_unknown_word[0].normalized_score < 0.5 * hits[0].normalized_score, "{with_unknown_word:?}");
    Ok(())
}

#[tokio::test]
async fn common_words_are_ignored_if_three_rarer_ones_remain() -> Result<(), TestError> {
    let (ctx, _guard) = test_context().await?;
    let user_scope = create_tenant_with_user(&ctx, "a").await?;
    let passages = ["valve alpha", "valve beta", "valve gamma", "valve delta", "valve epsilon", "valve zeta"];
    ingest(&ctx, &user_scope, 'a', "Notes", &passages).await?;
    assert_eq!(
        search(&ctx, &user_scope, "valve alpha beta").await?.len(),
        6,
        "with two rarer words, the common one is searched"
    );
    assert_eq!(
        search(&ctx, &user_scope, "valve alpha beta gamma").await?.len(),
        3,
        "with three rarer words, it is ignored"
    );
    Ok(())
}

#[tokio::test]
async fn one_tenants_words_do_not_affect_the_scores_of_another() -> Result<(), TestError> {
    let (ctx, _guard) = test_context().await?;
    let (tenant, other_tenant) = (create_tenant_with_user(&ctx, "a").await?, create_tenant_with_user(&ctx, "b").await?);
    ingest(&ctx, &tenant, 'a', "Notes", &["pump seal", "gauge", "rotor"]).await?;
    let hits_before = search(&ctx, &tenant, "pump").await?;
    ingest(&ctx, &other_tenant, 'a', "Notes", &["pump", "pump pump", "pump motor", "pump again"]).await?;
    assert_eq!(search(&ctx, &tenant, "pump").await?, hits_before);
    Ok(())
}

/// Otherwise a viewer could infer how many hidden passages contain a word: from the score of a visible passage with
/// that word, from the word being ignored as too common, or from the normalized score.
#[tokio::test]
async fn hidden_passages_do_not_affect_a_readers_scores() -> Result<(), TestError> {
    let (ctx, _guard) = test_context().await?;
    let user_scope = create_tenant_with_user(&ctx, "a").await?;
    let visible_passages =
        ["pump seal", "pump gauge", "rotor", "valve alpha", "valve beta", "motor gamma", "motor delta"];
    ingest(&ctx, &user_scope, 'a', "Notes", &visible_passages).await?;
    let queries = ["pump", "pump rotor", "valve alpha beta rotor", "turbine pump", "notes"];
    let search_scope = |clearance| SearchScope { filters: SearchFilters::default(), clearance };
    let mut before = Vec::new();
    for query in queries {
        let mut tx = ctx.store.begin(&user_scope).await?;
        before.push(tx.chunks().search_lexical(&query.into(), &search_scope(Classification::Internal), 10).await?);
    }
    let hidden_passages =
        ["pump turbine", "pump turbine", "valve pump", "a valve of great length, with many more words", "rotor"];
    ingest_as(&ctx, &user_scope, 'b', Classification::Restricted, "Secret notes", &hidden_passages).await?;
    for (query, before) in queries.into_iter().zip(before) {
        let mut tx = ctx.store.begin(&user_scope).await?;
        let after = tx.chunks().search_lexical(&query.into(), &search_scope(Classification::Internal), 10).await?;
        assert!(!after.is_empty(), "{query}");
        assert_eq!(after, before, "{query}: hidden passages changed the result");
        let hits_with_clearance =
            tx.chunks().search_lexical(&query.into(), &search_scope(Classification::Restricted), 20).await?;
        assert!(hits_with_clearance.len() > before.len(), "{query}: a reader with clearance finds more passages");
        assert_ne!(
            hits_with_clearance[0].score, before[0].score,
            "{query}: for a reader with clearance, the scores include the hidden passages"
        );
    }
    Ok(())
}

/// A word with more than 10,000 postings is looked up only in the passages that rarer words found.
#[tokio::test]
async fn a_frequent_word_adds_to_the_scores_of_passages_that_a_rare_word_found() -> Result<(), TestError> {
    let (ctx, (db, _files)) = test_context().await?;
    let user_scope = create_tenant_with_user(&ctx, "a").await?;
    let numbered: Vec<String> = (0..60).map(|number| format!("seal alpha{number}")).collect();
    let mut passages: Vec<&str> = numbered.iter().map(String::as_str).collect();
    passages.extend(["valve gear", "seal valve"]);
    ingest(&ctx, &user_scope, 'a', "Notes", &passages).await?;
    let before = search(&ctx, &user_scope, "seal valve").await?;
    let inflate = "WITH terms AS (
             UPDATE document_terms AS t
             SET chunk_indexes = t.chunk_indexes || more.indexes, frequencies = t.frequencies || more.ones::smallint[],
                 lengths = t.lengths || more.ones
             FROM (SELECT array_agg(n) AS indexes, array_agg(1) AS ones FROM generate_series(100, 20099) AS n) AS more
             WHERE lexeme = 'valv')
         UPDATE documents SET chunk_count = chunk_count + 60000, term_count = term_count + 240000";
    sqlx::raw_sql(inflate).execute(&mut connect_as_superuser(&db).await?).await?;
    let scores: HashMap<String, f32> = search(&ctx, &user_scope, "seal").await?.into_iter().collect();
    let both = search(&ctx, &user_scope, "seal valve").await?;
    assert_eq!(before[0].0, "seal valve");
    assert_eq!(both[0].0, "seal valve", "{both:?}");
    assert!(both.iter().all(|(text, _)| text.starts_with("seal")), "{both:?}");
    let (_, rare_only) = scores.iter().next().ok_or("hits")?;
    assert!(both[0].1 > rare_only + 0.5, "the frequent word counts, too: {both:?} {scores:?}");
    assert!((both[1].1 - rare_only).abs() < 1e-4, "{both:?} {scores:?}");
    assert_eq!(search(&ctx, &user_scope, "valve gear").await?[0].0, "valve gear", "alone, it is found");
    Ok(())
}

/// Under row-level security, PostgreSQL uses only leakproof operators as index conditions. Full-text operators are not
/// leakproof, so the lexemes are in a separate table and are compared with `=`.
#[tokio::test]
async fn lexemes_are_an_index_condition_under_row_security() -> Result<(), TestError> {
    let (ctx, (db, _files)) = test_context().await?;
    let user_scope = create_tenant_with_user(&ctx, "a").await?;
    let mut app = connect_as_app(&db).await?;
    let prepare = concat!(
        "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;
         PREPARE search (uuid, text, text[], uuid[], text[], text, boolean, text, bigint, text[], float8[]) AS ",
        include_str!("../../src/lexical.sql")
    );
    sqlx::raw_sql(prepare).execute(&mut app).await?;
    let explain = format!(
        "EXPLAIN (COSTS OFF) EXECUTE search ('{}', 'valve', '{{internal}}', '{{}}', '{{}}', NULL, false, '', 10,
         '{{}}', '{{}}')",
        user_scope.tenant()
    );
    let plan = sqlx::raw_sql(AssertSqlSafe(explain));
    let lines: Vec<String> = plan.fetch_all(&mut app).await?.iter().map(|row| row.get(0)).collect();
    let is_lexeme_condition =
        |line: &String| line.contains("Index Cond: ((tenant_id = ") && line.contains("(lexeme = ANY");
    assert!(lines.iter().any(is_lexeme_condition), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("document_chunks")), "no partition is read: {lines:#?}");
    Ok(())
}

#[tokio::test]
async fn a_synonym_counts_as_much_as_its_weight() -> Result<(), TestError> {
    let (ctx, _guard) = test_context().await?;
    let user_scope = create_tenant_with_user(&ctx, "a").await?;
    let passages = ["The lockout list.", "The permit list.", "The spare list.", "The isolation list."];
    ingest(&ctx, &user_scope, 'a', "Notes", &passages).await?;
    let query = |synonyms: &[(&str, f32)]| LexicalQuery {
        text: "isolation".to_owned(),
        synonyms: synonyms
            .iter()
            .map(|(text, weight)| WeightedSynonym { text: (*text).into(), weight: *weight })
            .collect(),
    };
    let scores = |hits: &[(String, f32)]| -> HashMap<String, f32> { hits.iter().cloned().collect() };

    let own = search(&ctx, &user_scope, query(&[])).await?;
    assert_eq!(own.len(), 1, "{own:?}");
    let hits = search(&ctx, &user_scope, query(&[("lockouts", 0.5), ("permit", 0.25), ("isolation", 0.1)])).await?;
    let texts: Vec<&str> = hits.iter().map(|hit| hit.0.as_str()).collect();
    assert_eq!(texts, [passages[3], passages[0], passages[1]]);
    let score = scores(&hits);
    assert!((score[passages[3]] - own[0].1).abs() < 1e-5, "the query's own word keeps its weight: {hits:?}");
    assert!((score[passages[0]] / own[0].1 - 0.5).abs() < 1e-3, "{hits:?}");
    assert!((score[passages[1]] / own[0].1 - 0.25).abs() < 1e-3, "{hits:?}");

    let twice = search(&ctx, &user_scope, query(&[("lockout", 0.2), ("lockout permit", 0.4)])).await?;
    let score = scores(&twice);
    assert!((score[passages[0]] / own[0].1 - 0.4).abs() < 1e-3, "the highest weight counts: {twice:?}");
    Ok(())
}

#[tokio::test]
async fn a_plant_code_is_found_in_any_spelling_and_without_the_unit() -> Result<(), TestError> {
    let (ctx, _guard) = test_context().await?;
    let user_scope = create_tenant_with_user(&ctx, "a").await?;
    let passages = [
        "Isolate 10LAB20AA001 before work.",
        "Isolate 10 LAB20 AA002 before work.",
        "Lift pumps P-101A/B from their beds.",
        "Spare seal 4711-0815 of HNBR-70, bolts M12x1.75.",
    ];
    ingest(&ctx, &user_scope, 'a', "Notes", &passages).await?;
    let valve_queries =
        ["10LAB20AA001", "10 LAB20 AA001", "10-LAB-20-AA-001", "10LAB20 AA001", "LAB20AA001", "lab20aa001"];
    let valve_cases = valve_queries.iter().map(|query| (*query, 0));
    let other_cases =
        [("LAB20 AA002", 1), ("P-101A", 2), ("P101B", 2), ("4711-0815", 3), ("HNBR 70", 3), ("M12X1.75", 3)];
    for (query, index) in valve_cases.chain(other_cases) {
        let hits = search(&ctx, &user_scope, query).await?;
        assert_eq!(hits.first().map(|hit| hit.0.as_str()), Some(passages[index]), "{query}: {hits:?}");
        assert!(hits.len() == 1 || hits[0].1 > 1.5 * hits[1].1, "{query}: {hits:?}");
    }
    assert_eq!(search(&ctx, &user_scope, "LAB20").await?.len(), 2, "both are found by the code of their system");
    Ok(())
}

/// The language comes from the tenant's settings. Unknown languages fall back to English.
#[tokio::test]
async fn words_are_stemmed_in_the_tenants_language() -> Result<(), TestError> {
    let (ctx, (db, _files)) = test_context().await?;
    for (slug, language, expected_language, is_stemmed) in
        [("de", "German", "german", true), ("en", "english", "english", false), ("no", "public.x", "english", false)]
    {
        let user_scope = create_tenant_with_user(&ctx, slug).await?;
        let mut superuser = connect_as_superuser(&db).await?;
        sqlx::query("UPDATE tenants SET config = jsonb_build_object('language', $1::text) WHERE slug = $2")
            .bind(language)
            .bind(slug)
            .execute(&mut superuser)
            .await?;
        ingest(&ctx, &user_scope, 'a', "Notizen", &["Die Pumpen werden geprüft.", "Der Deckel schließt."]).await?;
        let hits = search(&ctx, &user_scope, "Pumpe prüfen").await?;
        assert_eq!(hits.len(), usize::from(is_stemmed), "{language}: {hits:?}");
        let stored_language: String = sqlx::query_scalar("SELECT language FROM documents WHERE tenant_id = $1")
            .bind(user_scope.tenant().as_uuid())
            .fetch_one(&mut superuser)
            .await?;
        assert_eq!(stored_language, expected_language, "{language}");
    }
    Ok(())
}
