//! Test cases for memories.

use super::conversations::insert_conversation;
use super::{CaseResult, TestContext, require};
use chrono::TimeDelta;
use domain::memory::{Memory, MemoryOrigin, MemoryPatch, MemorySource, MemoryStatus, MemoryVector};
use domain::page::PageRequest;
use domain::ports::{QueryVector, TenantTx};
use domain::role::Classification;

fn new_memory(context: &TestContext, content: &str, importance: f64) -> Memory {
    let tags = vec!["shift".to_owned()];
    let now = context.advance_clock();
    let memory = Memory::explicit(context.new_id(), content.to_owned(), Classification::Internal, now);
    Memory { importance, tags, ..memory }
}

fn contents(memories: Vec<Memory>) -> Vec<String> {
    memories.into_iter().map(|memory| memory.content).collect()
}

/// Neither other users of the tenant nor other tenants can see them.
pub async fn memories_belong_to_one_user(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let adas_memory = new_memory(context, "works nights", 0.5);
    let vector = QueryVector { components: &[1.0, 0.0], model: "model" };
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.memories().insert(&adas_memory).await?;
    tx.commit().await?;
    for other_user in [&tenant_a.bob, &tenant_b.ada] {
        let (now, all) = (context.now(), Classification::Restricted);
        let mut tx = context.begin(other_user).await?;
        let vectors = [MemoryVector { memory: adas_memory.clone(), components: vec![1.0, 0.0] }];
        tx.memories().store_vectors("model", &vectors).await?;
        assert_eq!(tx.memories().get(adas_memory.id).await?, None);
        assert_eq!(tx.memories().list(None, all, &PageRequest::default()).await?.items, []);
        assert_eq!(tx.memories().most_important(now, all, 9).await?, []);
        assert_eq!(tx.memories().without_vector("model", now, all, 9).await?, []);
        assert_eq!(tx.memories().nearest(&vector, now, all, 9).await?, []);
        let patch = MemoryPatch { activate: true, ..MemoryPatch::default() };
        assert_eq!(tx.memories().update(adas_memory.id, &patch, now).await?, None);
        assert!(!tx.memories().delete(adas_memory.id).await?);
        tx.commit().await?;
    }
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.memories().nearest(&vector, context.now(), Classification::Restricted, 9).await?, []);
    assert_eq!(tx.memories().get(adas_memory.id).await?, Some(adas_memory.clone()));
    assert!(tx.memories().delete(adas_memory.id).await?);
    assert_eq!(tx.memories().get(adas_memory.id).await?, None);
    Ok(())
}

/// Memories are ordered by importance, then newest first. Expired and suggested ones are left out.
pub async fn the_most_important_memories_come_first(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    for (content, importance) in [("low", 0.1), ("high", 0.9), ("high and newer", 0.9)] {
        tx.memories().insert(&new_memory(context, content, importance)).await?;
    }
    let (now, internal) = (context.now(), Classification::Internal);
    let expired = Memory { expires_at: Some(now), ..new_memory(context, "expired", 1.0) };
    let lasting = Memory { expires_at: Some(now + TimeDelta::days(9)), ..new_memory(context, "lasting", 0.0) };
    for memory in [&expired, &lasting] {
        tx.memories().insert(memory).await?;
    }
    assert!(tx.memories().suggest(&new_memory(context, "suggested", 1.0), None).await?);
    let most_important = tx.memories().most_important(now, internal, 9).await?;
    assert_eq!(contents(most_important), ["high and newer", "high", "low", "lasting"]);
    assert_eq!(contents(tx.memories().most_important(now, internal, 2).await?), ["high and newer", "high"]);
    assert_eq!(tx.memories().most_important(now, Classification::Public, 2).await?, [], "above the clearance");
    Ok(())
}

/// The list can be limited to one status, and contains nothing above the clearance.
pub async fn memories_are_listed_by_status(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.memories().insert(&new_memory(context, "active", 0.5)).await?;
    let secret = Memory { classification: Classification::Restricted, ..new_memory(context, "secret", 0.5) };
    assert!(tx.memories().suggest(&secret, None).await?);
    assert!(tx.memories().suggest(&new_memory(context, "suggested", 0.5), None).await?);
    for (status, clearance, expected) in [
        (None, Classification::Restricted, vec!["suggested", "secret", "active"]),
        (None, Classification::Internal, vec!["suggested", "active"]),
        (Some(MemoryStatus::Active), Classification::Restricted, vec!["active"]),
        (Some(MemoryStatus::Suggested), Classification::Restricted, vec!["suggested", "secret"]),
    ] {
        let listed = tx.memories().list(status, clearance, &PageRequest::default()).await?;
        assert_eq!(contents(listed.items), expected, "{status:?} {clearance}");
    }
    let first_page = require(PageRequest::new(1, None))?;
    let newest = tx.memories().list(None, Classification::Restricted, &first_page).await?;
    assert_eq!((contents(newest.items), newest.next.is_some()), (vec!["suggested".to_owned()], true));
    Ok(())
}

/// A suggestion keeps its source if that is a conversation of the user. Duplicates, and suggestions above the maximum,
/// are not stored.
pub async fn a_suggestion_is_stored_once_with_its_source(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let conversation = insert_conversation(context, &tenant_a.ada, "talk").await?.id;
    let source = Some(MemorySource { conversation, message: context.new_id() });
    let memory = new_memory(context, "works nights", 0.5);
    let (origin, status) = (MemoryOrigin::Inferred, MemoryStatus::Suggested);
    let suggestion = Memory { source, origin, status, ..memory };
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert!(tx.memories().suggest(&suggestion, None).await?);
    assert!(!tx.memories().suggest(&suggestion, None).await?, "a repeated id");
    assert_eq!(tx.memories().get(suggestion.id).await?, Some(suggestion.clone()));
    let same_content = Memory { id: context.new_id(), ..suggestion.clone() };
    assert!(!tx.memories().suggest(&same_content, Some(9)).await?, "the same content");
    assert!(!tx.memories().suggest(&new_memory(context, "other", 0.5), Some(1)).await?, "above the maximum");
    assert!(tx.memories().suggest(&new_memory(context, "other", 0.5), Some(2)).await?);
    tx.commit().await?;

    let mut tx = context.begin(&tenant_a.bob).await?;
    let of_ada = Memory { id: context.new_id(), ..suggestion.clone() };
    assert!(tx.memories().suggest(&of_ada, None).await?);
    assert_eq!(require(tx.memories().get(of_ada.id).await?)?.source, None, "a colleague's conversation");
    tx.commit().await?;
    Ok(())
}

/// Fields that are `None` are left unchanged. New content removes the vector.
pub async fn a_memory_changes_only_where_the_patch_says(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let suggestion = Memory { status: MemoryStatus::Suggested, ..new_memory(context, "works nights", 0.5) };
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert!(tx.memories().suggest(&suggestion, None).await?);
    let now = context.advance_clock();
    let accepted = MemoryPatch { activate: true, ..MemoryPatch::default() };
    let accepted = require(tx.memories().update(suggestion.id, &accepted, now).await?)?;
    assert_eq!(accepted, Memory { status: MemoryStatus::Active, updated_at: now, ..suggestion.clone() });

    let vectors = [MemoryVector { memory: accepted.clone(), components: vec![1.0, 0.0] }];
    tx.memories().store_vectors("model", &vectors).await?;
    let expires_at = Some(now + TimeDelta::days(1));
    let tags = Some(vec!["unit".to_owned()]);
    let unrelated = MemoryPatch { importance: Some(0.9), tags, expires_at: Some(expires_at), ..MemoryPatch::default() };
    let changed = require(tx.memories().update(suggestion.id, &unrelated, now).await?)?;
    assert_eq!((changed.importance, changed.expires_at, changed.tags.join(",")), (0.9, expires_at, "unit".to_owned()));
    assert_eq!(contents_without_vector(&mut *tx, context).await?, Vec::<String>::new(), "the vector is kept");

    let new_content = MemoryPatch { content: Some("works days".to_owned()), ..MemoryPatch::default() };
    let changed = require(tx.memories().update(suggestion.id, &new_content, now).await?)?;
    assert_eq!((changed.content.as_str(), changed.expires_at), ("works days", expires_at));
    assert_eq!(contents_without_vector(&mut *tx, context).await?, ["works days"]);
    tx.memories().store_vectors("model", &vectors).await?;
    assert_eq!(
        contents_without_vector(&mut *tx, context).await?,
        ["works days"],
        "a vector of the old content is not stored"
    );
    let without_expiry = MemoryPatch { expires_at: Some(None), ..MemoryPatch::default() };
    assert_eq!(require(tx.memories().update(suggestion.id, &without_expiry, now).await?)?.expires_at, None);
    Ok(())
}

async fn contents_without_vector(
    tx: &mut dyn TenantTx,
    context: &TestContext,
) -> Result<Vec<String>, super::CaseError> {
    let found = tx.memories().without_vector("model", context.now(), Classification::Restricted, 9).await?;
    Ok(contents(found))
}

/// Only active memories that have not expired are found, and only by a vector of the same model.
pub async fn memories_are_found_by_their_vectors(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let now = context.now();
    let expired = Memory { expires_at: Some(now), ..new_memory(context, "expired", 0.5) };
    let secret = Memory { classification: Classification::Restricted, ..new_memory(context, "secret", 0.5) };
    let suggested = new_memory(context, "suggested", 0.5);
    let (near, far) = (new_memory(context, "near", 0.1), new_memory(context, "far", 0.9));
    for memory in [&expired, &secret, &near, &far] {
        tx.memories().insert(memory).await?;
    }
    assert!(tx.memories().suggest(&suggested, None).await?);
    assert_eq!(
        contents_without_vector(&mut *tx, context).await?,
        ["far", "secret", "near"],
        "active memories that have not expired"
    );
    let vector = |memory: &Memory, components: [f32; 2]| MemoryVector {
        memory: memory.clone(),
        components: components.to_vec(),
    };
    let vectors = [
        vector(&expired, [1.0, 0.0]),
        vector(&secret, [1.0, 0.0]),
        vector(&suggested, [1.0, 0.0]),
        vector(&near, [0.8, 0.6]),
        vector(&far, [0.0, 1.0]),
    ];
    tx.memories().store_vectors("model", &vectors).await?;
    let query = QueryVector { components: &[1.0, 0.0], model: "model" };
    let (internal, all) = (Classification::Internal, Classification::Restricted);
    assert_eq!(contents(tx.memories().nearest(&query, now, internal, 9).await?), ["near", "far"]);
    assert_eq!(contents(tx.memories().nearest(&query, now, all, 2).await?), ["secret", "near"]);
    let other_model = QueryVector { components: &[1.0, 0.0, 0.0], model: "other" };
    assert_eq!(tx.memories().nearest(&other_model, now, all, 9).await?, []);
    Ok(())
}
