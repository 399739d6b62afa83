//! Cases on storing, replacing and searching passages.

use super::{CaseError, CaseResult, World, owner};
use domain::document::{DocumentFailure, DocumentPatch, FailureCode, NewChunk, NewDocument, Revision, StatusChange};
use domain::error::{Classify, ErrorKind};
use domain::ids::{ChunkId, DocumentId};
use domain::ports::TenantTx;
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::search::{PassageTerms, PassageWords, RankedCandidate, SearchFilters, SearchScope};
use domain::time::Date;

const MODEL: &str = "suite-2d";

fn chunk(world: &World, index: i32, content: &str, embedding: [f32; 2]) -> NewChunk {
    NewChunk {
        id: world.id(),
        chunk_index: index,
        content: content.to_owned(),
        context: "Pump manual".to_owned(),
        token_count: 4,
        page: Some(index + 1),
        section: Some("Operation".to_owned()),
        embedding: embedding.to_vec(),
        terms: None,
    }
}

/// Ingests a document in the same way as the worker.
async fn ingest(
    world: &World,
    scope: &TenantScope,
    new: &NewDocument,
    chunks: &[NewChunk],
) -> Result<DocumentId, CaseError> {
    let mut tx = world.begin(scope).await?;
    tx.documents().insert(new, Classification::Restricted, world.later()).await?;
    replace(world, &mut *tx, new.id, chunks).await?;
    tx.commit().await?;
    Ok(new.id)
}

async fn replace(world: &World, tx: &mut dyn TenantTx, id: DocumentId, chunks: &[NewChunk]) -> CaseResult {
    tx.chunks().replace(id, MODEL, chunks, world.now()).await?;
    let chunk_count = i32::try_from(chunks.len())?;
    let ready = StatusChange::Ready { title: None, page_count: None, chunk_count, warnings: Vec::new() };
    assert!(tx.documents().advance(id, &ready, world.now()).await?);
    Ok(())
}

fn within(clearance: Classification) -> SearchScope {
    SearchScope { filters: SearchFilters::default(), clearance }
}

/// The texts of the candidates, in their order.
pub(super) async fn contents(tx: &mut dyn TenantTx, hits: &[RankedCandidate]) -> Result<Vec<String>, CaseError> {
    let ids: Vec<ChunkId> = hits.iter().map(|hit| hit.candidate.chunk_id).collect();
    let mut passages = tx.chunks().by_ids(&ids, Classification::Restricted).await?;
    assert_eq!(passages.len(), hits.len(), "every candidate can be read");
    passages.sort_by_key(|passage| ids.iter().position(|id| *id == passage.chunk_id));
    Ok(passages.into_iter().map(|passage| passage.content).collect())
}

const EAST: [f32; 2] = [1.0, 0.0];
const NORTH: [f32; 2] = [0.0, 1.0];

/// Best first, with the similarity as score; vectors of another model are ignored.
pub async fn passages_are_ranked_by_cosine_similarity(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let chunks = [chunk(world, 0, "north", NORTH), chunk(world, 1, "north-east", [0.6, 0.8])];
    let id = ingest(world, &plant.ada, &world.new_document(owner(&plant.ada)?, 'a'), &chunks).await?;
    let foreign = NewChunk { embedding: vec![1.0, 0.0, 0.0], ..chunk(world, 0, "other", EAST) };
    let other = world.document(&plant.ada, 'b').await?.id;
    let mut tx = world.begin(&plant.ada).await?;
    tx.chunks().replace(other, "other-3d", &[foreign], world.now()).await?;
    tx.commit().await?;
    let mut tx = world.begin(&plant.bob).await?;
    let hits = tx.chunks().nearest(&EAST, MODEL, &within(Classification::Internal), 10).await?;
    assert_eq!(contents(&mut *tx, &hits).await?, ["north-east", "north"]);
    // A store may use 16-bit floats.
    assert!((hits[0].score - 0.6).abs() < 1e-3 && hits[1].score.abs() < 1e-3, "{hits:?}");
    let best = &hits[0].candidate;
    assert_eq!((best.document_id, best.chunk_index, best.page), (id, 1, Some(2)));
    assert_eq!((best.chunk_id, best.classification), (chunks[1].id, Classification::Internal));
    assert_eq!(tx.chunks().nearest(&EAST, MODEL, &within(Classification::Internal), 1).await?.len(), 1);
    let read = tx.chunks().of_document(id, Classification::Internal, 1, 1).await?;
    let found = &read[0];
    assert_eq!((read.len(), found.document_id, found.chunk_index, found.page), (1, id, 1, Some(2)));
    assert_eq!(
        (found.doc.as_str(), found.title.as_str(), found.section.as_deref()),
        ("a.pdf", "Document a", Some("Operation"))
    );
    assert_eq!(tx.chunks().by_ids(&[found.chunk_id, world.id()], Classification::Internal).await?, read);
    assert_eq!(tx.chunks().by_ids(&[found.chunk_id], Classification::Public).await?, []);
    assert_eq!(tx.chunks().of_document(id, Classification::Public, 0, 9).await?, []);
    Ok(())
}

/// Candidates of both searches carry the stored terms, or the whole text of a passage without terms, and a key that
/// differs between headings.
pub async fn candidates_have_terms_and_a_key_of_their_section(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let terms = PassageTerms::new([7, u32::MAX, 3]);
    let with_section = |index, section: Option<&str>| NewChunk {
        section: section.map(str::to_owned),
        terms: Some(terms.clone()),
        ..chunk(world, index, "pump", EAST)
    };
    let without_terms = [chunk(world, 4, "pump", EAST), NewChunk { section: None, ..chunk(world, 5, "pump", EAST) }];
    let mut chunks: Vec<NewChunk> =
        (0..).zip([Some("Start"), Some("Stop"), Some("Start"), None]).map(|(n, s)| with_section(n, s)).collect();
    chunks.extend(without_terms);
    ingest(world, &plant.ada, &world.new_document(owner(&plant.ada)?, 'a'), &chunks).await?;
    let mut tx = world.begin(&plant.ada).await?;
    let scope = within(Classification::Internal);
    let sorted = |mut hits: Vec<RankedCandidate>| {
        hits.sort_by_key(|hit| hit.candidate.chunk_index);
        hits.into_iter().map(|hit| hit.candidate).collect::<Vec<_>>()
    };
    let near = sorted(tx.chunks().nearest(&EAST, MODEL, &scope, 9).await?);
    assert_eq!(near, sorted(tx.chunks().lexical("pump", &scope, 9).await?));
    let key = |index: usize| near[index].section;
    assert_eq!(key(0), key(2));
    assert!(key(0).is_some() && key(0) != key(1), "{near:?}");
    assert_eq!(key(3), None);
    assert!(near[..4].iter().all(|candidate| candidate.words == PassageWords::Terms(terms.clone())), "{near:?}");
    assert_eq!(near[4].words, PassageWords::Text("a.pdf\nDocument a\nOperation\npump".to_owned()));
    assert_eq!(near[5].words, PassageWords::Text("a.pdf\nDocument a\n\npump".to_owned()));
    Ok(())
}

/// A text is read only with sufficient clearance at that moment; a replaced passage cannot be read.
pub async fn texts_of_candidates_are_read_by_clearance_and_while_they_exist(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let new = world.new_document(owner(&plant.ada)?, 'a');
    let id = ingest(world, &plant.ada, &new, &[chunk(world, 0, "valve", EAST), chunk(world, 1, "pump", EAST)]).await?;
    let mut tx = world.begin(&plant.ada).await?;
    let hits = tx.chunks().nearest(&EAST, MODEL, &within(Classification::Internal), 9).await?;
    let ids: Vec<ChunkId> = hits.iter().map(|hit| hit.candidate.chunk_id).collect();
    assert_eq!(tx.chunks().by_ids(&ids, Classification::Internal).await?.len(), 2, "control");
    let patch = DocumentPatch { classification: Some(Classification::Restricted), ..DocumentPatch::default() };
    assert!(tx.documents().update(id, &patch, world.later()).await?.is_some());
    assert_eq!(tx.chunks().by_ids(&ids, Classification::Confidential).await?, []);
    assert_eq!(tx.chunks().by_ids(&ids, Classification::Restricted).await?.len(), 2);
    replace(world, &mut *tx, id, &[chunk(world, 0, "new valve", EAST)]).await?;
    assert_eq!(tx.chunks().by_ids(&ids, Classification::Restricted).await?, []);
    Ok(())
}

/// Only searchable passages are returned: not above the clearance, not of a failed document, not of another tenant.
pub async fn passages_are_read_by_position(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let new = world.new_document(owner(&here.ada)?, 'a');
    let texts = ["close the valve", "stop the pump", "drain the line"];
    let chunks: Vec<_> = (0..).zip(texts).map(|(n, text)| chunk(world, n, text, EAST)).collect();
    let id = ingest(world, &here.ada, &new, &chunks).await?;
    let places = [(id, 0), (id, 2), (id, 3), (id, -1), (world.id(), 1)];
    let mut tx = world.begin(&here.ada).await?;
    let mut found = tx.chunks().at_positions(&places, Classification::Internal).await?;
    found.sort_by_key(|passage| passage.chunk_index);
    assert_eq!(found.iter().map(|passage| passage.content.as_str()).collect::<Vec<_>>(), [texts[0], texts[2]]);
    assert_eq!((found[1].document_id, found[1].page, found[1].chunk_id), (id, Some(3), chunks[2].id));
    assert_eq!(tx.chunks().at_positions(&places, Classification::Public).await?, []);
    assert_eq!(tx.chunks().at_positions(&[], Classification::Restricted).await?, []);
    let failure = DocumentFailure { code: FailureCode::Corrupt, detail: "It cannot be read.".to_owned() };
    tx.documents().advance(id, &StatusChange::Failed(failure), world.now()).await?;
    assert_eq!(tx.chunks().at_positions(&places, Classification::Restricted).await?, []);
    drop(tx);
    let mut tx = world.begin(&there.ada).await?;
    assert_eq!(tx.chunks().at_positions(&places, Classification::Restricted).await?, []);
    Ok(())
}

/// Any word may match; passages with more and rarer words rank higher.
pub async fn passages_are_found_by_their_words(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let chunks = [
        chunk(world, 0, "Check the oil level before the start.", EAST),
        chunk(world, 1, "Replace the impeller after cavitation; check the level.", EAST),
        chunk(world, 2, "Nothing of interest here.", EAST),
    ];
    ingest(world, &plant.ada, &world.new_document(owner(&plant.ada)?, 'a'), &chunks).await?;
    let mut tx = world.begin(&plant.ada).await?;
    let search = within(Classification::Internal);
    let hits = tx.chunks().lexical("impeller cavitation level", &search, 10).await?;
    assert_eq!(contents(&mut *tx, &hits).await?, [chunks[1].content.as_str(), chunks[0].content.as_str()]);
    assert!(hits[0].score > hits[1].score && hits[1].score > 0.0, "{hits:?}");
    let best = tx.chunks().lexical("impeller cavitation level", &search, 1).await?;
    assert_eq!(contents(&mut *tx, &best).await?, [chunks[1].content.as_str()]);
    for query in ["turbine", "", "' OR 1=1 --", "& | !", "the"] {
        assert_eq!(tx.chunks().lexical(query, &search, 10).await?, [], "{query:?}");
    }
    Ok(())
}

/// Vector and lexical search apply the same restrictions.
pub async fn a_search_respects_clearance_and_filters(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let user = owner(&plant.ada)?;
    let open =
        ingest(world, &plant.ada, &world.new_document(user, 'a'), &[chunk(world, 0, "open valve", EAST)]).await?;
    let secret = NewDocument {
        classification: Classification::Restricted,
        doc_type: Some("report".to_owned()),
        tags: vec!["audit".to_owned()],
        ..world.new_document(user, 'b')
    };
    let secret = ingest(world, &plant.ada, &secret, &[chunk(world, 0, "secret valve", EAST)]).await?;
    let all = SearchFilters::default();
    let cases = [
        (all.clone(), Classification::Restricted, vec!["open valve", "secret valve"]),
        (all.clone(), Classification::Confidential, vec!["open valve"]),
        (SearchFilters { document_ids: vec![secret], ..all.clone() }, Classification::Restricted, vec!["secret valve"]),
        (SearchFilters { document_ids: vec![secret], ..all.clone() }, Classification::Internal, vec![]),
        (
            SearchFilters { document_ids: vec![open, secret], tags: vec!["pumps".into()], ..all.clone() },
            Classification::Restricted,
            vec!["open valve"],
        ),
        (
            SearchFilters { tags: vec!["audit".into(), "x".into()], ..all.clone() },
            Classification::Restricted,
            vec!["secret valve"],
        ),
        (SearchFilters { doc_type: Some("manual".into()), ..all }, Classification::Restricted, vec!["open valve"]),
    ];
    let mut tx = world.begin(&plant.ada).await?;
    for (filters, clearance, expected) in cases {
        let scope = SearchScope { filters, clearance };
        let near = tx.chunks().nearest(&EAST, MODEL, &scope, 10).await?;
        let lexical = tx.chunks().lexical("valve", &scope, 10).await?;
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
pub async fn documents_not_in_force_are_found_only_on_request(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let user = owner(&plant.ada)?;
    let (past, future) = (Date::from_ymd_opt(2001, 1, 1), Date::from_ymd_opt(2999, 1, 1));
    let mut ingested = Vec::new();
    for (sha, content, effective_from, supersedes) in [
        ('a', "valve one", None, None),
        ('b', "valve two", past, Some(0)),
        ('c', "valve three", None, None),
        ('d', "valve four", future, Some(2)),
    ] {
        let supersedes = supersedes.and_then(|at: usize| ingested.get(at).copied());
        let revision = Revision { label: None, effective_from, supersedes };
        let new = NewDocument { revision, ..world.new_document(user, sha) };
        ingested.push(ingest(world, &plant.ada, &new, &[chunk(world, 0, content, EAST)]).await?);
    }
    let mut tx = world.begin(&plant.ada).await?;
    for (include_superseded, expected) in
        [(false, vec!["valve three", "valve two"]), (true, vec!["valve four", "valve one", "valve three", "valve two"])]
    {
        let filters = SearchFilters { include_superseded, ..SearchFilters::default() };
        let scope = SearchScope { filters, clearance: Classification::Restricted };
        let near = tx.chunks().nearest(&EAST, MODEL, &scope, 10).await?;
        let lexical = tx.chunks().lexical("valve", &scope, 10).await?;
        for hits in [near, lexical] {
            let mut found = contents(&mut *tx, &hits).await?;
            found.sort_unstable();
            assert_eq!(found, expected);
        }
    }
    Ok(())
}

/// A document that is being ingested again keeps its passages; a failed or a new one has none.
pub async fn published_passages_are_found_until_their_document_fails(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let new = world.new_document(owner(&plant.ada)?, 'a');
    let id = ingest(world, &plant.ada, &new, &[chunk(world, 0, "valve", EAST)]).await?;
    world.document(&plant.ada, 'b').await?;
    let search = within(Classification::Restricted);
    let failure = DocumentFailure { code: FailureCode::Corrupt, detail: "It cannot be read.".to_owned() };
    let mut tx = world.begin(&plant.ada).await?;
    for (progress, found) in [
        (StatusChange::Queued, 1),
        (StatusChange::Processing, 1),
        (StatusChange::Failed(failure), 0),
        (StatusChange::Processing, 1),
    ] {
        tx.documents().advance(id, &progress, world.now()).await?;
        assert_eq!(tx.chunks().lexical("valve", &search, 9).await?.len(), found, "{progress:?}");
        assert_eq!(tx.chunks().nearest(&EAST, MODEL, &search, 9).await?.len(), found, "{progress:?}");
    }
    Ok(())
}

/// All passages are replaced at once; a missing document is a conflict.
pub async fn replacing_passages_leaves_none_of_the_old(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let new = world.new_document(owner(&plant.ada)?, 'a');
    let id = ingest(world, &plant.ada, &new, &[chunk(world, 0, "old valve", EAST), chunk(world, 1, "old pump", EAST)])
        .await?;
    let mut tx = world.begin(&plant.ada).await?;
    replace(world, &mut *tx, id, &[chunk(world, 0, "new valve", EAST)]).await?;
    let search = within(Classification::Restricted);
    let near = tx.chunks().nearest(&EAST, MODEL, &search, 9).await?;
    let lexical = tx.chunks().lexical("valve pump old", &search, 9).await?;
    assert_eq!(contents(&mut *tx, &near).await?, ["new valve"]);
    assert_eq!(contents(&mut *tx, &lexical).await?, ["new valve"]);
    tx.documents().delete(id).await?;
    assert_eq!(tx.chunks().lexical("valve", &search, 9).await?, []);
    let gone = tx.chunks().replace(id, MODEL, &[], world.now()).await;
    assert_eq!(gone.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    Ok(())
}

/// Filters do not change that.
pub async fn a_search_never_leaves_the_tenant(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let id = ingest(world, &here.ada, &world.new_document(owner(&here.ada)?, 'a'), &[chunk(world, 0, "valve", EAST)])
        .await?;
    let mut tx = world.begin(&here.ada).await?;
    let hit = tx.chunks().lexical("valve", &within(Classification::Restricted), 9).await?;
    assert_eq!(contents(&mut *tx, &hit).await?, ["valve"]);
    drop(tx);
    let mut tx = world.begin(&there.ada).await?;
    for filters in [SearchFilters::default(), SearchFilters { document_ids: vec![id], ..SearchFilters::default() }] {
        let scope = SearchScope { filters, clearance: Classification::Restricted };
        assert_eq!(tx.chunks().nearest(&EAST, MODEL, &scope, 9).await?, []);
        assert_eq!(tx.chunks().lexical("valve", &scope, 9).await?, []);
    }
    assert_eq!(tx.chunks().of_document(id, Classification::Restricted, 0, 9).await?, []);
    assert_eq!(tx.chunks().by_ids(&[hit[0].candidate.chunk_id], Classification::Restricted).await?, []);
    Ok(())
}

/// The new class applies at once, in both kinds of search and in reads by position.
pub async fn passages_follow_their_documents_classification(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let new = world.new_document(owner(&plant.ada)?, 'a');
    let id = ingest(world, &plant.ada, &new, &[chunk(world, 0, "impeller seal", EAST)]).await?;
    let found = async |clearance| -> Result<[usize; 3], CaseError> {
        let mut tx = world.begin(&plant.ada).await?;
        let near = tx.chunks().nearest(&EAST, MODEL, &within(clearance), 5).await?.len();
        let words = tx.chunks().lexical("impeller", &within(clearance), 5).await?.len();
        Ok([near, words, tx.chunks().at_positions(&[(id, 0)], clearance).await?.len()])
    };
    assert_eq!(found(Classification::Internal).await?, [1, 1, 1], "control");
    for (to, internal) in [(Classification::Restricted, [0, 0, 0]), (Classification::Public, [1, 1, 1])] {
        let patch = DocumentPatch { classification: Some(to), ..DocumentPatch::default() };
        let mut tx = world.begin(&plant.ada).await?;
        assert!(tx.documents().update(id, &patch, world.later()).await?.is_some());
        tx.commit().await?;
        assert_eq!(found(Classification::Internal).await?, internal, "{to}");
        assert_eq!(found(Classification::Restricted).await?, [1, 1, 1], "{to}");
    }
    Ok(())
}
