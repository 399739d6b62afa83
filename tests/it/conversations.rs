//! Conversations over HTTP: branches, one answer at a time, titles, lists, exports and feedback.

use crate::support::api_client::{ApiClient, ApiResponse};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply, SUMMARY, TITLE};
use domain::role::Role;
use fakes::eventually_within;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const MISSING_ID: &str = "00000000-0000-7000-8000-00000000dead";

/// An app that uses this model server for chat.
async fn start_app(model: &ModelServer) -> TestApp {
    TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await
}

/// Sends a message without retrieval and returns the answer.
async fn ask(user: &ApiClient<'_>, conversation: &str, body: Value) -> Value {
    send(user, conversation, body).await.expect_json(200)
}

async fn send(user: &ApiClient<'_>, conversation: &str, mut body: Value) -> ApiResponse {
    body["stream"] = json!(false);
    body["retrieval"] = json!("never");
    user.post(&format!("/v1/conversations/{conversation}/chat"), &body).await
}

async fn put(user: &ApiClient<'_>, path: &str, body: &Value) -> ApiResponse {
    ApiResponse::send(user.request(Method::PUT, path).json(body)).await
}

async fn messages(user: &ApiClient<'_>, conversation: &str, query: &str) -> Vec<Value> {
    let transcript = user.get(&format!("/v1/conversations/{conversation}{query}")).await.expect_json(200);
    transcript["messages"].as_array().expect("messages").clone()
}

fn contents(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["content"].as_str().expect("text")).collect()
}

/// The contents of the messages in a request to the model, without the system message.
fn prompt_contents(request: &Value) -> Vec<&str> {
    let messages = request["messages"].as_array().expect("messages").iter();
    messages.filter(|message| message["role"] != "system").filter_map(|message| message["content"].as_str()).collect()
}

#[tokio::test]
async fn an_answer_is_regenerated_and_a_question_edited_as_siblings() {
    let replies = ["A1", "A2", "A1 again", "A of the edit", "A of a new start"].map(|text| Reply::Text(vec![text]));
    let model = ModelServer::start(replies).await;
    let app = start_app(&model).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    ask(&user, &conversation, json!({ "message": "Q1" })).await;
    ask(&user, &conversation, json!({ "message": "Q2" })).await;
    let linear = messages(&user, &conversation, "").await;
    assert_eq!(contents(&linear), ["Q1", "A1", "Q2", "A2"]);
    let ids: Vec<_> = linear.iter().map(|message| message["id"].clone()).collect();
    let parents: Vec<_> = linear.iter().map(|message| message["parent_id"].clone()).collect();
    assert_eq!(parents, [Value::Null, ids[0].clone(), ids[1].clone(), ids[2].clone()]);

    let regenerated = ask(&user, &conversation, json!({ "regenerate": true, "parent_id": ids[0] })).await;
    assert_eq!(contents(&messages(&user, &conversation, "").await), ["Q1", "A1 again"]);
    let body = json!({ "message": "Q2, edited", "parent_id": ids[1] });
    ask(&user, &conversation, body).await;
    assert_eq!(contents(&messages(&user, &conversation, "").await), ["Q1", "A1", "Q2, edited", "A of the edit"]);
    ask(&user, &conversation, json!({ "message": "Q1, edited", "parent_id": null })).await;
    let edited_start = messages(&user, &conversation, "").await;
    assert_eq!(contents(&edited_start), ["Q1, edited", "A of a new start"]);
    assert_eq!(edited_start[0]["parent_id"], Value::Null);

    // The prompt of each turn contains only the branch that leads to it.
    let requests = model.requests();
    assert_eq!(prompt_contents(&requests[2]), ["Q1"]);
    assert_eq!(prompt_contents(&requests[3]), ["Q1", "A1", "Q2, edited"]);
    assert_eq!(prompt_contents(&requests[4]), ["Q1, edited"]);

    let all = messages(&user, &conversation, "?branches=all").await;
    assert_eq!(all.len(), 9, "four turns of two messages each, and one regenerated answer");
    let path = format!("/v1/conversations/{conversation}");
    let patched = user.patch(&path, &json!({ "active_message_id": regenerated["message_id"] })).await.expect_json(200);
    assert_eq!(patched["active_message_id"], regenerated["message_id"]);
    assert_eq!(contents(&messages(&user, &conversation, "").await), ["Q1", "A1 again"]);
}

#[tokio::test]
async fn a_turn_with_an_invalid_parent_is_refused() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let (conversation, other_conversation) = (user.create_conversation().await, user.create_conversation().await);
    ask(&user, &conversation, json!({ "message": "Hello" })).await;
    let answer = ask(&user, &other_conversation, json!({ "message": "Hello" })).await;
    let own_messages = messages(&user, &conversation, "").await;
    for invalid_id in [&answer["message_id"], &json!(MISSING_ID)] {
        for body in [
            json!({ "message": "Hi", "parent_id": invalid_id }),
            json!({ "regenerate": true, "parent_id": invalid_id }),
        ] {
            send(&user, &conversation, body).await.expect_problem(404, "not_found");
        }
        let patch = json!({ "active_message_id": invalid_id });
        user.patch(&format!("/v1/conversations/{conversation}"), &patch).await.expect_problem(404, "not_found");
    }
    for (body, pointer) in [
        (json!({ "regenerate": true, "parent_id": own_messages[1]["id"] }), "/parent_id"),
        (json!({ "regenerate": true }), "/parent_id"),
        (json!({ "regenerate": true, "parent_id": null }), "/parent_id"),
        (json!({ "regenerate": true, "parent_id": own_messages[0]["id"], "message": "Hi" }), "/message"),
        (json!({ "parent_id": own_messages[1]["id"] }), "/message"),
    ] {
        let problem = send(&user, &conversation, body.clone()).await.expect_problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(messages(&user, &conversation, "?branches=all").await, own_messages, "nothing was stored");
    user.get(&format!("/v1/conversations/{conversation}?branches=some")).await.expect_problem(422, "validation");
}

#[tokio::test]
async fn a_second_turn_is_refused_at_every_server_while_an_answer_is_written() {
    let model = ModelServer::start([Reply::PauseUntilResumed("First ", "second."), Reply::Text(vec!["Next."])]).await;
    let app = start_app(&model).await;
    let replica = app.start_replica(&[("LITELLM_BASE_URL", &model.url), ("SERVICE_TYPE", "api")]).await;
    let user = app.as_user(TENANT_A);
    let replica_user = replica.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let mut stream = user.start_stream(&conversation, &json!({ "message": "Q1", "retrieval": "never" })).await;
    stream.read_until("message.delta").await;
    for caller in [&user, &replica_user] {
        send(caller, &conversation, json!({ "message": "Q2" })).await.expect_problem(409, "conversation_busy");
        let question = messages(caller, &conversation, "").await[0]["id"].clone();
        let regeneration = json!({ "regenerate": true, "parent_id": question });
        send(caller, &conversation, regeneration).await.expect_problem(409, "conversation_busy");
    }
    let other = replica_user.create_conversation().await;
    assert_eq!(
        ask(&replica_user, &other, json!({ "message": "Q" })).await["content"],
        "Next.",
        "another conversation is not busy"
    );
    model.resume_one_reply();
    stream.read_to_end().await;
    assert_eq!(contents(&messages(&replica_user, &conversation, "?branches=all").await), ["Q1", "First second."]);
    model.queue_replies([Reply::Text(vec!["Then."])]);
    assert_eq!(ask(&replica_user, &conversation, json!({ "message": "Q2" })).await["content"], "Then.");
}

#[tokio::test]
async fn only_one_of_several_concurrent_turns_is_answered() {
    let model = ModelServer::start_with_default(Reply::PauseUntilResumed("Once", ".")).await;
    let app = start_app(&model).await;
    let replica = app.start_replica(&[("LITELLM_BASE_URL", &model.url), ("SERVICE_TYPE", "api")]).await;
    let (user, replica_user) = (app.as_user(TENANT_A), replica.as_user(TENANT_A));
    let conversation = user.create_conversation().await;
    let turns = [&user, &replica_user, &user, &replica_user, &user, &replica_user]
        .map(|caller| send(caller, &conversation, json!({ "message": "Q" })));
    // The model finishes its answer only after the other turns have been refused.
    let mut statuses = turns.into_iter().collect::<FuturesUnordered<_>>().map(|response| response.status);
    let refused: Vec<_> = statuses.by_ref().take(5).collect().await;
    assert_eq!(refused, [409; 5]);
    model.resume_one_reply();
    assert_eq!(statuses.next().await, Some(200));
    assert_eq!(contents(&messages(&user, &conversation, "?branches=all").await), ["Q", "Once."]);
}

#[tokio::test]
async fn an_answer_of_a_dead_process_does_not_block_its_conversation() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "widow", Role::User);
    let conversation = user.create_conversation().await;
    let answer = ask(&user, &conversation, json!({ "message": "Q1" })).await;
    let mut db = SuperuserDb::connect(app).await;
    let message = answer["message_id"].as_str().expect("an id");
    // The state that a process leaves behind when it is killed while it writes an answer.
    let reopen_answer =
        "UPDATE messages SET status = 'streaming', metadata = '{}', instance = $2::uuid WHERE id = $1::uuid";
    assert_eq!(db.execute(reopen_answer, &[message, MISSING_ID]).await, 1);
    ask(&user, &conversation, json!({ "message": "Q2" })).await;
    let stored = messages(&user, &conversation, "").await;
    let statuses: Vec<_> = stored.iter().map(|message| message["status"].as_str().expect("a status")).collect();
    assert_eq!(statuses, ["complete", "error", "complete", "complete"]);
    assert_eq!(stored[1]["content"], answer["content"], "the partial answer is kept");
}

#[tokio::test]
async fn an_untitled_conversation_gets_a_title_from_the_model_after_its_first_answer() {
    let model = ModelServer::start_with_default(Reply::Text(vec!["Weekly."])).await;
    let app = start_app(&model).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation_with(&json!({})).await;
    ask(&user, &conversation, json!({ "message": "How often is the strainer cleaned?" })).await;
    let title = eventually_within(Duration::from_secs(10), "a title", || async {
        let stored_conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
        stored_conversation["title"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(title, TITLE);
    ask(&user, &conversation, json!({ "message": "And the other one?" })).await;
    let titled = user.post("/v1/conversations", &json!({ "title": "Mine" })).await.expect_json(201);
    ask(&user, titled["id"].as_str().expect("an id"), json!({ "message": "Hello" })).await;
    let requests = model.title_requests();
    assert_eq!(requests.len(), 1, "one request, and only for the untitled conversation");
    assert!(requests[0].get("tools").is_none_or(Value::is_null), "{}", requests[0]);
    assert_eq!(prompt_contents(&requests[0]), ["How often is the strainer cleaned?"]);
    let count_calls = "SELECT count(*) FROM model_calls WHERE conversation_id = $1::uuid";
    assert_eq!(
        SuperuserDb::connect(&app).await.count(count_calls, &[&conversation]).await,
        3,
        "two answers and one title"
    );
}

#[tokio::test]
async fn without_a_model_the_title_is_the_beginning_of_the_question() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation_with(&json!({})).await;
    let question = "Which bolts hold the casing of the pump P-101, and which torque do they get when it is hot?";
    ask(&user, &conversation, json!({ "message": question })).await;
    let stored_conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    let title = stored_conversation["title"].as_str().expect("a title");
    let beginning = title.strip_suffix('…').expect("it is cut");
    assert!(title.chars().count() <= 80 && question[beginning.len()..].starts_with(' '), "{title}");
}

#[tokio::test]
async fn conversations_are_archived_renamed_and_found() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "librarian", Role::User);
    let conversation = user.create_conversation().await;
    ask(&user, &conversation, json!({ "message": "Is ZEBRA-77 a valve?" })).await;
    let path = format!("/v1/conversations/{conversation}");
    let renamed = user.patch(&path, &json!({ "title": "Größe of things", "archived": true })).await.expect_json(200);
    assert_eq!((&renamed["title"], &renamed["archived"]), (&json!("Größe of things"), &json!(true)));
    let listed = async |caller: &ApiClient<'_>, query: &str| {
        let list = caller.get(&format!("/v1/conversations{query}")).await.expect_json(200);
        list["data"].as_array().expect("a list").len()
    };
    for (query, count) in [
        ("", 0),
        ("?archived=false", 0),
        ("?archived=true", 1),
        ("?archived=all", 1),
        ("?archived=all&q=zebra-77", 1),
        ("?archived=all&q=GR%C3%96SSE%20of", 0),
        ("?archived=all&q=GR%C3%96%C3%9FE%20of", 1),
        ("?archived=all&q=zebra%25", 0),
        ("?q=zebra-77", 0),
    ] {
        assert_eq!(listed(&user, query).await, count, "{query}");
    }
    for other in [app.caller(TENANT_A, "peeper", Role::Admin), app.caller(TENANT_B, "librarian", Role::User)] {
        assert_eq!(listed(&other, "?archived=all&q=zebra-77").await, 0);
    }
    user.get("/v1/conversations?archived=perhaps").await.expect_problem(422, "validation");
    user.get("/v1/conversations?q=").await.expect_problem(422, "validation");
    user.patch(&path, &json!({ "archived": false })).await.expect_json(200);
    assert_eq!(listed(&user, "").await, 1);
}

#[tokio::test]
async fn a_conversation_is_exported_as_markdown_and_json() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "exporter", Role::User);
    user.ingest("x-9007.md", &files::note("X-9007"), &[]).await;
    let conversation = user.create_conversation().await;
    let answer = user.chat(&conversation, "How often is the strainer of X-9007 cleaned?").await;
    let question = messages(&user, &conversation, "").await[0]["id"].clone();
    ask(&user, &conversation, json!({ "regenerate": true, "parent_id": question })).await;
    let path = format!("/v1/conversations/{conversation}");
    user.patch(&path, &json!({ "title": "Süßes/Saures", "active_message_id": answer["message_id"] })).await;

    let markdown = user.get(&format!("{path}/export?format=markdown")).await;
    assert_eq!((markdown.status, markdown.header("content-type")), (200, Some("text/markdown; charset=utf-8")));
    let disposition = markdown.header("content-disposition").expect("an attachment");
    assert!(
        disposition.starts_with("attachment; ") && disposition.contains("S%C3%BC%C3%9Fes-Saures.md"),
        "{disposition}"
    );
    let text = markdown.text();
    assert!(text.starts_with("# Süßes/Saures\n\n## You, "), "{text}");
    for part in ["strainer of X-9007 cleaned?", answer["content"].as_str().expect("text"), "- [1] x-9007.md"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let export = user.get(&format!("{path}/export?format=json")).await;
    assert!(export.header("content-disposition").is_some_and(|value| value.contains("Saures.json")));
    let export = export.expect_json(200);
    assert_eq!(export["messages"].as_array().map(Vec::len), Some(3), "all branches");
    assert_eq!(export, user.get(&format!("{path}?branches=all")).await.expect_json(200));
    user.get(&format!("{path}/export?format=pdf")).await.expect_problem(422, "validation");
    app.as_admin(TENANT_A).get(&format!("{path}/export")).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn an_answer_is_rated_by_its_reader_and_listed_for_admins_without_content() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "critic", Role::Viewer);
    let conversation = user.create_conversation().await;
    let answer = ask(&user, &conversation, json!({ "message": "Is the secret word ANTELOPE?" })).await;
    let id = answer["message_id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/messages/{id}/feedback");
    put(&user, &path, &json!({ "rating": "up" })).await.expect_json(200);
    let rated = put(&user, &path, &json!({ "rating": "down", "comment": " Not helpful. " })).await.expect_json(200);
    assert_eq!((&rated["rating"], &rated["comment"]), (&json!("down"), &json!("Not helpful.")));
    for invalid in [json!({}), json!({ "rating": "sideways" }), json!({ "rating": "up", "comment": " " })] {
        assert_eq!(put(&user, &path, &invalid).await.status, 422, "{invalid}");
    }
    let question = messages(&user, &conversation, "").await[0]["id"].as_str().expect("an id").to_owned();
    put(&user, &format!("/v1/messages/{question}/feedback"), &json!({ "rating": "up" }))
        .await
        .expect_problem(409, "conflict");

    let admin = app.as_admin(TENANT_A);
    for caller in [&admin, &app.as_user(TENANT_A), &app.caller(TENANT_B, "critic", Role::Admin)] {
        put(caller, &path, &json!({ "rating": "up" })).await.expect_problem(404, "not_found");
        caller.delete(&path).await.expect_problem(404, "not_found");
    }
    let item = json!({ "message_id": id, "rating": "down", "comment": "Not helpful." });
    let listed = admin.get("/v1/admin/feedback?rating=down&limit=200").await.expect_json(200);
    assert!(listed["data"].as_array().expect("a list").contains(&item), "{listed}");
    assert!(!listed.to_string().contains("ANTELOPE"));
    for query in ["?rating=up", ""] {
        let other_tenants_feedback =
            app.as_admin(TENANT_B).get(&format!("/v1/admin/feedback{query}")).await.expect_json(200);
        assert!(!other_tenants_feedback.to_string().contains(&id), "another tenant's feedback is not listed");
    }
    user.get("/v1/admin/feedback").await.expect_problem(403, "policy_denied");
    assert_eq!(user.delete(&path).await.status, 204);
    user.delete(&path).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_long_conversation_is_continued_from_the_summary_of_its_beginning() {
    let model = ModelServer::start_with_default(Reply::Text(vec!["Weekly."])).await;
    let settings = [("LITELLM_BASE_URL", model.url.as_str()), ("PLATFORM__CHAT__CONTEXT_TOKENS", "3000")];
    let app = TestApp::start(&settings).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    // Prompts have at most 1,976 tokens; the history of four questions has more than half of that.
    for turn in 1..=5 {
        let question = format!("Turn {turn}: {}", "how often is the strainer cleaned, ".repeat(26));
        ask(&user, &conversation, json!({ "message": question })).await;
    }
    let find_summary = || async {
        let query = "SELECT seq FROM messages WHERE summary IS NOT NULL";
        SuperuserDb::connect(&app).await.rows(query, &[]).await.pop()
    };
    eventually_within(Duration::from_secs(10), "a stored summary", find_summary).await;
    let requests = model.summary_requests();
    assert!(prompt_contents(&requests[0])[0].contains("User: Turn 1:"), "{requests:?}");
    assert_eq!(requests[0]["tools"], Value::Null);

    ask(&user, &conversation, json!({ "message": "Are you sure?" })).await;
    let prompt = model.requests().pop().expect("a request");
    let contents = prompt_contents(&prompt);
    assert!(contents[0].contains(SUMMARY), "{contents:?}");
    assert!(!contents.iter().any(|content| content.starts_with("Turn 1:")), "{contents:?}");
    assert!(contents.iter().any(|content| content.starts_with("Turn 5:")), "{contents:?}");
    assert_eq!(messages(&user, &conversation, "").await.len(), 12, "the reader sees the messages themselves");
}

#[tokio::test]
async fn the_instructions_of_a_plant_are_in_its_system_messages_only() {
    let model = ModelServer::start_with_default(Reply::Text(vec!["Yes."])).await;
    let app = start_app(&model).await;
    let instructions = "Name the shift supervisor's number: 4711.";
    app.as_admin(TENANT_A).patch("/v1/admin/settings", &json!({ "instructions": instructions })).await.expect_json(200);
    let mut systems = Vec::new();
    for tenant in [TENANT_A, TENANT_B] {
        let user = app.as_user(tenant);
        let conversation = user.create_conversation().await;
        ask(&user, &conversation, json!({ "message": "Is it safe?" })).await;
        systems.push(model.requests().pop().expect("a request")["messages"][0]["content"].to_string());
    }
    assert!(systems[0].contains(instructions) && !systems[1].contains("4711"), "{systems:?}");
    let changes = app.as_admin(TENANT_A).get("/v1/audit?event_type=admin.settings_changed").await.text();
    assert!(changes.contains(r#""instructions":{"chars":41}"#) && !changes.contains("4711"), "{changes}");
}
