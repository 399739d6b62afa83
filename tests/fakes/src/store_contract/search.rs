//! Test cases for storing, replacing and searching passages.

use super::{CaseError, CaseResult, TestContext, user_id};
use domain::document::{DocumentFailure, DocumentPatch, FailureCode, NewChunk, NewDocument, Revision, StatusChange};
use domain::error::{Classify, ErrorKind};
use domain::ids::{ChunkId, DocumentId};
use domain::ports::TenantTx;
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::search::{PassageTerms, RankedCandidate, SearchFilters, SearchScope, TermSource};
use domain::time::Date;

const MODEL: &str = "suite-2d";

fn chunk(context: &TestContext, index: i32, content: &str, embedding: [f32; 2]) -> NewChunk {
    NewChunk {
        id: context.new_id(),
        chunk_index: index,
        content: content.to_owned(),
        context: "Pump manual".to_owned(),
        token_count: 4,
        page: Some(index + 1),
        section: Some("Operation".to_owned()),
        embedding: embedding.to_vec(),
        term_hashes: None,
    }
}

/// Ingests a document in the same way as the worker.
async fn ingest(
    context: &TestContext,
    scope: &TenantScope,
    new: &NewDocument,
    chunks: &[NewChunk],
) -> Result<DocumentId, CaseError> {
    let mut tx = context.begin(scope).await?;
    tx.documents().insert(new, Classification::Restricted, context.advance_clock()).await?;
    replace(context, &mut *tx, new.id, chunks).await?;
    tx.commit().await?;
    Ok(new.id)
}

async fn replace(context: &TestContext, tx: &mut dyn TenantTx, id: DocumentId, chunks: &[NewChunk]) -> CaseResult {
    tx.chunks().replace(id, MODEL, chunks, context.now()).await?;
    let chunk_count = i32::try_from(chunks.len())?;
    let ready = StatusChange::Ready { title: None, page_count: None, chunk_count, warnings: Vec::new() };
    assert!(tx.documents().set_status(id, &ready, context.now()).await?);
    Ok(())
}

fn search_scope(clearance: Classification) -> SearchScope {
    SearchScope { filters: SearchFilters::default(), clearance }
}

/// The texts of the candidates, in their order.
pub(super) async fn contents(tx: &mut dyn TenantTx, hits: &[RankedCandidate]) -> Result<Vec<String>, CaseError> {
    let ids: Vec<ChunkId> = hits.iter().map(|hit| hit.candidate.chunk_id).collect();
    let mut passages = tx.chunks().get_by_ids(&ids, Classification::Restricted).await?;
    assert_eq!(passages.len(), hits.len(), "every candidate can be read");
    passages.sort_by_key(|passage| ids.iter().position(|id| *id == passage.chunk_id));
    Ok(passages.into_iter().map(|passage| passage.content).collect())
}

const X_AXIS: [f32; 2] = [1.0, 0.0];
const Y_AXIS: [f32; 2] = [0.0, 1.0];

/// Candidates are ordered by their score, the similarity. Vectors of another model are ignored.
pub async fn passages_are_ranked_by_cosine_similarity(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let chunks = [chunk(context, 0, "north", Y_AXIS), chunk(context, 1, "north-east", [0.6, 0.8])];
    let id = ingest(context, &tenant_a.ada, &context.new_document(user_id(&tenant_a.ada)?, 'a'), &chunks).await?;
    let other_models_chunk = NewChunk { embedding: vec![1.0, 0.0, 0.0], ..chunk(context, 0, "other", X_AXIS) };
    let other_document = context.insert_document(&tenant_a.ada, 'b').await?.id;
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.chunks().replace(other_document, "other-3d", &[other_models_chunk], context.now()).await?;
    tx.commit().await?;
    let mut tx = context.begin(&tenant_a.bob).await?;
    let hits = tx.chunks().search_vector(&X_AXIS, MODEL, &search_scope(Classification::Internal), 10).await?;
    assert_eq!(contents(&mut *tx, &hits).await?, ["north-east", "north"]);
    // A store may use 16-bit floats.
    assert!((hits[0].score - 0.6).abs() < 1e-3 && hits[1].score.abs() < 1e-3, "{hits:?}");
    let best = &hits[0].candidate;
    assert_eq!((best.document_id, best.chunk_index, best.page), (id, 1, Some(2)));
    assert_eq!((best.chunk_id, best.classification), (chunks[1].id, Classification::Internal));
    assert_eq!(tx.chunks().search_vector(&X_AXIS, MODEL, &search_scope(Classification::Internal), 1).await?.len(), 1);
    let passages = tx.chunks().list_by_document(id, Classification::Internal, 1, 1).await?;
    let passage = &passages[0];
    assert_eq!((passages.len(), passage.document_id, passage.chunk_index, passage.page), (1, id, 1, Some(2)));
    assert_eq!(
        (passage.file_name.as_str(), passage.title.as_str(), passage.section.as_deref()),
        ("a.pdf", "Document a", Some("Operation"))
    );
    assert_eq!(
        tx.chunks().get_by_ids(&[passage.chunk_id, context.new_id()], Classification::Internal).await?,
        passages
    );
    assert_eq!(tx.chunks().get_by_ids(&[passage.chunk_id], Classification::Public).await?, []);
    assert_eq!(tx.chunks().list_by_document(id, Classification::Public, 0, 9).await?, []);
    Ok(())
}

/// Candidates of both searches have the stored terms, or the whole text if the passage has no terms, and a section key
/// that differs between headings.
pub async fn candidates_have_terms_and_a_section_key(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let terms = PassageTerms::new([7, u32::MAX, 3]);
    let with_section = |index, section: Option<&str>| NewChunk {
        section: section.map(str::to_owned),
        term_hashes: Some(terms.clone()),
        ..chunk(context, index, "pump", X_AXIS)
    };
    let without_terms =
        [chunk(context, 4, "pump", X_AXIS), NewChunk { section: None, ..chunk(context, 5, "pump", X_AXIS) }];
    let mut chunks: Vec<NewChunk> =
        (0..).zip([Some("Start"), Some("Stop"), Some("Start"), None]).map(|(n, s)| with_section(n, s)).collect();
    chunks.extend(without_terms);
    let document = context.new_document(user_id(&tenant_a.ada)?, 'a');
    let document = NewDocument { doc_type: Some("procedure".to_owned()), ..document };
    ingest(context, &tenant_a.ada, &document, &chunks).await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let scope = search_scope(Classification::Internal);
    let sorted = |mut hits: Vec<RankedCandidate>| {
        hits.sort_by_key(|hit| hit.candidate.chunk_index);
        hits.into_iter().map(|hit| hit.candidate).collect::<Vec<_>>()
    };
    let candidates = sorted(tx.chunks().search_vector(&X_AXIS, MODEL, &scope, 9).await?);
    assert_eq!(candidates, sorted(tx.chunks().search_lexical(&"pump".into(), &scope, 9).await?));
    assert!(candidates.iter().all(|candidate| candidate.doc_type.as_deref() == Some("procedure")), "{candidates:?}");
    let key = |index: usize| candidates[index].section;
    assert_eq!(key(0), key(2));
    assert!(key(0).is_some() && key(0) != key(1), "{candidates:?}");
    assert_eq!(key(3), None);
    assert!(
        candidates[..4].iter().all(|candidate| candidate.term_source == TermSource::Terms(terms.clone())),
        "{candidates:?}"
    );
    assert_eq!(candidates[4].term_source, TermSource::Text("a.pdf\nDocument a\nOperation\npump".to_owned()));
    assert_eq!(candidates[5].term_source, TermSource::Text("a.pdf\nDocument a\n\npump".to_owned()));
    Ok(())
}

/// Reading a text requires clearance for the current classification. A replaced passage cannot be read.
pub async fn candidate_texts_are_read_within_the_clearance_until_replaced(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new = context.new_document(user_id(&tenant_a.ada)?, 'a');
    let id =
        ingest(context, &tenant_a.ada, &new, &[chunk(context, 0, "valve", X_AXIS), chunk(context, 1, "pump", X_AXIS)])
            .await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let hits = tx.chunks().search_vector(&X_AXIS, MODEL, &search_scope(Classification::Internal), 9).await?;
    let ids: Vec<ChunkId> = hits.iter().map(|hit| hit.candidate.chunk_id).collect();
    assert_eq!(
        tx.chunks().get_by_ids(&ids, Classification::Internal).await?.len(),
        2,
        "before the classification is raised"
    );
    let patch = DocumentPatch { classification: Some(Classification::Restricted), ..DocumentPatch::default() };
    assert!(tx.documents().update(id, &patch, context.advance_clock()).await?.is_some());
    assert_eq!(tx.chunks().get_by_ids(&ids, Classification::Confidential).await?, []);
    assert_eq!(tx.chunks().get_by_ids(&ids, Classification::Restricted).await?.len(), 2);
    replace(context, &mut *tx, id, &[chunk(context, 0, "new valve", X_AXIS)]).await?;
    assert_eq!(tx.chunks().get_by_ids(&ids, Classification::Restricted).await?, []);
    Ok(())
}

/// Only searchable passages are returned: not above the clearance, not of a failed document, not of another tenant.
pub async fn passages_are_read_by_position(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let new = context.new_document(user_id(&tenant_a.ada)?, 'a');
    let texts = ["close the valve", "stop the pump", "drain the line"];
    let chunks: Vec<_> = (0..).zip(texts).map(|(n, text)| chunk(context, n, text, X_AXIS)).collect();
    let id = ingest(context, &tenant_a.ada, &new, &chunks).await?;
    let positions = [(id, 0), (id, 2), (id, 3), (id, -1), (context.new_id(), 1)];
    let mut tx = context.begin(&tenant_a.ada).await?;
    let mut found = tx.chunks().get_by_positions(&positions, Classification::Internal).await?;
    found.sort_by_key(|passage| passage.chunk_index);
    assert_eq!(found.iter().map(|passage| passage.content.as_str()).collect::<Vec<_>>(), [texts[0], texts[2]]);
    assert_eq!((found[1].document_id, found[1].page, found[1].chunk_id), (id, Some(3), chunks[2].id));
    assert_eq!(tx.chunks().get_by_positions(&positions, Classification::Public).await?, []);
    assert_eq!(tx.chunks().get_by_positions(&[], Classification::Restricted).await?, []);
    let failure = DocumentFailure { code: FailureCode::Corrupt, detail: "It cannot be read.".to_owned() };
    tx.documents().set_status(id, &StatusChange::Failed(failure), context.now()).await?;
    assert_eq!(tx.chunks().get_by_positions(&positions, Classification::Restricted).await?, []);
    drop(tx);
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.chunks().get_by_positions(&positions, Classification::Restricted).await?, []);
    Ok(())
}

/// One matching word is enough. Passages with more and rarer words of the query rank higher.
pub async fn passages_are_found_by_their_words(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let chunks = [
        chunk(context, 0, "Check the oil level before the start.", X_AXIS),
        chunk(context, 1, "Replace the impeller after cavitation; check the level.", X_AXIS),
        chunk(context, 2, "Nothing of interest here.", X_AXIS),
    ];
    ingest(context, &tenant_a.ada, &context.new_document(user_id(&tenant_a.ada)?, 'a'), &chunks).await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let search = search_scope(Classification::Internal);
    let hits = tx.chunks().search_lexical(&"impeller cavitation level".into(), &search, 10).await?;
    assert_eq!(contents(&mut *tx, &hits).await?, [chunks[1].content.as_str(), chunks[0].content.as_str()]);
    assert!(hits[0].score > hits[1].score && hits[1].score > 0.0, "{hits:?}");
    let best = tx.chunks().search_lexical(&"impeller cavitation level".into(), &search, 1).await?;
    assert_eq!(contents(&mut *tx, &best).await?, [chunks[1].content.as_str()]);
    for query in ["turbine", "", "' OR 1=1 --", "& | !", "the"] {
        assert_eq!(tx.chunks().search_lexical(&query.into(), &search, 10).await?, [], "{query:?}");
    }
    Ok(())
}

/// Vector and lexical search apply the same restrictions.
pub async fn a_search_respects_clearance_and_filters(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let user = user_id(&tenant_a.ada)?;
    let internal_document =
        ingest(context, &tenant_a.ada, &context.new_document(user, 'a'), &[chunk(context, 0, "open valve", X_AXIS)])
            .await?;
    let secret = NewDocument {
        classification: Classification::Restricted,
        doc_type: Some("report".to_owned()),
        tags: vec!["audit".to_owned()],
        ..context.new_document(user, 'b')
    };
    let restricted_document =
        ingest(context, &tenant_a.ada, &secret, &[chunk(context, 0, "secret valve", X_AXIS)]).await?;
    let no_filters = SearchFilters::default();
    let restricted_only = SearchFilters { document_ids: vec![restricted_document], ..SearchFilters::default() };
    let cases = [
        (no_filters.clone(), Classification::Restricted, vec!["open valve", "secret valve"]),
        (no_filters.clone(), Classification::Confidential, vec!["open valve"]),
        (restricted_only.clone(), Classification::Restricted, vec!["secret valve"]),
        (restricted_only, Classification::Internal, vec![]),
        (
            SearchFilters {
                document_ids: vec![internal_document, restricted_document],
                tags: vec!["pumps".into()],
                ..no_filters.clone()
            },
            Classification::Restricted,
            vec!["open valve"],
        ),
        (
            SearchFilters { tags: vec!["audit".into(), "x".into()], ..no_filters.clone() },
            Classification::Restricted,
            vec!["secret valve"],
        ),
        (
            SearchFilters { doc_type: Some("manual".into()), ..no_filters },
            Classification::Restricted,
            vec!["open valve"],
        ),
    ];
    let mut tx = context.begin(&tenant_a.ada).await?;
    for (filters, clearance, expected) in cases {
        let scope = SearchScope { filters, clearance };
        let near = tx.chunks().search_vector(&X_AXIS, MODEL, &scope, 10).await?;
        let lexical = tx.chunks().search_lexical(&"valve".into(), &scope, 10).await?;
        for hits in [near, lexical] {
            let mut found = contents(&mut *tx, &hits).await?;
            found.sort_unstable();
            assert_eq!(found, expected, "{scope:?}");
        }
    }
    Ok(())
}

/// A superseded revision is excluded from the day on which its successor takes effect; the successor is excluded
/// until that day.
pub async fn documents_not_in_force_are_found_only_on_request(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let user = user_id(&tenant_a.ada)?;
    let (past, future) = (Date::from_ymd_opt(2001, 1, 1), Date::from_ymd_opt(2999, 1, 1));
    let mut ingested = Vec::new();
    for (sha, content, effective_from, supersedes) in [
        ('a', "valve one", None, None),
        ('b', "valve two", past, Some(0)),
        ('c', "valve three", None, None),
        ('d', "valve four", future, Some(2)),
    ] {
        let supersedes = supersedes.and_then(|index: usize| ingested.get(index).copied());
        let revision = Revision { label: None, effective_from, supersedes };
        let new = NewDocument { revision, ..context.new_document(user, sha) };
        ingested.push(ingest(context, &tenant_a.ada, &new, &[chunk(context, 0, content, X_AXIS)]).await?);
    }
    let mut tx = context.begin(&tenant_a.ada).await?;
    for (include_superseded, expected) in
        [(false, vec!["valve three", "valve two"]), (true, vec!["valve four", "valve one", "valve three", "valve two"])]
    {
        let filters = SearchFilters { include_superseded, ..SearchFilters::default() };
        let scope = SearchScope { filters, clearance: Classification::Restricted };
        let near = tx.chunks().search_vector(&X_AXIS, MODEL, &scope, 10).await?;
        let lexical = tx.chunks().search_lexical(&"valve".into(), &scope, 10).await?;
        for hits in [near, lexical] {
            let mut found = contents(&mut *tx, &hits).await?;
            found.sort_unstable();
            assert_eq!(found, expected);
        }
    }
    Ok(())
}

/// A document that is being ingested again keeps its passages. A failed or a new document has none.
pub async fn published_passages_are_found_until_their_document_fails(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new = context.new_document(user_id(&tenant_a.ada)?, 'a');
    let id = ingest(context, &tenant_a.ada, &new, &[chunk(context, 0, "valve", X_AXIS)]).await?;
    context.insert_document(&tenant_a.ada, 'b').await?;
    let search = search_scope(Classification::Restricted);
    let failure = DocumentFailure { code: FailureCode::Corrupt, detail: "It cannot be read.".to_owned() };
    let mut tx = context.begin(&tenant_a.ada).await?;
    for (change, expected_count) in [
        (StatusChange::Queued, 1),
        (StatusChange::Processing, 1),
        (StatusChange::Failed(failure), 0),
        (StatusChange::Processing, 1),
    ] {
        tx.documents().set_status(id, &change, context.now()).await?;
        assert_eq!(tx.chunks().search_lexical(&"valve".into(), &search, 9).await?.len(), expected_count, "{change:?}");
        assert_eq!(tx.chunks().search_vector(&X_AXIS, MODEL, &search, 9).await?.len(), expected_count, "{change:?}");
    }
    Ok(())
}

/// All passages of a document are replaced together. A missing document is a conflict.
pub async fn replacing_passages_removes_the_old_ones(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new = context.new_document(user_id(&tenant_a.ada)?, 'a');
    let id = ingest(
        context,
        &tenant_a.ada,
        &new,
        &[chunk(context, 0, "old valve", X_AXIS), chunk(context, 1, "old pump", X_AXIS)],
    )
    .await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    replace(context, &mut *tx, id, &[chunk(context, 0, "new valve", X_AXIS)]).await?;
    let search = search_scope(Classification::Restricted);
    let near = tx.chunks().search_vector(&X_AXIS, MODEL, &search, 9).await?;
    let lexical = tx.chunks().search_lexical(&"valve pump old".into(), &search, 9).await?;
    assert_eq!(contents(&mut *tx, &near).await?, ["new valve"]);
    assert_eq!(contents(&mut *tx, &lexical).await?, ["new valve"]);
    tx.documents().delete(id).await?;
    assert_eq!(tx.chunks().search_lexical(&"valve".into(), &search, 9).await?, []);
    let result = tx.chunks().replace(id, MODEL, &[], context.now()).await;
    assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    Ok(())
}

/// Even a filter on a document of another tenant finds nothing.
pub async fn a_search_never_leaves_the_tenant(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let id = ingest(
        context,
        &tenant_a.ada,
        &context.new_document(user_id(&tenant_a.ada)?, 'a'),
        &[chunk(context, 0, "valve", X_AXIS)],
    )
    .await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let hits = tx.chunks().search_lexical(&"valve".into(), &search_scope(Classification::Restricted), 9).await?;
    assert_eq!(contents(&mut *tx, &hits).await?, ["valve"]);
    drop(tx);
    let mut tx = context.begin(&tenant_b.ada).await?;
    for filters in [SearchFilters::default(), SearchFilters { document_ids: vec![id], ..SearchFilters::default() }] {
        let scope = SearchScope { filters, clearance: Classification::Restricted };
        assert_eq!(tx.chunks().search_vector(&X_AXIS, MODEL, &scope, 9).await?, []);
        assert_eq!(tx.chunks().search_lexical(&"valve".into(), &scope, 9).await?, []);
    }
    assert_eq!(tx.chunks().list_by_document(id, Classification::Restricted, 0, 9).await?, []);
    assert_eq!(tx.chunks().get_by_ids(&[hits[0].candidate.chunk_id], Classification::Restricted).await?, []);
    Ok(())
}

/// A new classification applies immediately, in both kinds of search and in reads by position.
pub async fn passages_follow_their_documents_classification(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new = context.new_document(user_id(&tenant_a.ada)?, 'a');
    let id = ingest(context, &tenant_a.ada, &new, &[chunk(context, 0, "impeller seal", X_AXIS)]).await?;
    let count_found = async |clearance| -> Result<[usize; 3], CaseError> {
        let mut tx = context.begin(&tenant_a.ada).await?;
        let near = tx.chunks().search_vector(&X_AXIS, MODEL, &search_scope(clearance), 5).await?.len();
        let lexical = tx.chunks().search_lexical(&"impeller".into(), &search_scope(clearance), 5).await?.len();
        Ok([near, lexical, tx.chunks().get_by_positions(&[(id, 0)], clearance).await?.len()])
    };
    assert_eq!(count_found(Classification::Internal).await?, [1, 1, 1], "before the change");
    for (new_classification, internal_counts) in
        [(Classification::Restricted, [0, 0, 0]), (Classification::Public, [1, 1, 1])]
    {
        let patch = DocumentPatch { classification: Some(new_classification), ..DocumentPatch::default() };
        let mut tx = context.begin(&tenant_a.ada).await?;
        assert!(tx.documents().update(id, &patch, context.advance_clock()).await?.is_some());
        tx.commit().await?;
        assert_eq!(count_found(Classification::Internal).await?, internal_counts, "{new_classification}");
        assert_eq!(count_found(Classification::Restricted).await?, [1, 1, 1], "{new_classification}");
    }
    Ok(())
}
