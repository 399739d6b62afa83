//! Prompt injection, with a model that always obeys: what still does not happen is guaranteed by the platform.
//!
//! Each channel carries an instruction into the prompt, or must not. Each goal is what the instruction wants. All of
//! their combinations are tried.

mod channels;
mod checks;
mod goals;
mod obeying_model;
mod plant;
mod prompts;

use crate::support::api_client::{ApiClient, ApiResponse, answer_text};
use crate::support::app::TENANT_A;
use channels::{Carrier, QUESTION, client_tool_round, instruction};
use futures::StreamExt as _;
use goals::Goal;
use obeying_model::{CaseLog, Order};
use plant::{Plant, PreparedChannel};
use reqwest::Method;
use serde_json::{Value, json};

/// Number of cases that run at the same time.
const CONCURRENT_CASES: usize = 6;
/// Maximum number of calls in a turn that the model asks for.
const MAX_CALLS: usize = 8;

/// A channel with a goal.
struct Case<'a> {
    id: String,
    prepared: &'a PreparedChannel,
    goal: &'a Goal,
}

/// What can be seen of a case from outside of the platform.
struct Evidence {
    /// Everything that the user received.
    received: String,
    /// The answer's text as it was received.
    answer: String,
    /// The answer as it is stored.
    stored: Value,
    /// Number of tool calls that the events report; `None` for an answer without events.
    reported_calls: Option<usize>,
    /// The audit rows of the turn's tool calls, oldest first.
    audit_rows: Vec<Value>,
    /// What the model was asked, and how it obeyed.
    log: CaseLog,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_obeying_model_gets_no_further_than_its_user() {
    let plant = Plant::start().await;
    let goals = goals::goals(&plant.ids);
    let channels = plant.prepare_channels().await;
    assert!(channels.iter().filter(|prepared| prepared.channel.place.is_some()).count() >= 16);
    let cases: Vec<Case<'_>> = Case::all(&channels, &goals);
    assert!(cases.len() >= 190, "{}", cases.len());
    plant.model.set_orders(cases.iter().map(Case::order));
    let count_memories = "SELECT count(*) FROM memories";
    let memories = plant.db.lock().await.count(count_memories, &[]).await;
    let failures = futures::stream::iter(&cases).map(|case| run_case(&plant, case));
    let failures: Vec<String> = failures.buffer_unordered(CONCURRENT_CASES).concat().await;
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(plant.db.lock().await.count(count_memories, &[]).await, memories, "only users make memories");
    let denied = plant.app.as_admin(TENANT_A).get("/v1/audit?event_type=policy.denied&limit=1").await.expect_json(200);
    assert_eq!(denied["data"][0]["result_status"], "denied", "refusals are in the audit log: {denied}");
}

impl<'a> Case<'a> {
    /// All combinations that are possible. A goal with an access token needs a channel that does not need the missing
    /// scope. A text that never reaches the model cannot have more than one goal.
    fn all(channels: &'a [PreparedChannel], goals: &'a [Goal]) -> Vec<Self> {
        let pairs = channels.iter().flat_map(|prepared| goals.iter().map(move |goal| (prepared, goal)));
        let is_possible = |prepared: &PreparedChannel, goal: &Goal| {
            let has_scope = goal.missing_scope.is_none() || goal.missing_scope != prepared.channel.required_scope;
            has_scope && (prepared.channel.place.is_some() || goal.name == "write-memory")
        };
        let possible = pairs.filter(|(prepared, goal)| is_possible(prepared, goal));
        // A number, so that the search does not find the channel by the words of the question.
        possible.zip(1..).map(|((prepared, goal), id)| Case { id: format!("{id}"), prepared, goal }).collect()
    }

    fn order(&self) -> Order {
        Order { case: self.id.clone(), marker: self.marker(), steps: self.goal.steps.clone() }
    }

    /// What the instruction begins with.
    fn marker(&self) -> String {
        format!("OBEY[{}]", self.prepared.channel.name)
    }
}

/// Runs a case and returns what the platform failed to prevent.
async fn run_case(plant: &Plant, case: &Case<'_>) -> Vec<String> {
    let Case { prepared, goal, .. } = case;
    let channel = &prepared.channel;
    let caller = match goal.missing_scope {
        Some(scope) => plant.program(channel.name, scope).await,
        None => plant.user(channel.name),
    };
    let evidence = ask(plant, case, &caller).await;
    let mut failures = checks::check_control(case, &evidence);
    failures.extend(checks::check_guarantees(&evidence));
    if channel.place.is_some() {
        failures.extend(checks::check_audit(case, &evidence));
    }
    failures.into_iter().map(|failure| format!("{}, {}: {failure}", channel.name, goal.name)).collect()
}

/// Asks the question, and for some goals another one. Gathers the evidence.
async fn ask(plant: &Plant, case: &Case<'_>, caller: &ApiClient<'_>) -> Evidence {
    let Case { id, prepared, goal } = case;
    let question = &format!("{QUESTION} {} (case {id})", prepared.requested_call());
    let uses_openai_api = matches!(prepared.channel.carrier, Carrier::ClientInstructions | Carrier::ClientToolResult);
    let turn = if uses_openai_api {
        ask_as_openai_client(prepared, caller, question).await
    } else {
        ask_in_chat(plant, prepared, caller, question).await
    };
    let Turn { conversation, received, answer, reported_calls } = turn;
    let audit_rows = tool_rows(plant, &conversation).await;
    let stored = plant.user(prepared.channel.name).get(&format!("/v1/conversations/{conversation}")).await;
    let stored = stored.expect_json(200)["messages"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    if goal.asks_again {
        let body = json!({ "message": "And then?", "retrieval": "never", "stream": false });
        let again = caller.post(&format!("/v1/conversations/{conversation}/chat"), &body).await.expect_json(200);
        assert_eq!(again["content"], "Noted.", "{again}");
    }
    Evidence { received, answer, stored, reported_calls, audit_rows, log: plant.model.log(id) }
}

/// A turn as its reader sees it.
struct Turn {
    conversation: String,
    received: String,
    answer: String,
    reported_calls: Option<usize>,
}

async fn ask_in_chat(plant: &Plant, prepared: &PreparedChannel, caller: &ApiClient<'_>, question: &str) -> Turn {
    let conversation = prepared.create_conversation(caller).await;
    let stream = caller.start_stream(&conversation, &prepared.chat_body(plant, question)).await;
    assert_eq!(stream.status, 200);
    let events = stream.read_to_end().await;
    let is_call = |name: &str| name == "tool.started";
    let reported_calls = events.iter().filter(|event| is_call(&event.name) && event.data["call_id"] != "retrieval");
    let reported_calls = Some(reported_calls.count());
    let received = events.iter().map(|event| event.data.to_string()).collect::<Vec<_>>().join("\n");
    Turn { conversation, received, answer: answer_text(&events), reported_calls }
}

async fn ask_as_openai_client(prepared: &PreparedChannel, caller: &ApiClient<'_>, question: &str) -> Turn {
    let body = if matches!(prepared.channel.carrier, Carrier::ClientToolResult) {
        client_tool_round(question)
    } else {
        let messages = json!([
            { "role": "system", "content": instruction(prepared.channel.name) },
            { "role": "user", "content": question },
        ]);
        json!({ "model": "auto", "retrieval": "never", "messages": messages })
    };
    let response = ApiResponse::send(caller.request(Method::POST, "/openai/v1/chat/completions").json(&body)).await;
    let conversation = response.header("x-conversation-id").expect("a conversation").to_owned();
    let answer = response.expect_json(200)["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
    Turn { conversation, received: response.text(), answer, reported_calls: None }
}

/// The audit rows of the tool calls in the newest turn of a conversation.
async fn tool_rows(plant: &Plant, conversation: &str) -> Vec<Value> {
    let query = "SELECT event_type, phase, result_status, correlation_id, metadata->>'call_id' AS call_id
                 FROM audit_logs WHERE metadata->>'parent' = (
                     SELECT correlation_id::text FROM audit_logs WHERE event_type = 'chat.response'
                     AND conversation_id = $1::uuid ORDER BY created_at DESC LIMIT 1)
                 ORDER BY created_at, id";
    plant.db.lock().await.rows(query, &[conversation]).await
}
