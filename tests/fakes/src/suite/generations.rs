//! Cases on passages of two embedding models: both are stored, but only one of them is searched.

use super::search::contents;
use super::{CaseError, CaseResult, Plant, World, owner};
use domain::document::{DocumentFailure, FailureCode, NewChunk, StatusChange};
use domain::error::{Classify, ErrorKind};
use domain::ids::DocumentId;
use domain::ports::TenantTx;
use domain::role::Classification;
use domain::search::{SearchFilters, SearchScope};

const OLD: &str = "old-2d";
const NEW: &str = "new-3d";

/// A single passage, embedded with one of the models.
fn passages(world: &World, content: &str, model: &str) -> Vec<NewChunk> {
    vec![NewChunk {
        id: world.id(),
        chunk_index: 0,
        content: content.to_owned(),
        context: String::new(),
        token_count: 1,
        page: None,
        section: None,
        embedding: query(model),
        terms: None,
    }]
}

/// A unit vector of the model's dimension.
fn query(model: &str) -> Vec<f32> {
    if model == OLD { vec![1.0, 0.0] } else { vec![1.0, 0.0, 0.0] }
}

async fn publish(world: &World, plant: &Plant, sha: char, content: &str) -> Result<DocumentId, CaseError> {
    let new = world.new_document(owner(&plant.ada)?, sha);
    let mut tx = world.begin(&plant.ada).await?;
    tx.documents().insert(&new, Classification::Restricted, world.later()).await?;
    let ready = StatusChange::Ready { title: None, page_count: None, chunk_count: 1, warnings: Vec::new() };
    tx.documents().advance(new.id, &ready, world.now()).await?;
    tx.chunks().replace(new.id, OLD, &passages(world, content, OLD), world.now()).await?;
    tx.commit().await?;
    Ok(new.id)
}

/// Contents found for `valve` by vectors of `model`, and by lexical search.
async fn found(tx: &mut dyn TenantTx, model: &str) -> Result<(Vec<String>, Vec<String>), CaseError> {
    let scope = SearchScope { filters: SearchFilters::default(), clearance: Classification::Restricted };
    let near = tx.chunks().nearest(&query(model), model, &scope, 9).await?;
    let lexical = tx.chunks().lexical("valve", &scope, 9).await?;
    let (mut near, mut lexical) = (contents(tx, &near).await?, contents(tx, &lexical).await?);
    near.sort_unstable();
    lexical.sort_unstable();
    Ok((near, lexical))
}

/// Searches use the old passages until the switch, and only the new ones afterwards.
pub async fn a_generation_is_searched_only_after_the_switch(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let id = publish(world, &here, 'a', "old valve").await?;
    publish(world, &there, 'a', "their valve").await?;
    let mut tx = world.begin(&here.ada).await?;
    tx.chunks().stage(id, NEW, &passages(world, "first new valve", NEW), world.now()).await?;
    tx.chunks().stage(id, NEW, &passages(world, "new valve", NEW), world.now()).await?;
    let (old, new) = (vec!["old valve".to_owned()], vec!["new valve".to_owned()]);
    assert_eq!(found(&mut *tx, OLD).await?, (old.clone(), old.clone()));
    assert_eq!(found(&mut *tx, NEW).await?, (vec![], old));
    assert_eq!(tx.chunks().of_document(id, Classification::Restricted, 0, 9).await?.len(), 1);
    assert_eq!(tx.chunks().at_positions(&[(id, 0)], Classification::Restricted).await?[0].content, "old valve");
    assert_eq!(tx.chunks().model_in_use().await?.as_deref(), Some(OLD));
    assert_eq!(tx.chunks().switch_to(NEW, world.now()).await?, 0);
    assert_eq!(found(&mut *tx, NEW).await?, (new.clone(), new.clone()));
    assert_eq!(found(&mut *tx, OLD).await?, (vec![], new));
    assert_eq!(tx.chunks().at_positions(&[(id, 0)], Classification::Restricted).await?[0].content, "new valve");
    assert_eq!(tx.chunks().model_in_use().await?.as_deref(), Some(NEW));
    tx.commit().await?;
    let mut tx = world.begin(&there.ada).await?;
    assert_eq!(found(&mut *tx, OLD).await?.0, ["their valve"]);
    assert_eq!(tx.chunks().model_in_use().await?.as_deref(), Some(OLD));
    Ok(())
}

/// Documents that failed or were never published do not block the switch.
pub async fn a_switch_waits_for_every_published_document(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let first = publish(world, &plant, 'a', "one valve").await?;
    let second = publish(world, &plant, 'b', "two valves").await?;
    let broken = publish(world, &plant, 'c', "three valves").await?;
    world.document(&plant.ada, 'd').await?;
    let failure = DocumentFailure { code: FailureCode::Corrupt, detail: "It cannot be read.".to_owned() };
    let mut tx = world.begin(&plant.ada).await?;
    tx.documents().advance(broken, &StatusChange::Failed(failure), world.now()).await?;
    assert_eq!(tx.chunks().unstaged(NEW, 9).await?, [first, second]);
    assert_eq!(tx.chunks().unstaged(NEW, 1).await?, [first]);
    assert_eq!(tx.chunks().unstaged(OLD, 9).await?, []);
    tx.chunks().stage(first, NEW, &passages(world, "one valve", NEW), world.now()).await?;
    assert_eq!(tx.chunks().unstaged(NEW, 9).await?, [second]);
    assert_eq!(tx.chunks().switch_to(NEW, world.now()).await?, 1);
    assert_eq!(found(&mut *tx, OLD).await?.0, ["one valve", "two valves"], "the switch has changed nothing");
    tx.chunks().stage(second, NEW, &passages(world, "two valves", NEW), world.now()).await?;
    assert_eq!(tx.chunks().switch_to(NEW, world.now()).await?, 0);
    assert_eq!(found(&mut *tx, NEW).await?.0, ["one valve", "two valves"]);
    assert_eq!(tx.chunks().unstaged(NEW, 9).await?, []);
    Ok(())
}

/// A document that is published again during a reindex must be staged again, and the model in use is kept until the
/// switch.
pub async fn publishing_during_a_reindex_keeps_the_model_in_use(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let mut tx = world.begin(&plant.ada).await?;
    assert_eq!(tx.chunks().model_in_use().await?, None);
    drop(tx);
    let id = publish(world, &plant, 'a', "old valve").await?;
    let mut tx = world.begin(&plant.ada).await?;
    tx.chunks().stage(id, NEW, &passages(world, "stale valve", NEW), world.now()).await?;
    tx.chunks().replace(id, OLD, &passages(world, "read again valve", OLD), world.now()).await?;
    assert_eq!(tx.chunks().unstaged(NEW, 9).await?, [id]);
    assert_eq!(tx.chunks().model_in_use().await?.as_deref(), Some(OLD));
    tx.chunks().stage(id, NEW, &passages(world, "new valve", NEW), world.now()).await?;
    assert_eq!(tx.chunks().switch_to(NEW, world.now()).await?, 0);
    tx.chunks().stage(id, NEW, &passages(world, "too late", NEW), world.now()).await?;
    assert_eq!(found(&mut *tx, NEW).await?.0, ["new valve"]);
    // No reindex is running any more, so the next publication determines the model in use.
    tx.chunks().replace(id, OLD, &passages(world, "back valve", OLD), world.now()).await?;
    assert_eq!(tx.chunks().model_in_use().await?.as_deref(), Some(OLD));
    let gone = tx.chunks().stage(world.id(), NEW, &[], world.now()).await;
    assert_eq!(gone.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    Ok(())
}
