//! Test cases for passages of two embedding models (generations): both are stored, but only one is searched.

use super::search::contents;
use super::{CaseError, CaseResult, TestContext, TestTenant, user_id};
use domain::document::{DocumentFailure, FailureCode, NewChunk, StatusChange};
use domain::error::{Classify, ErrorKind};
use domain::ids::DocumentId;
use domain::ports::TenantTx;
use domain::role::Classification;
use domain::search::{SearchFilters, SearchScope};

const OLD: &str = "old-2d";
const NEW: &str = "new-3d";

/// A single passage, embedded with one of the models.
fn single_passage(context: &TestContext, content: &str, model: &str) -> Vec<NewChunk> {
    vec![NewChunk {
        id: context.new_id(),
        chunk_index: 0,
        content: content.to_owned(),
        context: String::new(),
        token_count: 1,
        page: None,
        section: None,
        embedding: query_vector(model),
        term_hashes: None,
    }]
}

/// A unit vector of the model's dimension.
fn query_vector(model: &str) -> Vec<f32> {
    if model == OLD { vec![1.0, 0.0] } else { vec![1.0, 0.0, 0.0] }
}

async fn publish_document(
    context: &TestContext,
    tenant: &TestTenant,
    sha: char,
    content: &str,
) -> Result<DocumentId, CaseError> {
    let new = context.new_document(user_id(&tenant.ada)?, sha);
    let mut tx = context.begin(&tenant.ada).await?;
    tx.documents().insert(&new, Classification::Restricted, context.advance_clock()).await?;
    let ready = StatusChange::Ready { title: None, page_count: None, chunk_count: 1, warnings: Vec::new() };
    tx.documents().set_status(new.id, &ready, context.now()).await?;
    tx.chunks().replace(new.id, OLD, &single_passage(context, content, OLD), context.now()).await?;
    tx.commit().await?;
    Ok(new.id)
}

/// The contents that a vector search with `model` finds, and those that a lexical search for `valve` finds.
async fn search_both(tx: &mut dyn TenantTx, model: &str) -> Result<(Vec<String>, Vec<String>), CaseError> {
    let scope = SearchScope { filters: SearchFilters::default(), clearance: Classification::Restricted };
    let near = tx.chunks().search_vector(&query_vector(model), model, &scope, 9).await?;
    let lexical = tx.chunks().search_lexical(&"valve".into(), &scope, 9).await?;
    let (mut near, mut lexical) = (contents(tx, &near).await?, contents(tx, &lexical).await?);
    near.sort_unstable();
    lexical.sort_unstable();
    Ok((near, lexical))
}

/// Searches use the old passages until the switch, and only the new ones afterwards.
pub async fn a_generation_is_searched_only_after_the_switch(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let id = publish_document(context, &tenant_a, 'a', "old valve").await?;
    publish_document(context, &tenant_b, 'a', "their valve").await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.chunks().stage(id, NEW, &single_passage(context, "first new valve", NEW), context.now()).await?;
    tx.chunks().stage(id, NEW, &single_passage(context, "new valve", NEW), context.now()).await?;
    let (old_contents, new_contents) = (vec!["old valve".to_owned()], vec!["new valve".to_owned()]);
    assert_eq!(search_both(&mut *tx, OLD).await?, (old_contents.clone(), old_contents.clone()));
    assert_eq!(search_both(&mut *tx, NEW).await?, (vec![], old_contents));
    assert_eq!(tx.chunks().list_by_document(id, Classification::Restricted, 0, 9).await?.len(), 1);
    assert_eq!(tx.chunks().get_by_positions(&[(id, 0)], Classification::Restricted).await?[0].content, "old valve");
    assert_eq!(tx.chunks().model_in_use().await?.as_deref(), Some(OLD));
    assert_eq!(tx.chunks().switch_model(NEW, context.now()).await?, 0);
    assert_eq!(search_both(&mut *tx, NEW).await?, (new_contents.clone(), new_contents.clone()));
    assert_eq!(search_both(&mut *tx, OLD).await?, (vec![], new_contents));
    assert_eq!(tx.chunks().get_by_positions(&[(id, 0)], Classification::Restricted).await?[0].content, "new valve");
    assert_eq!(tx.chunks().model_in_use().await?.as_deref(), Some(NEW));
    tx.commit().await?;
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(search_both(&mut *tx, OLD).await?.0, ["their valve"]);
    assert_eq!(tx.chunks().model_in_use().await?.as_deref(), Some(OLD));
    Ok(())
}

/// Documents that failed or were never published do not block the switch.
pub async fn a_switch_waits_for_every_published_document(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let first = publish_document(context, &tenant_a, 'a', "one valve").await?;
    let second = publish_document(context, &tenant_a, 'b', "two valves").await?;
    let failed = publish_document(context, &tenant_a, 'c', "three valves").await?;
    context.insert_document(&tenant_a.ada, 'd').await?;
    let failure = DocumentFailure { code: FailureCode::Corrupt, detail: "It cannot be read.".to_owned() };
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.documents().set_status(failed, &StatusChange::Failed(failure), context.now()).await?;
    assert_eq!(tx.chunks().list_unstaged(NEW, 9).await?, [first, second]);
    assert_eq!(tx.chunks().list_unstaged(NEW, 1).await?, [first]);
    assert_eq!(tx.chunks().list_unstaged(OLD, 9).await?, []);
    tx.chunks().stage(first, NEW, &single_passage(context, "one valve", NEW), context.now()).await?;
    assert_eq!(tx.chunks().list_unstaged(NEW, 9).await?, [second]);
    assert_eq!(tx.chunks().switch_model(NEW, context.now()).await?, 1);
    assert_eq!(search_both(&mut *tx, OLD).await?.0, ["one valve", "two valves"], "a refused switch changes nothing");
    tx.chunks().stage(second, NEW, &single_passage(context, "two valves", NEW), context.now()).await?;
    assert_eq!(tx.chunks().switch_model(NEW, context.now()).await?, 0);
    assert_eq!(search_both(&mut *tx, NEW).await?.0, ["one valve", "two valves"]);
    assert_eq!(tx.chunks().list_unstaged(NEW, 9).await?, []);
    Ok(())
}

/// A document that is published again during a reindex must be staged again, and the model in use is kept until the
/// switch.
pub async fn publishing_during_a_reindex_keeps_the_model_in_use(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.chunks().model_in_use().await?, None);
    drop(tx);
    let id = publish_document(context, &tenant_a, 'a', "old valve").await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.chunks().stage(id, NEW, &single_passage(context, "stale valve", NEW), context.now()).await?;
    tx.chunks().replace(id, OLD, &single_passage(context, "read again valve", OLD), context.now()).await?;
    assert_eq!(tx.chunks().list_unstaged(NEW, 9).await?, [id]);
    assert_eq!(tx.chunks().model_in_use().await?.as_deref(), Some(OLD));
    tx.chunks().stage(id, NEW, &single_passage(context, "new valve", NEW), context.now()).await?;
    assert_eq!(tx.chunks().switch_model(NEW, context.now()).await?, 0);
    tx.chunks().stage(id, NEW, &single_passage(context, "too late", NEW), context.now()).await?;
    assert_eq!(search_both(&mut *tx, NEW).await?.0, ["new valve"]);
    // The reindex has ended, so the next publication determines the model in use.
    tx.chunks().replace(id, OLD, &single_passage(context, "back valve", OLD), context.now()).await?;
    assert_eq!(tx.chunks().model_in_use().await?.as_deref(), Some(OLD));
    let result = tx.chunks().stage(context.new_id(), NEW, &[], context.now()).await;
    assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    Ok(())
}
