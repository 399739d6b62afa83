//! Test cases for branches of conversations, finding conversations, and feedback.

use super::conversations::{append_open_turn, finished_answer, insert_conversation, new_message};
use super::{CaseError, CaseResult, TestContext, require, user_id};
use domain::conversation::{
    Conversation, ConversationFilter, ConversationPatch, FinishedAnswer, Message, MessageRole, MessageStatus, Sources,
};
use domain::feedback::Rating;
use domain::ids::MessageId;
use domain::page::PageRequest;
use domain::ports::StoreError;
use domain::role::Classification;
use domain::scope::TenantScope;
use futures::future::join_all;

/// Appends a complete message after `parent`.
async fn append(
    context: &TestContext,
    scope: &TenantScope,
    conversation: &Conversation,
    parent: Option<MessageId>,
    role: MessageRole,
    content: &str,
) -> Result<Message, CaseError> {
    let message = new_message(context.new_id(), role, content, MessageStatus::Complete);
    let mut tx = context.begin(scope).await?;
    let appended = require(tx.messages().append(conversation.id, parent, &[message], context.now()).await?)?;
    tx.commit().await?;
    require(appended.into_iter().next())
}

/// Alternative answers have the same parent. A branch is the path from the first message to a given last one.
pub async fn a_branch_leads_to_its_last_message(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let ada = &tenant_a.ada;
    let conversation = insert_conversation(context, ada, "talk").await?;
    let question = append(context, ada, &conversation, None, MessageRole::User, "one").await?;
    let first_answer = append(context, ada, &conversation, Some(question.id), MessageRole::Assistant, "two").await?;
    let second_answer = append(context, ada, &conversation, Some(question.id), MessageRole::Assistant, "three").await?;
    let follow_up = append(context, ada, &conversation, Some(first_answer.id), MessageRole::User, "four").await?;
    assert_eq!((question.parent_id, follow_up.parent_id), (None, Some(first_answer.id)));
    let mut tx = context.begin(ada).await?;
    assert_eq!(require(tx.conversations().get(conversation.id).await?)?.active_message_id, Some(follow_up.id));
    let contents = |branch: Vec<Message>| branch.into_iter().map(|message| message.content).collect::<Vec<_>>();
    let branch = tx.messages().branch(conversation.id, follow_up.id, 10).await?;
    assert_eq!(contents(branch), ["one", "two", "four"]);
    let branch = tx.messages().branch(conversation.id, second_answer.id, 1).await?;
    assert_eq!(contents(branch), ["three"], "the limit keeps the newest messages");
    let all = tx.messages().newest(conversation.id, 10).await?;
    assert_eq!(contents(all), ["one", "two", "three", "four"]);
    let patch = ConversationPatch { active_message_id: Some(second_answer.id), ..ConversationPatch::default() };
    let updated = require(tx.conversations().update(conversation.id, &patch, context.now()).await?)?;
    assert_eq!(updated.active_message_id, Some(second_answer.id));
    tx.commit().await?;
    Ok(())
}

/// A message of another conversation is rejected as parent and as active message.
pub async fn branches_stay_in_their_conversation(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let ada = &tenant_a.ada;
    let (one, other) =
        (insert_conversation(context, ada, "one").await?, insert_conversation(context, ada, "other").await?);
    let message_elsewhere = append(context, ada, &other, None, MessageRole::User, "elsewhere").await?;
    let message = new_message(context.new_id(), MessageRole::User, "here", MessageStatus::Complete);
    let mut tx = context.begin(ada).await?;
    let appended = tx.messages().append(one.id, Some(message_elsewhere.id), &[message], context.now()).await;
    assert!(matches!(appended, Err(StoreError::Conflict { .. })), "{appended:?}");
    drop(tx);
    let mut tx = context.begin(ada).await?;
    let patch = ConversationPatch { active_message_id: Some(message_elsewhere.id), ..ConversationPatch::default() };
    let updated = tx.conversations().update(one.id, &patch, context.now()).await;
    assert!(matches!(updated, Err(StoreError::Conflict { .. })), "{updated:?}");
    drop(tx);
    let mut tx = context.begin(ada).await?;
    assert_eq!(tx.messages().branch(one.id, message_elsewhere.id, 10).await?, []);
    Ok(())
}

/// Of several concurrent turns, only one starts an answer. The others store nothing.
pub async fn one_answer_is_written_at_a_time(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let conversation = insert_conversation(context, &tenant_a.ada, "talk").await?;
    let turns = (0..6).map(|_| append_open_turn(context, &tenant_a.ada, conversation.id, context.now()));
    let begun: Vec<_> = join_all(turns).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(begun, [vec![1, 2]]);
    let mut tx = context.begin(&tenant_a.ada).await?;
    let messages = tx.messages().newest(conversation.id, 10).await?;
    assert_eq!(messages.len(), 2);
    assert!(require(tx.conversations().get(conversation.id).await?)?.is_busy);
    assert!(tx.messages().finish(messages[1].id, &finished_answer("Done.")).await?);
    assert!(!require(tx.conversations().get(conversation.id).await?)?.is_busy);
    tx.commit().await?;
    append_open_turn(context, &tenant_a.ada, conversation.id, context.now()).await?;
    Ok(())
}

/// The first title is set only once, and never replaces a title that a user has set.
pub async fn only_an_untitled_conversation_gets_a_first_title(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let titled = insert_conversation(context, &tenant_a.ada, "mine").await?;
    let untitled = Conversation { id: context.new_id(), title: None, ..titled.clone() };
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.conversations().insert(&untitled).await?;
    assert!(!tx.conversations().set_first_title(titled.id, "theirs").await?);
    assert!(tx.conversations().set_first_title(untitled.id, "first").await?);
    assert!(!tx.conversations().set_first_title(untitled.id, "second").await?);
    assert_eq!(require(tx.conversations().get(untitled.id).await?)?.title.as_deref(), Some("first"));
    Ok(())
}

async fn titles(
    context: &TestContext,
    scope: &TenantScope,
    filter: &ConversationFilter,
    clearance: Classification,
) -> Result<Vec<String>, CaseError> {
    let mut tx = context.begin(scope).await?;
    let page = tx.conversations().list(filter, clearance, &PageRequest::default()).await?;
    Ok(page.items.into_iter().filter_map(|conversation| conversation.title).collect())
}

/// A conversation is found by a part of its title or of a message, ignoring case. The filter can include, exclude or
/// require archived ones.
pub async fn conversations_are_found_by_text_and_archive_state(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let ada = &tenant_a.ada;
    let pump = insert_conversation(context, ada, "Pump").await?;
    append(context, ada, &pump, None, MessageRole::User, "Which ÖLSTAND has the 100 % strainer?").await?;
    insert_conversation(context, ada, "Valve").await?;
    let archive = ConversationPatch { archived: Some(true), ..ConversationPatch::default() };
    let mut tx = context.begin(ada).await?;
    assert!(require(tx.conversations().update(pump.id, &archive, context.now()).await?)?.archived);
    tx.commit().await?;
    let found = async |archived: Option<bool>, text: Option<&str>| {
        let filter = ConversationFilter { archived, text: text.map(str::to_owned) };
        titles(context, ada, &filter, Classification::Public).await
    };
    assert_eq!(found(Some(false), None).await?, ["Valve"]);
    assert_eq!(found(Some(true), None).await?, ["Pump"]);
    assert_eq!(found(None, None).await?, ["Valve", "Pump"]);
    for text in ["pUMP", "ölstand", "100 %"] {
        assert_eq!(found(None, Some(text)).await?, ["Pump"], "{text}");
    }
    assert_eq!(found(None, Some("1%")).await?, Vec::<String>::new(), "the text is not a pattern");
    assert_eq!(found(Some(false), Some("pump")).await?, Vec::<String>::new());
    Ok(())
}

/// A search does not reveal an answer above the reader's clearance, whether by the answer's classification or by that
/// of a source.
pub async fn hidden_answers_are_not_searched(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let ada = &tenant_a.ada;
    let document = context.insert_document(ada, 'a').await?;
    let mut sources = Sources::default();
    sources.add(document.id, Classification::Public);
    for (title, classification, sources) in
        [("classified", Classification::Confidential, Sources::default()), ("sourced", Classification::Public, sources)]
    {
        let conversation = insert_conversation(context, ada, title).await?;
        append_open_turn(context, ada, conversation.id, context.now()).await?;
        let mut tx = context.begin(ada).await?;
        let answer = require(tx.messages().newest(conversation.id, 1).await?.pop())?;
        let finished = FinishedAnswer { classification, sources, ..finished_answer("The code is 4711.") };
        assert!(tx.messages().finish(answer.id, &finished).await?);
        tx.commit().await?;
    }
    let filter = ConversationFilter { archived: None, text: Some("4711".to_owned()) };
    for (clearance, expected) in [
        (Classification::Confidential, vec!["sourced", "classified"]),
        // The source document is internal now, although the answer recorded it as public.
        (Classification::Internal, vec!["sourced"]),
        (Classification::Public, vec![]),
    ] {
        assert_eq!(titles(context, ada, &filter, clearance).await?, expected, "{clearance}");
    }
    Ok(())
}

/// Users rate only answers in their own conversations. The ratings of all users of the tenant are listed.
pub async fn feedback_belongs_to_its_author_and_is_listed_for_the_tenant(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let ada = &tenant_a.ada;
    let conversation = insert_conversation(context, ada, "talk").await?;
    let question = append(context, ada, &conversation, None, MessageRole::User, "?").await?;
    let answer = append(context, ada, &conversation, Some(question.id), MessageRole::Assistant, "!").await?;
    let mut tx = context.begin(ada).await?;
    let first = require(tx.feedback().rate(answer.id, Rating::Up, None, context.now()).await?)?;
    let changed_at = context.advance_clock();
    let second = require(tx.feedback().rate(answer.id, Rating::Down, Some("wrong"), changed_at).await?)?;
    assert_eq!((second.rating, second.comment.as_deref()), (Rating::Down, Some("wrong")));
    assert_eq!((second.user_id, second.created_at), (user_id(ada)?, first.created_at));
    assert_eq!(second.updated_at, changed_at);
    assert_eq!(tx.feedback().rate(question.id, Rating::Up, None, changed_at).await?, None, "not an answer");
    tx.commit().await?;
    for other_user in [&tenant_a.bob, &tenant_b.ada] {
        let mut tx = context.begin(other_user).await?;
        assert_eq!(tx.feedback().rate(answer.id, Rating::Up, None, changed_at).await?, None);
        assert!(!tx.feedback().delete(answer.id).await?);
        tx.commit().await?;
    }
    let page = PageRequest::default();
    let mut tx = context.begin(&tenant_a.bob).await?;
    assert_eq!(tx.feedback().list(None, &page).await?.items, std::slice::from_ref(&second));
    assert_eq!(tx.feedback().list(Some(Rating::Up), &page).await?.items, []);
    drop(tx);
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.feedback().list(None, &page).await?.items, []);
    drop(tx);
    let mut tx = context.begin(ada).await?;
    assert!(tx.feedback().delete(answer.id).await?);
    assert!(!tx.feedback().delete(answer.id).await?);
    require(tx.feedback().rate(answer.id, Rating::Up, None, changed_at).await?)?;
    assert!(tx.conversations().delete(conversation.id).await?);
    assert_eq!(tx.feedback().list(None, &page).await?.items, [], "deleted with its conversation");
    Ok(())
}
