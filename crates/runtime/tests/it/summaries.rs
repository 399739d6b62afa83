//! Long conversations: a model summarizes their beginning, and later prompts contain the summary in its place.

use crate::support::Fixture;
use crate::support::model::ScriptedModel;
use crate::support::model::Step::{Finish, Text};
use crate::support::tools::ScriptedTools;
use domain::command::{BranchPoint, RetrievalMode, SendMessage, TurnQuestion};
use domain::model::PromptMessage;
use domain::role::Role;
use domain::text::MessageText;
use futures::StreamExt as _;
use runtime::chat::{ChatService, ChatSettings};
use runtime::use_case::UseCase as _;
use std::sync::Arc;

const SUMMARY: &str = "The gasket of FV-2003 was asked about; 60 Nm was answered.";

/// Prompts of at most 2,500 tokens: half of that is about four turns of [`long_question`].
fn settings() -> ChatSettings {
    ChatSettings { context_tokens: 3_000, max_output_tokens: 500, ..ChatSettings::default() }
}

fn long_question(turn: usize) -> String {
    format!("Turn {turn}: {}", "which torque has the gasket of FV-2003 got, ".repeat(24))
}

/// Five turns, after the last of which the history is summarized.
async fn five_turns(fixture: &Fixture, chat: &ChatService) {
    for turn in 1..=5 {
        fixture.ask(chat, &long_question(turn), RetrievalMode::Never).await;
    }
}

fn scripted_model(fixture: &Fixture) -> Arc<ScriptedModel> {
    let answers = (1..=5).map(|_| vec![Text("The torque is 60 Nm."), Finish]);
    fixture.model(answers.chain([vec![Text(SUMMARY), Finish], vec![Text("It is."), Finish]]))
}

fn user_texts(prompt: &[PromptMessage]) -> Vec<&str> {
    prompt
        .iter()
        .filter_map(|message| match message {
            PromptMessage::User(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_beginning_of_a_long_conversation_is_summarized_for_later_turns() {
    let fixture = Fixture::new().await;
    let model = scripted_model(&fixture);
    let chat = fixture.chat_with(&model, &ScriptedTools::returning_hits(Vec::new()), settings());
    five_turns(&fixture, &chat).await;

    let requests = model.requests();
    let [_, _, _, _, _, summary_request] = &requests[..] else { panic!("{} requests", requests.len()) };
    let [PromptMessage::System(task), PromptMessage::User(input)] = &summary_request.prompt.content()[..] else {
        panic!("{summary_request:?}")
    };
    assert!(task.starts_with("Task: summary.") && summary_request.tools.is_empty(), "{task}");
    assert!(input.contains("User: Turn 1:") && input.contains("Assistant: The torque is 60 Nm."), "{input}");
    assert!(!input.contains("Turn 5:"), "the newest turns stay as they are: {input}");
    let covering: Vec<_> = fixture.messages().await.into_iter().filter(|message| message.summary.is_some()).collect();
    assert_eq!(covering.len(), 1, "{covering:?}");

    fixture.ask(&chat, "Is that sure?", RetrievalMode::Never).await;
    let prompt = model.requests().pop().expect("a request").prompt;
    let texts = user_texts(prompt.content());
    assert!(texts[0].contains(SUMMARY), "{texts:?}");
    let covered_turns = usize::try_from(covering[0].seq / 2).expect("a small number");
    assert!(covered_turns >= 2, "{covered_turns}");
    for turn in 1..=5 {
        let is_included = texts.iter().any(|text| text.starts_with(&format!("Turn {turn}:")));
        assert_eq!(is_included, turn > covered_turns, "turn {turn}: {texts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_on_another_branch_does_not_see_the_summary_of_messages_that_it_does_not_follow() {
    let fixture = Fixture::new().await;
    let model = scripted_model(&fixture);
    let chat = fixture.chat_with(&model, &ScriptedTools::returning_hits(Vec::new()), settings());
    five_turns(&fixture, &chat).await;
    let first_answer = fixture.messages().await.into_iter().nth(1).expect("an answer");
    let question = TurnQuestion::New {
        message: MessageText::parse("Turn 2, edited").expect("a message"),
        at: BranchPoint::After(first_answer.id),
    };
    let edit = SendMessage { question, ..fixture.message_command("replaced", RetrievalMode::Never) };
    let events = chat.execute(fixture.authorize(&fixture.ada, Role::User, edit).await).await.expect("a run");
    events.collect::<Vec<_>>().await;
    fixture.wait_for_runs().await;
    let prompt = model.requests().pop().expect("a request").prompt;
    let texts = user_texts(prompt.content());
    assert!(!texts.iter().any(|text| text.contains(SUMMARY)), "{texts:?}");
    assert!(texts[0].starts_with("Turn 1:"), "{texts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_summary_leaves_the_conversation_as_it_is() {
    let fixture = Fixture::new().await;
    let answers = (1..=5).map(|_| vec![Text("The torque is 60 Nm."), Finish]);
    let no_summary = || vec![Text("  "), Finish];
    let model = fixture.model(answers.chain([no_summary(), vec![Text("It is."), Finish], no_summary()]));
    let chat = fixture.chat_with(&model, &ScriptedTools::returning_hits(Vec::new()), settings());
    five_turns(&fixture, &chat).await;
    assert!(fixture.messages().await.iter().all(|message| message.summary.is_none()));
    fixture.ask(&chat, "Is that sure?", RetrievalMode::Never).await;
    let [.., answer_request, _] = &model.requests()[..] else { panic!("too few requests") };
    assert!(user_texts(answer_request.prompt.content()).iter().any(|text| text.starts_with("Turn 5:")));
}
