//! Readings of plant systems in answers, end to end: a simulated plant, its tools, citations, exports and charts.

use crate::support::api_client::{ApiClient, answer_text};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::model::{ModelServer, Reply};
use chrono::{DateTime, TimeDelta, Utc};
use domain::ports::Clock as _;
use domain::role::Role;
use fakes::eventually_within;
use platform_server::system::SystemClock;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const QUESTION: &str = "What is the discharge pressure of P-101 now, and is that normal?";
/// A tag of the simulated plant that is good, one that is stale, one that is bad and one that is uncertain.
const GOOD: &str = "PIT-1001";
const STALE: &str = "LIT-3002";
const BAD: &str = "TT-3015B";
const UNCERTAIN: &str = "AT-2071";

/// Connects the tenant to a simulated plant and waits until its values are read.
async fn connect(app: &TestApp, tenant: &str, classification: &str) {
    let admin = app.as_admin(tenant);
    let connector = json!({
        "name": "demo", "kind": "simulator", "classification": classification, "stale_after_s": 60,
        "record": { "interval_s": 1, "keep_days": 1 },
    });
    admin.post("/v1/admin/connectors", &connector).await.expect_json(201);
    eventually_within(Duration::from_secs(30), "values are read", || async {
        let read = invoke(&admin, "plant_system_read", &json!({ "tags": [GOOD] })).await;
        (read.0 == 200).then_some(())
    })
    .await;
}

/// Invokes a tool; returns status and body.
async fn invoke(caller: &ApiClient<'_>, tool: &str, arguments: &Value) -> (u16, Value) {
    let answer = caller.post(&format!("/v1/tools/{tool}/invoke"), &json!({ "arguments": arguments })).await;
    (answer.status, answer.json())
}

fn chart_path(tag: &str) -> String {
    let format = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let now = SystemClock.now();
    let (from, to) = (format(now - TimeDelta::hours(1)), format(now));
    format!("/v1/readings/chart?tag={tag}&from={from}&to={to}&aggregate=avg")
}

fn readings(citations: &Value) -> Vec<&Value> {
    citations.as_array().expect("citations").iter().filter(|citation| citation["kind"] == "reading").collect()
}

#[tokio::test]
async fn readings_tell_quality_and_age_and_each_role_gets_what_it_may() {
    let app = TestApp::start(&[]).await;
    connect(&app, TENANT_A, "internal").await;
    let (viewer, user) = (app.as_viewer(TENANT_A), app.as_user(TENANT_A));
    let (status, found) = invoke(&viewer, "plant_tag_search", &json!({ "query": "discharge pressure P-101" })).await;
    assert_eq!((status, &found["result"]["tags"][0]["tag"]), (200, &json!(GOOD)), "{found}");
    assert_eq!(invoke(&viewer, "plant_system_read", &json!({ "tags": [GOOD] })).await.0, 403);

    let (status, read) = invoke(&user, "plant_system_read", &json!({ "tags": [GOOD, STALE, BAD, UNCERTAIN] })).await;
    assert_eq!(status, 200, "{read}");
    let [good, stale, bad, uncertain] = [0, 1, 2, 3].map(|at| &read["result"]["readings"][at]);
    assert_eq!((&good["quality"], &good["stale"], &good["unit"]), (&json!("good"), &json!(false), &json!("bar g")));
    assert!(good["value"].is_f64() && good["age_s"].as_f64() < Some(60.0), "{good}");
    assert_eq!((&good["source"], &good["classification"]), (&json!("simulator:demo"), &json!("internal")));
    assert_eq!(stale["stale"], true, "{stale}");
    assert_eq!((&bad["quality"], &bad["value"]), (&json!("bad"), &Value::Null));
    assert_eq!(uncertain["quality"], "uncertain");

    let names = |tools: Value| {
        let names = tools["data"]
            .as_array()
            .expect("tools")
            .iter()
            .map(|tool| tool["name"].as_str().expect("a name").to_owned());
        names.filter(|name| name.starts_with("plant_") && name != "plant_system_write").collect::<Vec<_>>()
    };
    assert_eq!(names(viewer.get("/v1/tools").await.expect_json(200)), ["plant_tag_search"]);
    assert_eq!(names(user.get("/v1/tools").await.expect_json(200)).len(), 3);
}

#[tokio::test]
async fn another_tenants_tags_are_as_if_they_did_not_exist() {
    let app = TestApp::start(&[]).await;
    connect(&app, TENANT_A, "internal").await;
    let foreigner = app.as_user(TENANT_B);
    let (status, found) = invoke(&foreigner, "plant_tag_search", &json!({ "query": "pressure" })).await;
    assert_eq!((status, &found["result"]["tags"]), (200, &json!([])));
    let foreign = invoke(&foreigner, "plant_system_read", &json!({ "tags": [GOOD] })).await;
    assert_eq!(foreign.0, 404, "{}", foreign.1);
    assert_eq!(foreigner.get(&chart_path(GOOD)).await.status, 404);
    let answer = foreigner.chat(&foreigner.create_conversation().await, QUESTION).await;
    assert!(readings(&answer["citations"]).is_empty(), "{answer}");
}

#[tokio::test]
async fn an_answer_without_a_model_states_the_reading_beside_the_documents() {
    let app = TestApp::start(&[]).await;
    connect(&app, TENANT_A, "internal").await;
    let user = app.as_user(TENANT_A);
    let note = "# Feedwater pumps\n\nThe normal discharge pressure of P-101 is 19.5 to 20.8 bar g.\n";
    user.ingest("p-101.md", note.as_bytes(), &[]).await;
    let conversation = user.create_conversation().await;
    let events = user.chat_events(&conversation, QUESTION).await;
    let text = answer_text(&events);
    assert!(text.contains("PIT-1001: ") && text.contains("(good, ") && text.contains("simulator:demo"), "{text}");
    assert!(text.contains("Normal: 19.5 to 20.8 bar g") && text.contains("19.5 to 20.8 bar g.\" [1]"), "{text}");
    for (name, tool) in [
        ("tool.started", "plant_tag_search"),
        ("tool.started", "plant_system_read"),
        ("tool.finished", "plant_system_read"),
    ] {
        assert!(events.iter().any(|event| event.name == name && event.data["name"] == tool), "{name} {tool}");
    }
    let cited: Vec<Value> =
        events.iter().filter(|event| event.name == "citation").map(|event| event.data.clone()).collect();
    let cited = json!(cited);
    let reading = readings(&cited)[0].clone();
    let fields = ["n", "kind", "tag", "value", "unit", "quality", "at", "source"];
    assert!(fields.iter().all(|field| !reading[*field].is_null()), "{reading}");
    let finished = &events.last().expect("events").data;
    assert_eq!(finished["unsupported"], json!([]), "{text}");

    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!(readings(&stored["messages"][1]["citations"])[0], &reading);
    let markdown = user.get(&format!("/v1/conversations/{conversation}/export?format=markdown")).await.text();
    assert!(markdown.contains(&format!("] {GOOD}: ")) && markdown.contains("(simulator:demo)"), "{markdown}");
    let mut db = SuperuserDb::connect(&app).await;
    let value = reading["value"].to_string();
    let query =
        "SELECT metadata::text AS metadata FROM audit_logs WHERE event_type IN ('tool.invocation', 'chat.response')";
    let rows = db.rows(query, &[]).await;
    assert!(rows.iter().any(|row| row.to_string().contains(GOOD)), "the audit log names the tag");
    assert!(!rows.iter().any(|row| row.to_string().contains(&value)), "and no value: {rows:?}");
}

#[tokio::test]
async fn a_question_in_german_is_answered_in_german() {
    let app = TestApp::start(&[]).await;
    connect(&app, TENANT_A, "internal").await;
    let user = app.as_user(TENANT_A);
    let question = "Wie hoch ist der Druck von P-101 jetzt, und ist das normal?";
    let answer = user.chat(&user.create_conversation().await, question).await;
    let text = answer["content"].as_str().expect("a text");
    assert!(text.contains("Aus den Anlagensystemen") && text.contains("(gut, "), "{text}");
}

#[tokio::test]
async fn a_question_about_documents_reads_nothing() {
    let app = TestApp::start(&[]).await;
    connect(&app, TENANT_A, "internal").await;
    let user = app.as_user(TENANT_A);
    let events = user.chat_events(&user.create_conversation().await, "What torque do the bolts of P-101A get?").await;
    let tools: Vec<_> =
        events.iter().filter(|event| event.name == "tool.started").map(|event| &event.data["name"]).collect();
    assert_eq!(tools, ["rag_search"]);
}

#[tokio::test]
async fn what_a_model_says_of_a_reading_is_compared_with_it() {
    let answers = [
        "The discharge pressure of P-101 is 9999 bar g [1].",
        "The level LIT-3002 is normal now [1].",
        "PIT-1001 is good [1].",
    ];
    let model = ModelServer::start(answers.map(|answer| Reply::Text(vec![answer]))).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    connect(&app, TENANT_A, "internal").await;
    let user = app.as_user(TENANT_A);
    for (question, is_listed) in
        [(QUESTION, true), ("What does LIT-3002 show now?", true), ("What does PIT-1001 show now?", false)]
    {
        let path = format!("/v1/conversations/{}/chat", user.create_conversation().await);
        let body = json!({ "message": question, "stream": false });
        let answer = user.post(&path, &body).await.expect_json(200);
        assert_eq!(readings(&answer["citations"]).len(), 1, "{answer}");
        assert_eq!(!answer["unsupported"].as_array().expect("ranges").is_empty(), is_listed, "{answer}");
    }
    let prompt = model.requests()[1].to_string();
    assert!(prompt.contains("STALE: last value"), "{prompt}");
}

#[tokio::test]
async fn a_model_reads_by_a_tool_call() {
    let call = Reply::ToolCall("plant_system_read", r#"{"tags":["PIT-1001"]}"#);
    let model = ModelServer::start([call, Reply::Text(vec!["It is good [1]."])]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    connect(&app, TENANT_A, "internal").await;
    let user = app.as_user(TENANT_A);
    let path = format!("/v1/conversations/{}/chat", user.create_conversation().await);
    let body = json!({ "message": "Look at the header, please.", "retrieval": "never", "stream": false });
    let answer = user.post(&path, &body).await.expect_json(200);
    assert_eq!(readings(&answer["citations"])[0]["tag"], GOOD, "{answer}");
    let prompt = model.requests()[1].to_string();
    assert!(prompt.contains(", good, ") && prompt.contains(" s old"), "{prompt}");
}

#[tokio::test]
async fn a_reading_is_withheld_from_who_may_no_longer_see_its_connector() {
    let app = TestApp::start(&[]).await;
    connect(&app, TENANT_A, "confidential").await;
    let (admin, user) = (app.as_admin(TENANT_A), app.caller(TENANT_A, "reader", Role::User));
    let conversation = user.create_conversation().await;
    let answer = user.chat(&conversation, QUESTION).await;
    assert_eq!(readings(&answer["citations"]).len(), 1, "{answer}");
    let me = user.get("/v1/me").await.expect_json(200);
    let path = format!("/v1/admin/users/{}", me["id"].as_str().expect("an id"));
    admin.patch(&path, &json!({ "role": "viewer" })).await.expect_json(200);
    let viewer = app.caller(TENANT_A, "reader", Role::Viewer);
    let stored = viewer.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!((&stored["messages"][1]["withheld"], &stored["messages"][1]["citations"]), (&json!(true), &json!([])));
    let (status, found) = invoke(&viewer, "plant_tag_search", &json!({ "query": "pressure" })).await;
    assert_eq!((status, &found["result"]["tags"]), (200, &json!([])), "tags of the connector are hidden, too");
}

#[tokio::test]
async fn a_chart_is_drawn_for_who_may_read_the_history() {
    let app = TestApp::start(&[]).await;
    connect(&app, TENANT_A, "internal").await;
    let user = app.as_user(TENANT_A);
    let chart = user.get(&chart_path(GOOD)).await;
    assert_eq!((chart.status, chart.header("content-type")), (200, Some("image/svg+xml")), "{}", chart.text());
    let svg = chart.text();
    assert!(svg.starts_with("<svg ") && svg.contains("PIT-1001 in bar g") && svg.contains("normal, low"), "{svg}");
    assert!(!svg.contains("<script"), "{svg}");
    app.as_viewer(TENANT_A).get(&chart_path(GOOD)).await.expect_problem(403, "forbidden_tool");
    assert_eq!(app.without_token().get(&chart_path(GOOD)).await.status, 401);
    assert_eq!(user.get(&chart_path("no-such-tag")).await.status, 404);

    let question = "How did the discharge pressure of P-101 develop in the last 2 hours?";
    let answer = user.chat(&user.create_conversation().await, question).await;
    let cited = readings(&answer["citations"]);
    let chart = cited[0]["chart"].as_str().expect("a chart");
    assert_eq!(user.get(chart).await.status, 200, "{chart}");
}

#[tokio::test]
async fn nothing_is_read_while_the_plant_mode_is_off() {
    let app = TestApp::start(&[]).await;
    connect(&app, TENANT_A, "internal").await;
    let (admin, user) = (app.as_admin(TENANT_A), app.as_user(TENANT_A));
    admin.put("/v1/admin/plant-mode", &json!({ "mode": "off", "reason": "Outage." })).await.expect_json(200);
    let body = json!({ "arguments": { "tags": [GOOD] } });
    let refused = user.post("/v1/tools/plant_system_read/invoke", &body).await;
    refused.expect_problem(503, "plant_mode");
    assert!(refused.header("retry-after").is_some());
    let answer = user.chat(&user.create_conversation().await, QUESTION).await;
    assert!(readings(&answer["citations"]).is_empty() && answer["degraded"] == true, "{answer}");
    assert!(answer["content"].as_str().is_some_and(|text| text.contains("could not be read")), "{answer}");
}

#[tokio::test]
async fn a_client_of_the_openai_api_gets_a_reading_as_an_annotation() {
    let app = TestApp::start(&[]).await;
    connect(&app, TENANT_A, "internal").await;
    let user = app.as_user(TENANT_A);
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": QUESTION }] });
    let response =
        user.request(Method::POST, "/openai/v1/chat/completions").json(&body).send().await.expect("answered");
    let answer: Value = response.json().await.expect("JSON");
    let annotations = answer["choices"][0]["message"]["annotations"].as_array().expect("annotations");
    let titles = annotations.iter().filter_map(|annotation| annotation["url_citation"]["title"].as_str());
    assert!(titles.into_iter().any(|title| title.starts_with("PIT-1001: ") && title.contains("good")), "{answer}");
}
