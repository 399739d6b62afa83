//! Cases on conversations, messages and memories.

use super::{CaseError, CaseResult, World, owner, some};
use chrono::TimeDelta;
use domain::conversation::{
    Citation, Conversation, ConversationPatch, FinishedAnswer, MessageRole, MessageStatus, NewMessage, Sources,
};
use domain::ids::{ChunkId, ConversationId, DocumentId, MessageId};
use domain::memory::Memory;
use domain::model::ModelChoice;
use domain::page::PageRequest;
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use futures::future::try_join_all;
use serde_json::json;
use uuid::Uuid;

async fn conversation(world: &World, scope: &TenantScope, title: &str) -> Result<Conversation, CaseError> {
    let now = world.later();
    let conversation = Conversation {
        id: world.id(),
        user_id: owner(scope)?,
        title: Some(title.to_owned()),
        model: None,
        metadata: json!({"from": "the suite"}),
        classification: Classification::Public,
        created_at: now,
        updated_at: now,
    };
    let mut tx = world.begin(scope).await?;
    tx.conversations().insert(&conversation).await?;
    tx.commit().await?;
    Ok(conversation)
}

fn said(id: MessageId, role: MessageRole, content: &str, status: MessageStatus) -> NewMessage {
    let classification = if role == MessageRole::User { Classification::Internal } else { Classification::Public };
    NewMessage { id, role, content: content.to_owned(), status, token_count: Some(3), classification }
}

async fn turn(world: &World, scope: &TenantScope, id: ConversationId, now: Timestamp) -> Result<Vec<i64>, CaseError> {
    let mut tx = world.begin(scope).await?;
    let messages = [
        said(world.id(), MessageRole::User, "What now?", MessageStatus::Complete),
        said(world.id(), MessageRole::Assistant, "", MessageStatus::Streaming),
    ];
    let appended = some(tx.messages().append(id, &messages, now).await?)?;
    tx.commit().await?;
    Ok(appended.iter().map(|message| message.seq).collect())
}

/// Keyset pagination repeats and omits nothing.
pub async fn conversations_are_listed_newest_first_page_by_page(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    for title in ["one", "two", "three"] {
        conversation(world, &plant.ada, title).await?;
    }
    let mut tx = world.begin(&plant.ada).await?;
    let first = tx.conversations().list(&some(PageRequest::new(2, None))?).await?;
    let titles = |items: &[Conversation]| items.iter().filter_map(|c| c.title.clone()).collect::<Vec<_>>();
    assert_eq!(titles(&first.items), ["three", "two"]);
    let rest = tx.conversations().list(&some(PageRequest::new(2, Some(some(first.next)?)))?).await?;
    assert_eq!((titles(&rest.items), rest.next), (vec!["one".to_owned()], None));
    Ok(())
}

/// Fields that are `None` are left unchanged.
pub async fn a_conversation_changes_only_where_the_patch_says(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let made = conversation(world, &plant.ada, "before").await?;
    let patch = ConversationPatch { model: Some(ModelChoice::Heavy), ..ConversationPatch::default() };
    let now = world.later();
    let mut tx = world.begin(&plant.ada).await?;
    let changed = tx.conversations().update(made.id, &patch, now).await?;
    let expected = Conversation { model: Some(ModelChoice::Heavy), updated_at: now, ..made.clone() };
    assert_eq!(changed.as_ref(), Some(&expected));
    tx.commit().await?;
    let mut tx = world.begin(&plant.ada).await?;
    assert_eq!(tx.conversations().get(made.id).await?, Some(expected));
    assert_eq!(tx.conversations().update(world.id(), &patch, now).await?, None);
    Ok(())
}

/// Neither another user of the tenant nor another tenant can reach it with any method.
pub async fn nobody_else_sees_a_users_conversation(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let made = conversation(world, &here.ada, "private").await?;
    turn(world, &here.ada, made.id, world.now()).await?;
    for stranger in [&here.bob, &there.ada] {
        let mut tx = world.begin(stranger).await?;
        assert_eq!(tx.conversations().get(made.id).await?, None);
        assert_eq!(tx.conversations().list(&PageRequest::default()).await?.items, []);
        assert_eq!(tx.conversations().update(made.id, &ConversationPatch::default(), world.now()).await?, None);
        assert!(!tx.conversations().delete(made.id).await?);
        assert_eq!(tx.messages().newest(made.id, 10).await?, []);
        assert_eq!(tx.messages().append(made.id, &[], world.now()).await?, None);
        tx.commit().await?;
    }
    let mut tx = world.begin(&here.ada).await?;
    assert_eq!(tx.messages().newest(made.id, 10).await?.len(), 2);
    Ok(())
}

/// The newest messages are returned in ascending order.
pub async fn messages_are_numbered_in_order_across_transactions(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let made = conversation(world, &plant.ada, "talk").await?;
    assert_eq!(turn(world, &plant.ada, made.id, world.now()).await?, [1, 2]);
    let now = world.later();
    assert_eq!(turn(world, &plant.ada, made.id, now).await?, [3, 4]);
    let mut tx = world.begin(&plant.ada).await?;
    let newest = tx.messages().newest(made.id, 3).await?;
    assert_eq!(newest.iter().map(|m| m.seq).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(some(tx.conversations().get(made.id).await?)?.updated_at, now);
    Ok(())
}

/// Many turns append at the same time.
pub async fn concurrent_turns_never_share_a_seq(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let made = conversation(world, &plant.ada, "talk").await?;
    let turns = (0..8).map(|_| turn(world, &plant.ada, made.id, world.now()));
    let mut numbers: Vec<i64> = try_join_all(turns).await?.into_iter().flatten().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
    Ok(())
}

/// The finished answer has its citations, and finishing it again changes nothing.
pub async fn an_answer_is_finished_once(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let made = conversation(world, &plant.ada, "talk").await?;
    turn(world, &plant.ada, made.id, world.now()).await?;
    let mut tx = world.begin(&plant.ada).await?;
    let open = some(tx.messages().newest(made.id, 1).await?.pop())?;
    let answer = finished("Close V-12 [1].");
    assert!(tx.messages().finish(open.id, &answer).await?);
    assert!(!tx.messages().finish(open.id, &finished("Again.")).await?);
    assert!(!tx.messages().finish(world.id(), &answer).await?);
    tx.commit().await?;
    let mut tx = world.begin(&plant.ada).await?;
    let closed = some(tx.messages().newest(made.id, 1).await?.pop())?;
    assert_eq!((closed.content, closed.status), (answer.content, MessageStatus::Complete));
    assert_eq!((closed.citations, closed.model), (answer.citations, answer.model));
    assert_eq!(closed.sources, answer.sources);
    assert!(closed.degraded, "taken from the metadata");
    Ok(())
}

/// One source that the answer cites, and one that it does not.
fn sources() -> Sources {
    let mut sources = Sources::default();
    sources.add(DocumentId::from_uuid(Uuid::nil()), Classification::Internal);
    sources.add(DocumentId::from_uuid(Uuid::max()), Classification::Confidential);
    sources
}

fn finished(content: &str) -> FinishedAnswer {
    FinishedAnswer {
        content: content.to_owned(),
        status: MessageStatus::Complete,
        classification: Classification::Confidential,
        sources: sources(),
        token_count: Some(5),
        citations: vec![Citation {
            n: 1,
            document_id: DocumentId::from_uuid(Uuid::nil()),
            doc: "sop.pdf".to_owned(),
            title: "SOP".to_owned(),
            page: Some(3),
            section: None,
            chunk_id: ChunkId::from_uuid(Uuid::nil()),
            quote: "Close V-12.".to_owned(),
            score: 0.5,
        }],
        model: Some("fast".to_owned()),
        metadata: json!({"finish_reason": "stop", "degraded": true}),
    }
}

/// Only answers that were started before the given time are affected.
pub async fn stale_answers_are_marked_as_failed(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let made = conversation(world, &plant.ada, "talk").await?;
    let then = world.now();
    turn(world, &plant.ada, made.id, then).await?;
    turn(world, &plant.ada, made.id, then + TimeDelta::minutes(10)).await?;
    let mut tx = world.begin(&plant.ada).await?;
    assert_eq!(tx.messages().fail_stale_answers(then + TimeDelta::minutes(5)).await?, 1);
    let statuses: Vec<_> = tx.messages().newest(made.id, 10).await?.iter().map(|m| m.status).collect();
    let (done, broken, open) = (MessageStatus::Complete, MessageStatus::Error, MessageStatus::Streaming);
    assert_eq!(statuses, [done, broken, done, open]);
    Ok(())
}

/// Not even the owner of the conversation can read them.
pub async fn deleting_a_conversation_deletes_its_messages(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let made = conversation(world, &plant.ada, "talk").await?;
    turn(world, &plant.ada, made.id, world.now()).await?;
    let mut tx = world.begin(&plant.ada).await?;
    assert!(tx.conversations().delete(made.id).await?);
    assert!(!tx.conversations().delete(made.id).await?);
    assert_eq!(tx.messages().newest(made.id, 10).await?, []);
    Ok(())
}

/// Without a commit, no rows are stored.
pub async fn a_dropped_transaction_is_rolled_back(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let made = conversation(world, &plant.ada, "kept").await?;
    let mut tx = world.begin(&plant.ada).await?;
    assert!(tx.conversations().delete(made.id).await?);
    drop(tx);
    let mut tx = world.begin(&plant.ada).await?;
    assert_eq!(tx.conversations().get(made.id).await?, Some(made));
    Ok(())
}

fn memory(world: &World, content: &str, importance: f64) -> Memory {
    Memory {
        id: world.id(),
        content: content.to_owned(),
        importance,
        tags: vec!["shift".to_owned()],
        classification: Classification::Internal,
        created_at: world.later(),
    }
}

/// Neither other users of the tenant nor other tenants can see them.
pub async fn memories_belong_to_one_user(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let fact = memory(world, "works nights", 0.5);
    let mut tx = world.begin(&here.ada).await?;
    tx.memories().insert(&fact).await?;
    tx.commit().await?;
    for stranger in [&here.bob, &there.ada] {
        let mut tx = world.begin(stranger).await?;
        assert_eq!(tx.memories().get(fact.id).await?, None);
        assert_eq!(tx.memories().list(&PageRequest::default()).await?.items, []);
        assert_eq!(tx.memories().most_important(world.now(), Classification::Restricted, 9).await?, []);
        assert!(!tx.memories().delete(fact.id).await?);
    }
    let mut tx = world.begin(&here.ada).await?;
    assert_eq!(tx.memories().get(fact.id).await?, Some(fact.clone()));
    assert!(tx.memories().delete(fact.id).await?);
    assert_eq!(tx.memories().get(fact.id).await?, None);
    Ok(())
}

/// Ordered by importance, then newest first.
pub async fn the_most_important_memories_come_first(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let mut tx = world.begin(&plant.ada).await?;
    for (content, importance) in [("low", 0.1), ("high", 0.9), ("high and newer", 0.9)] {
        tx.memories().insert(&memory(world, content, importance)).await?;
    }
    let first = tx.memories().most_important(world.now(), Classification::Internal, 2).await?;
    assert_eq!(first.iter().map(|m| m.content.as_str()).collect::<Vec<_>>(), ["high and newer", "high"]);
    assert_eq!(tx.memories().most_important(world.now(), Classification::Public, 2).await?, [], "above the clearance");
    let newest = tx.memories().list(&some(PageRequest::new(1, None))?).await?;
    assert_eq!(newest.items.iter().map(|m| m.content.as_str()).collect::<Vec<_>>(), ["high and newer"]);
    Ok(())
}

/// The class of a conversation is never lowered.
pub async fn a_conversation_has_the_highest_class_of_its_answers(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let made = conversation(world, &plant.ada, "talk").await?;
    for (class, whole) in [
        (Classification::Internal, Classification::Internal),
        (Classification::Restricted, Classification::Restricted),
        (Classification::Public, Classification::Restricted),
    ] {
        turn(world, &plant.ada, made.id, world.now()).await?;
        let mut tx = world.begin(&plant.ada).await?;
        let open = some(tx.messages().newest(made.id, 1).await?.pop())?;
        assert_eq!(open.classification, Classification::Public, "public until it has an answer");
        let answer = FinishedAnswer { classification: class, ..finished("x") };
        assert!(tx.messages().finish(open.id, &answer).await?);
        assert_eq!(some(tx.messages().newest(made.id, 1).await?.pop())?.classification, class);
        assert_eq!(some(tx.conversations().get(made.id).await?)?.classification, whole);
        tx.commit().await?;
    }
    Ok(())
}
