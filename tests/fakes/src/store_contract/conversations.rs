//! Test cases for conversations and messages.

use super::{CaseError, CaseResult, TestContext, require, user_id};
use chrono::TimeDelta;
use domain::conversation::{
    Citation, Conversation, ConversationFilter, ConversationPatch, DocumentCitation, FinishedAnswer, MessageRole,
    MessageStatus, NewMessage, ReadingCitation, Sources, TextRange,
};
use domain::ids::{ChunkId, ConversationId, DocumentId, MessageId};
use domain::model::TierChoice;
use domain::page::PageRequest;
use domain::plant::{Quality, TagValue};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use futures::future::try_join_all;
use serde_json::json;
use uuid::Uuid;

pub(super) async fn insert_conversation(
    context: &TestContext,
    scope: &TenantScope,
    title: &str,
) -> Result<Conversation, CaseError> {
    let now = context.advance_clock();
    let conversation = Conversation {
        id: context.new_id(),
        user_id: user_id(scope)?,
        title: Some(title.to_owned()),
        model: None,
        metadata: json!({"source": "suite"}),
        classification: Classification::Public,
        archived: false,
        active_message_id: None,
        is_busy: false,
        team_id: scope.team(),
        created_at: now,
        updated_at: now,
    };
    let mut tx = context.begin(scope).await?;
    tx.conversations().insert(&conversation).await?;
    tx.commit().await?;
    Ok(conversation)
}

pub(super) fn new_message(id: MessageId, role: MessageRole, content: &str, status: MessageStatus) -> NewMessage {
    let classification = if role == MessageRole::User { Classification::Internal } else { Classification::Public };
    NewMessage { id, role, content: content.to_owned(), status, token_count: Some(3), classification }
}

/// Appends a question and an unfinished answer to the active branch; returns their sequence numbers.
pub(super) async fn append_open_turn(
    context: &TestContext,
    scope: &TenantScope,
    id: ConversationId,
    now: Timestamp,
) -> Result<Vec<i64>, CaseError> {
    let mut tx = context.begin(scope).await?;
    let parent = require(tx.conversations().get(id).await?)?.active_message_id;
    let messages = [
        new_message(context.new_id(), MessageRole::User, "What now?", MessageStatus::Complete),
        new_message(context.new_id(), MessageRole::Assistant, "", MessageStatus::Streaming),
    ];
    let appended = require(tx.messages().append(id, parent, &messages, now).await?)?;
    tx.commit().await?;
    Ok(appended.iter().map(|message| message.seq).collect())
}

/// Appends a question and a complete answer as a new branch without a parent; returns their sequence numbers.
async fn append_complete_turn(
    context: &TestContext,
    scope: &TenantScope,
    id: ConversationId,
    now: Timestamp,
) -> Result<Vec<i64>, CaseError> {
    let mut tx = context.begin(scope).await?;
    let messages = [
        new_message(context.new_id(), MessageRole::User, "What now?", MessageStatus::Complete),
        new_message(context.new_id(), MessageRole::Assistant, "Wait.", MessageStatus::Complete),
    ];
    let appended = require(tx.messages().append(id, None, &messages, now).await?)?;
    tx.commit().await?;
    Ok(appended.iter().map(|message| message.seq).collect())
}

/// Keyset pagination returns each conversation exactly once.
pub async fn conversations_are_listed_newest_first_page_by_page(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    for title in ["one", "two", "three"] {
        insert_conversation(context, &tenant_a.ada, title).await?;
    }
    let mut tx = context.begin(&tenant_a.ada).await?;
    let filter = ConversationFilter::default();
    let first_page =
        tx.conversations().list(&filter, Classification::Restricted, &require(PageRequest::new(2, None))?).await?;
    let titles = |items: &[Conversation]| items.iter().filter_map(|c| c.title.clone()).collect::<Vec<_>>();
    assert_eq!(titles(&first_page.items), ["three", "two"]);
    let next = require(PageRequest::new(2, Some(require(first_page.next)?)))?;
    let second_page = tx.conversations().list(&filter, Classification::Restricted, &next).await?;
    assert_eq!((titles(&second_page.items), second_page.next), (vec!["one".to_owned()], None));
    Ok(())
}

/// Fields that are `None` are left unchanged.
pub async fn a_conversation_changes_only_where_the_patch_says(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new_conversation = insert_conversation(context, &tenant_a.ada, "before").await?;
    let patch = ConversationPatch { model: Some(TierChoice::Heavy), ..ConversationPatch::default() };
    let now = context.advance_clock();
    let mut tx = context.begin(&tenant_a.ada).await?;
    let changed = tx.conversations().update(new_conversation.id, &patch, now).await?;
    let expected = Conversation { model: Some(TierChoice::Heavy), updated_at: now, ..new_conversation.clone() };
    assert_eq!(changed.as_ref(), Some(&expected));
    tx.commit().await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.conversations().get(new_conversation.id).await?, Some(expected));
    assert_eq!(tx.conversations().update(context.new_id(), &patch, now).await?, None);
    Ok(())
}

/// No method returns or changes it for another user of the tenant or for another tenant.
pub async fn nobody_else_sees_a_users_conversation(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let new_conversation = insert_conversation(context, &tenant_a.ada, "private").await?;
    append_open_turn(context, &tenant_a.ada, new_conversation.id, context.now()).await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let owned = require(tx.conversations().get(new_conversation.id).await?)?;
    drop(tx);
    for other_user in [&tenant_a.bob, &tenant_b.ada] {
        let mut tx = context.begin(other_user).await?;
        assert_eq!(tx.conversations().get(new_conversation.id).await?, None);
        assert_eq!(
            tx.conversations()
                .list(&ConversationFilter::default(), Classification::Restricted, &PageRequest::default())
                .await?
                .items,
            []
        );
        assert_eq!(
            tx.conversations().update(new_conversation.id, &ConversationPatch::default(), context.now()).await?,
            None
        );
        assert!(!tx.conversations().delete(new_conversation.id).await?);
        assert_eq!(tx.messages().newest(new_conversation.id, 10).await?, []);
        assert_eq!(tx.messages().append(new_conversation.id, None, &[], context.now()).await?, None);
        let last = require(owned.active_message_id)?;
        assert_eq!(tx.messages().get(last).await?, None);
        assert_eq!(tx.messages().branch(new_conversation.id, last, 10).await?, []);
        assert!(!tx.conversations().set_first_title(new_conversation.id, "theirs").await?);
        tx.commit().await?;
    }
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.messages().newest(new_conversation.id, 10).await?.len(), 2);
    Ok(())
}

/// The newest messages are returned in ascending order.
pub async fn messages_are_numbered_in_order_across_transactions(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new_conversation = insert_conversation(context, &tenant_a.ada, "talk").await?;
    assert_eq!(append_complete_turn(context, &tenant_a.ada, new_conversation.id, context.now()).await?, [1, 2]);
    let now = context.advance_clock();
    assert_eq!(append_complete_turn(context, &tenant_a.ada, new_conversation.id, now).await?, [3, 4]);
    let mut tx = context.begin(&tenant_a.ada).await?;
    let newest = tx.messages().newest(new_conversation.id, 3).await?;
    assert_eq!(newest.iter().map(|m| m.seq).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(require(tx.conversations().get(new_conversation.id).await?)?.updated_at, now);
    Ok(())
}

/// Many turns append at the same time.
pub async fn concurrent_turns_never_share_a_seq(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new_conversation = insert_conversation(context, &tenant_a.ada, "talk").await?;
    let turns = (0..8).map(|_| append_complete_turn(context, &tenant_a.ada, new_conversation.id, context.now()));
    let mut numbers: Vec<i64> = try_join_all(turns).await?.into_iter().flatten().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
    Ok(())
}

/// The finished answer has its citations, and finishing it again changes nothing.
pub async fn an_answer_is_finished_once(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new_conversation = insert_conversation(context, &tenant_a.ada, "talk").await?;
    append_open_turn(context, &tenant_a.ada, new_conversation.id, context.now()).await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let open_answer = require(tx.messages().newest(new_conversation.id, 1).await?.pop())?;
    let answer = finished_answer("Close V-12 [1].");
    assert!(tx.messages().finish(open_answer.id, &answer).await?);
    assert!(!tx.messages().finish(open_answer.id, &finished_answer("Again.")).await?);
    assert!(!tx.messages().finish(context.new_id(), &answer).await?);
    tx.commit().await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let stored_answer = require(tx.messages().newest(new_conversation.id, 1).await?.pop())?;
    assert_eq!((stored_answer.content, stored_answer.status), (answer.content, MessageStatus::Complete));
    assert_eq!((stored_answer.citations, stored_answer.model), (answer.citations, answer.model));
    assert_eq!(stored_answer.sources, answer.sources);
    assert!(stored_answer.degraded, "read from the metadata");
    assert_eq!(stored_answer.unsupported_statements, [TextRange { start: 3, end: 9 }]);
    Ok(())
}

/// One source that the answer cites, and one that it does not.
fn sources() -> Sources {
    let mut sources = Sources::default();
    sources.add(DocumentId::from_uuid(Uuid::nil()), Classification::Internal);
    sources.add(DocumentId::from_uuid(Uuid::max()), Classification::Confidential);
    sources
}

fn reading_citation() -> Citation {
    Citation::Reading(ReadingCitation {
        n: 2,
        tag: "PIT-1001".to_owned(),
        value: TagValue::number(4.6),
        unit: Some("bar".to_owned()),
        quality: Quality::Good,
        at: Timestamp::UNIX_EPOCH,
        source: "simulator:demo".to_owned(),
        stale: true,
        classification: Classification::Confidential,
        series: None,
    })
}

pub(super) fn finished_answer(content: &str) -> FinishedAnswer {
    FinishedAnswer {
        content: content.to_owned(),
        status: MessageStatus::Complete,
        classification: Classification::Confidential,
        sources: sources(),
        token_count: Some(5),
        citations: vec![
            Citation::Document(DocumentCitation {
                n: 1,
                document_id: DocumentId::from_uuid(Uuid::nil()),
                file_name: "sop.pdf".to_owned(),
                title: "SOP".to_owned(),
                page: Some(3),
                section: None,
                chunk_id: ChunkId::from_uuid(Uuid::nil()),
                quote: "Close V-12.".to_owned(),
                score: 0.5,
            }),
            reading_citation(),
        ],
        model: Some("fast".to_owned()),
        metadata: json!({"finish_reason": "stop", "degraded": true, "unsupported": [{"start": 3, "end": 9}]}),
    }
}

/// Only answers that were started before the given time are marked. If the process is alive after all, it can still
/// finish its answer.
pub async fn abandoned_answers_are_marked_as_failed(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let abandoned = insert_conversation(context, &tenant_a.ada, "abandoned").await?;
    let busy = insert_conversation(context, &tenant_a.ada, "busy").await?;
    let abandoned_since = context.now();
    append_open_turn(context, &tenant_a.ada, abandoned.id, abandoned_since).await?;
    append_open_turn(context, &tenant_a.ada, busy.id, abandoned_since + TimeDelta::minutes(10)).await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.messages().fail_abandoned_answers(abandoned_since + TimeDelta::minutes(5)).await?, 1);
    let failed = require(tx.messages().newest(abandoned.id, 1).await?.pop())?;
    assert_eq!(failed.status, MessageStatus::Error);
    assert_eq!(require(tx.messages().newest(busy.id, 1).await?.pop())?.status, MessageStatus::Streaming);
    assert!(!require(tx.conversations().get(abandoned.id).await?)?.is_busy);
    assert!(require(tx.conversations().get(busy.id).await?)?.is_busy);
    tx.commit().await?;
    append_open_turn(context, &tenant_a.ada, abandoned.id, context.now()).await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert!(tx.messages().finish(failed.id, &finished_answer("Late.")).await?);
    assert_eq!(require(tx.messages().get(failed.id).await?)?.content, "Late.");
    Ok(())
}

/// Afterwards not even the owner of the conversation can read them.
pub async fn deleting_a_conversation_deletes_its_messages(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new_conversation = insert_conversation(context, &tenant_a.ada, "talk").await?;
    append_open_turn(context, &tenant_a.ada, new_conversation.id, context.now()).await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert!(tx.conversations().delete(new_conversation.id).await?);
    assert!(!tx.conversations().delete(new_conversation.id).await?);
    assert_eq!(tx.messages().newest(new_conversation.id, 10).await?, []);
    Ok(())
}

/// Without a commit, no rows are stored.
pub async fn a_dropped_transaction_is_rolled_back(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new_conversation = insert_conversation(context, &tenant_a.ada, "kept").await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert!(tx.conversations().delete(new_conversation.id).await?);
    drop(tx);
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.conversations().get(new_conversation.id).await?, Some(new_conversation));
    Ok(())
}

/// The classification of a conversation is never lowered.
pub async fn a_conversation_has_the_highest_classification_of_its_answers(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let new_conversation = insert_conversation(context, &tenant_a.ada, "talk").await?;
    for (answer_classification, conversation_classification) in [
        (Classification::Internal, Classification::Internal),
        (Classification::Restricted, Classification::Restricted),
        (Classification::Public, Classification::Restricted),
    ] {
        append_open_turn(context, &tenant_a.ada, new_conversation.id, context.now()).await?;
        let mut tx = context.begin(&tenant_a.ada).await?;
        let open_answer = require(tx.messages().newest(new_conversation.id, 1).await?.pop())?;
        assert_eq!(open_answer.classification, Classification::Public, "an unfinished answer is public");
        let answer = FinishedAnswer { classification: answer_classification, ..finished_answer("x") };
        assert!(tx.messages().finish(open_answer.id, &answer).await?);
        assert_eq!(
            require(tx.messages().newest(new_conversation.id, 1).await?.pop())?.classification,
            answer_classification
        );
        assert_eq!(
            require(tx.conversations().get(new_conversation.id).await?)?.classification,
            conversation_classification
        );
        tx.commit().await?;
    }
    Ok(())
}
