//! Tests hybrid search with the in-memory store.

use super::support::TestContext;
use async_trait::async_trait;
use domain::glossary::{Concept, Concepts, GlossaryLanguage, GlossaryVersion};
use domain::ids::DocumentId;
use domain::ledger::CallOrigin;
use domain::model::{CallUsage, ModelError, RerankRequest, RerankScores};
use domain::ports::{Embedders, Reranker, Store, StoreError, TenantTx};
use domain::role::{Classification, Role};
use domain::scope::TenantScope;
use domain::search::{Retrieval, SearchFilters, SearchScope, SurroundingText};
use domain::tool::{ToolCall, ToolResult};
use fakes::InMemoryStore;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tools::gateway::{AuditedToolGateway, ToolGateway};
use tools::registry::Registry;
use tools::retrieval::{GlossaryWeights, HybridSearch, MaxModelClassifications, Reranking, RetrievalParams};

fn unrestricted_scope() -> SearchScope {
    SearchScope { filters: SearchFilters::default(), clearance: Classification::Restricted }
}

const BOLTS: &str = "The casing tie bolts of P-101A/B are tightened to 480 Nm in three passes.";
const STRAINER: &str = "Clean the suction strainer when its differential pressure exceeds 0.25 bar.";
const BLIND: &str = "Eine Steckscheibe wird gesetzt.";
const VISITORS: &str = "Visitors report to the gate house and wear a helmet.";

#[tokio::test]
async fn the_passage_that_answers_comes_first_with_its_page_and_both_scores() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context.create_document(&permit, "manual.pdf", Classification::Internal, &[VISITORS, STRAINER, BOLTS]).await;
    let query = "To what torque are the casing tie bolts of P-101A tightened?";
    let found = context.search().search(permit.scope(), query, &unrestricted_scope(), 2).await.expect("hits");
    let best = &found.hits[0];
    assert_eq!((best.passage.content.as_str(), best.passage.page), (BOLTS, Some(3)));
    assert!(best.similarity.is_some() && best.bm25.is_some());
    assert!(found.hits[1].score < best.score && best.score <= 1.0);
    assert!(found.answerable && !found.degraded);
    assert!(found.confidence > 0.45 && found.confidence <= 1.0, "{}", found.confidence);
    assert_eq!((best.rerank_score, found.reranked_by), (None, None));
}

#[tokio::test]
async fn a_query_about_an_unknown_tag_is_not_answerable() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context.create_document(&permit, "manual.pdf", Classification::Internal, &[VISITORS, STRAINER, BOLTS]).await;
    let query = "To what torque are the casing tie bolts of P-999Z tightened?";
    let found = context.search().search(permit.scope(), query, &unrestricted_scope(), 5).await.expect("hits");
    assert!(!found.hits.is_empty() && !found.answerable);
}

#[tokio::test]
async fn if_the_embedder_fails_only_lexical_search_runs_and_the_result_is_degraded() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context.create_document(&permit, "manual.pdf", Classification::Internal, &[VISITORS, STRAINER, BOLTS]).await;
    context.embedder.is_down.store(true, Ordering::Relaxed);
    let query = "When is the suction strainer to be cleaned?";
    let found = context.search().search(permit.scope(), query, &unrestricted_scope(), 5).await.expect("hits");
    assert!(found.degraded && found.answerable);
    assert_eq!(found.hits[0].passage.content, STRAINER);
    assert_eq!(found.hits[0].similarity, None);
}

#[tokio::test]
async fn filters_and_clearance_restrict_the_results() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::Admin).await;
    let open = context.create_document(&permit, "open.pdf", Classification::Internal, &[STRAINER]).await;
    let secret = context.create_document(&permit, "secret.pdf", Classification::Restricted, &[BOLTS]).await;
    let documents = |ids: Vec<_>, clearance| SearchScope {
        filters: SearchFilters { document_ids: ids, ..SearchFilters::default() },
        clearance,
    };
    for (scope, expected) in [
        (documents(vec![], Classification::Restricted), vec![open.id, secret.id]),
        (documents(vec![], Classification::Internal), vec![open.id]),
        (documents(vec![secret.id], Classification::Restricted), vec![secret.id]),
        (documents(vec![secret.id], Classification::Internal), vec![]),
    ] {
        let found = context.search().search(permit.scope(), "suction bolts", &scope, 5).await.expect("hits");
        let mut ids: Vec<_> = found.hits.iter().map(|hit| hit.passage.document_id).collect();
        ids.sort();
        assert_eq!(ids, expected, "{scope:?}");
    }
}

/// Passages that were stored without terms are found in the same order and with the same scores.
#[tokio::test]
async fn a_passage_without_terms_is_ranked_by_its_text() {
    let queries = [TORQUE_QUERY, "suction strainer", "When is a strainer needed?", "Who paints the canteen?", "P-999Z"];
    let mut results = Vec::new();
    for stores_terms in [true, false] {
        let context = TestContext { stores_terms, ..TestContext::new().await };
        let permit = context.sign_in(Role::User).await;
        context
            .create_document(
                &permit,
                "manual.pdf",
                Classification::Internal,
                &[VISITORS, STRAINER, BOLTS, "Need a hand?"],
            )
            .await;
        let mut found = Vec::new();
        for query in queries {
            found.push(context.search().search(permit.scope(), query, &unrestricted_scope(), 3).await.expect("hits"));
        }
        results.push(found);
    }
    assert!(results[0].iter().any(|found| found.answerable) && results[0].iter().any(|found| !found.answerable));
    assert_eq!(results[0], results[1]);
}

/// A store that counts its transactions.
struct CountingStore {
    store: Arc<dyn Store>,
    transaction_count: AtomicUsize,
}

#[async_trait]
impl Store for CountingStore {
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError> {
        self.transaction_count.fetch_add(1, Ordering::Relaxed);
        self.store.begin(scope).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

/// All reads share one transaction; only neighbors that are read after a reranker call need a second one.
#[tokio::test]
async fn a_search_is_one_transaction_and_a_reranker_is_called_outside_of_it() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context.create_document(&permit, "manual.pdf", Classification::Internal, &[VISITORS, BOLTS, STRAINER]).await;
    let store =
        Arc::new(CountingStore { store: Arc::new(context.store.clone()), transaction_count: AtomicUsize::new(0) });
    let embedders = Embedders::single(Arc::clone(&context.embedder) as _);
    let search = HybridSearch::new(Arc::clone(&store) as _, embedders, RetrievalParams::default());
    let reranking = || {
        let model = WordReranker::preferring("480 Nm") as Arc<dyn Reranker>;
        Some(Reranking { model, candidates: 30 })
    };
    for (search, expected) in [
        (search.clone(), 1),
        (search.clone().with_surroundings(true), 1),
        (search.clone().with_reranking(reranking()), 1),
        (search.clone().with_reranking(reranking()).with_surroundings(true), 2),
    ] {
        store.transaction_count.store(0, Ordering::Relaxed);
        let found = search.search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 1).await.expect("hits");
        assert_eq!((contents(&found), store.transaction_count.load(Ordering::Relaxed)), (vec![BOLTS], expected));
    }
}

/// Besides the texts that are returned, only as many again are read, to compare them for duplicates. The same statement
/// reads the neighbors; after a reranker call, a separate statement does.
#[tokio::test]
async fn a_search_reads_only_the_texts_that_it_returns_or_compares() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let texts: Vec<String> = (0..90).map(|n| format!("Casing bolts of pump {n}: {} Nm.", 400 + n)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    context.create_document(&permit, "manual.pdf", Classification::Internal, &texts).await;
    let model = WordReranker::preferring("480 Nm") as Arc<dyn Reranker>;
    let reranked = context.search().with_reranking(Some(Reranking { model, candidates: 30 }));
    // Maximum number of texts that each read may return.
    for (search, with_neighbors, limits) in [
        (context.search(), false, vec![4]),
        (context.search().with_surroundings(true), true, vec![3 * 4]),
        (reranked.clone(), false, vec![30]),
        (reranked.with_surroundings(true), true, vec![30, 3 * 2]),
    ] {
        let found = search.search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 2).await.expect("hits");
        let reads = context.store.take_text_reads();
        assert!(reads.len() == limits.len() && reads.iter().zip(&limits).all(|(n, max)| n <= max), "{reads:?}");
        let surrounded = found.hits.iter().any(|hit| hit.surrounding_text != SurroundingText::default());
        assert_eq!((found.hits.len(), surrounded), (2, with_neighbors));
    }
}

/// A reranker that gives all passages the same score, after it has deleted a document.
struct DeletingReranker {
    store: InMemoryStore,
    scope: TenantScope,
    document: DocumentId,
}

#[async_trait]
impl Reranker for DeletingReranker {
    fn name(&self) -> String {
        "judge-2".to_owned()
    }

    async fn rerank(&self, request: RerankRequest) -> Result<RerankScores, ModelError> {
        let mut tx = self.store.begin(&self.scope).await.expect("a transaction");
        tx.documents().delete(self.document).await.expect("deleted");
        tx.commit().await.expect("a commit");
        Ok(RerankScores { scores: vec![0.5; request.passages.len()], usage: CallUsage::default() })
    }
}

#[tokio::test]
async fn a_document_that_is_deleted_during_a_search_is_skipped() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context
        .create_document(&permit, "manual.pdf", Classification::Internal, &[BOLTS, "P-101A has casing tie bolts."])
        .await;
    let deleted = context.create_document(&permit, "deleted.pdf", Classification::Internal, &[STRAINER]).await;
    context.create_document(&permit, "other.pdf", Classification::Internal, &[VISITORS]).await;
    let without_reranker =
        context.search().search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 4).await.expect("hits");
    assert!(contents(&without_reranker).contains(&STRAINER), "found while it exists");
    let model = DeletingReranker { store: context.store.clone(), scope: permit.scope().clone(), document: deleted.id };
    let search = context.search().with_reranking(Some(Reranking { model: Arc::new(model), candidates: 2 }));
    let found = search.search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 4).await.expect("hits");
    let expected: Vec<&str> = contents(&without_reranker).into_iter().filter(|text| *text != STRAINER).collect();
    assert_eq!((contents(&found), found.reranked_by.as_deref()), (expected, Some("judge-2")));
}

/// A function that changes the scores of a test reranker.
type Transform = fn(Vec<f32>) -> Result<Vec<f32>, ModelError>;

/// A reranker that prefers passages with a given word, and records its requests.
struct WordReranker {
    word: &'static str,
    transform: Transform,
    requests: Mutex<Vec<RerankRequest>>,
}

impl WordReranker {
    fn preferring(word: &'static str) -> Arc<Self> {
        Self::with_transform(word, Ok)
    }

    fn with_transform(word: &'static str, transform: Transform) -> Arc<Self> {
        Arc::new(Self { word, transform, requests: Mutex::default() })
    }

    fn requests(&self) -> Vec<RerankRequest> {
        self.requests.lock().expect("no panic under the lock").clone()
    }
}

#[async_trait]
impl Reranker for WordReranker {
    fn name(&self) -> String {
        "judge-1".to_owned()
    }

    async fn rerank(&self, request: RerankRequest) -> Result<RerankScores, ModelError> {
        let scores = request.passages.iter().map(|text| if text.contains(self.word) { 0.9 } else { 0.1 }).collect();
        self.requests.lock().expect("no panic under the lock").push(request);
        (self.transform)(scores).map(|scores| RerankScores { scores, usage: CallUsage::default() })
    }
}

fn search_with_reranker(context: &TestContext, reranker: &Arc<WordReranker>, candidates: usize) -> HybridSearch {
    let model = Arc::clone(reranker) as Arc<dyn Reranker>;
    context.search().with_reranking(Some(Reranking { model, candidates }))
}

fn contents(found: &Retrieval) -> Vec<&str> {
    found.hits.iter().map(|hit| hit.passage.content.as_str()).collect()
}

const TORQUE_QUERY: &str = "To what torque are the casing tie bolts of P-101A tightened?";

#[tokio::test]
async fn a_reranker_orders_the_best_candidates_and_its_scores_are_shown() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context
        .create_document(
            &permit,
            "manual.pdf",
            Classification::Confidential,
            &[BOLTS, STRAINER, "P-101A has a casing."],
        )
        .await;
    let reranker = WordReranker::preferring("has a casing");
    let search = search_with_reranker(&context, &reranker, 2);
    let found = search.search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 3).await.expect("hits");
    assert_eq!(contents(&found), ["P-101A has a casing.", BOLTS, STRAINER]);
    let scores: Vec<_> = found.hits.iter().map(|hit| hit.rerank_score).collect();
    assert_eq!(scores, [Some(0.9), Some(0.1), None], "only the two candidates are reranked");
    assert_eq!(found.reranked_by.as_deref(), Some("judge-1"));
    let request = reranker.requests().remove(0);
    assert_eq!((request.query.as_str(), request.classification), (TORQUE_QUERY, Classification::Confidential));
    assert!(request.passages[0].starts_with("manual.pdf\n"), "with its title: {:?}", request.passages);
}

#[tokio::test]
async fn on_any_reranker_failure_the_fused_order_is_kept() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context.create_document(&permit, "manual.pdf", Classification::Internal, &[VISITORS, STRAINER, BOLTS]).await;
    let without_reranker =
        context.search().search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 3).await.expect("hits");
    let failures: [Transform; 5] = [
        |_| Err(ModelError::Timeout { backend: "judge".into(), waited_s: 0 }),
        |_| Err(ModelError::NotConfigured { requested: "restricted content".into() }),
        |_| Ok(Vec::new()),
        |scores| Ok(scores.into_iter().skip(1).collect()),
        |scores| Ok(scores.into_iter().map(|_| f32::NAN).collect()),
    ];
    for failure in failures {
        let reranker = WordReranker::with_transform("helmet", failure);
        let search = search_with_reranker(&context, &reranker, 30);
        let found = search.search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 3).await.expect("hits");
        assert_eq!(reranker.requests().len(), 1);
        assert_eq!(found, without_reranker);
    }
}

#[tokio::test]
async fn a_reranker_is_not_called_for_a_single_passage() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let reranker = WordReranker::preferring("x");
    let search = search_with_reranker(&context, &reranker, 30);
    assert_eq!(search.search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 3).await.expect("no hits").hits, []);
    context.create_document(&permit, "one.pdf", Classification::Internal, &[BOLTS]).await;
    assert_eq!(
        search.search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 3).await.expect("a hit").hits.len(),
        1
    );
    assert!(reranker.requests().is_empty());
}

#[tokio::test]
async fn a_search_through_the_gateway_adds_surroundings_on_request_and_records_the_reranker() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context.create_document(&permit, "manual.pdf", Classification::Internal, &[VISITORS, BOLTS, STRAINER]).await;
    let search = search_with_reranker(&context, &WordReranker::preferring("480 Nm"), 30);
    let store: Arc<dyn Store> = Arc::new(context.store.clone());
    let registry = Registry::builtin(&store, search).expect("a registry");
    let tools = AuditedToolGateway::new(registry, context.tool_parts(store));
    let call = |arguments| ToolCall {
        call_id: "1".into(),
        name: "rag_search".into(),
        arguments,
        arguments_classification: Classification::Public,
        origin: CallOrigin::default(),
    };
    let mut surroundings = Vec::new();
    for arguments in
        [json!({"query": TORQUE_QUERY, "top_k": 1}), json!({"query": TORQUE_QUERY, "top_k": 1, "surroundings": true})]
    {
        let called = tools.invoke(&permit, call(arguments)).await.map(|result| result.into_parts().0);
        let Ok(ToolResult::Retrieval(mut found)) = called else { panic!("a search finds passages") };
        assert_eq!(contents(&found), [BOLTS]);
        surroundings.push(found.hits.remove(0).surrounding_text);
    }
    assert_eq!((surroundings[0].before.as_ref(), surroundings[0].after.as_ref()), (None, None));
    assert_eq!((surroundings[1].before.as_deref(), surroundings[1].after.as_deref()), (Some(VISITORS), Some(STRAINER)));
    context.wait_for_background_tasks().await;
    let rows = context.audit_rows().await;
    let outcome = rows.last().expect("an outcome");
    assert_eq!((&outcome.metadata["reranked"], &outcome.metadata["reranker"]), (&json!(true), &json!("judge-1")));
}

#[tokio::test]
async fn a_reranker_sees_nothing_above_the_tenants_limit_for_models() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context.create_document(&permit, "manual.pdf", Classification::Confidential, &[VISITORS, STRAINER, BOLTS]).await;
    let reranker = WordReranker::preferring("helmet");
    let with_max_classification = |all_models| {
        search_with_reranker(&context, &reranker, 30)
            .with_max_classifications(MaxModelClassifications { all_models, ..MaxModelClassifications::default() })
    };
    let without_reranker =
        context.search().search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 3).await.expect("hits");
    let found = with_max_classification(Classification::Internal)
        .search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 3)
        .await
        .expect("hits");
    assert_eq!((found, reranker.requests().len()), (without_reranker, 0));
    let found = with_max_classification(Classification::Confidential)
        .search(permit.scope(), TORQUE_QUERY, &unrestricted_scope(), 3)
        .await;
    let found = found.expect("hits");
    assert_eq!((found.reranked_by.as_deref(), reranker.requests().len()), (Some("judge-1"), 1), "within the limit");
}

#[tokio::test]
async fn synonyms_of_the_tenants_glossary_are_searched_by_their_weights() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    context.create_document(&permit, "blinds.pdf", Classification::Internal, &[BLIND, VISITORS]).await;
    let terms = BTreeMap::from([(GlossaryLanguage::German, vec!["Steckscheibe".to_owned()])]);
    let concepts = Concepts::from_stored(vec![Concept { name: "isolation".to_owned(), terms }]);
    let own = GlossaryVersion { version: 1, concepts, ..GlossaryVersion::default() };
    let mut tx = context.store.begin(permit.scope()).await.expect("in memory");
    assert!(tx.glossary().insert(&own).await.expect("in memory"));
    tx.commit().await.expect("in memory");
    for (across_languages, within_language, is_found) in [(0.0, 0.0, false), (0.4, 0.0, true), (0.0, 0.4, false)] {
        let glossary = GlossaryWeights { across_languages, within_language };
        let params = RetrievalParams { glossary, ..RetrievalParams::default() };
        let embedders = Embedders::single(Arc::clone(&context.embedder) as _);
        let search = HybridSearch::new(Arc::new(context.store.clone()), embedders, params);
        let found = search.search(permit.scope(), "How do I isolate the pump?", &unrestricted_scope(), 2).await;
        let hits = found.expect("hits").hits;
        let blind = hits.iter().find(|hit| hit.passage.content == BLIND).expect("found by its vector");
        assert_eq!(blind.bm25.is_some(), is_found, "{glossary:?}");
    }
}
