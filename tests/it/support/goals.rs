//! Goals whose planner and agents are a scripted model.

use crate::support::api_client::{ApiClient, SseEvent};
use crate::support::app::TestApp;
use crate::support::model::{ModelServer, Reply, RequestedCall};
use crate::support::plant::text;
use fakes::eventually_within;
use serde_json::{Value, json};
use std::time::Duration;

pub const TIMEOUT: Duration = Duration::from_secs(40);

pub fn step(id: &str, agent: &str, instruction: &str, depends_on: &[&str]) -> Value {
    json!({ "id": id, "title": format!("Title of {id}"), "agent": agent, "instruction": instruction,
            "depends_on": depends_on })
}

pub fn plan(steps: &[Value]) -> String {
    format!("Here is the plan:\n```json\n{}\n```", json!({ "steps": steps }))
}

pub fn say(text: impl Into<String>) -> Reply {
    Reply::TextAndToolCalls { text: text.into(), calls: Vec::new() }
}

pub fn call(name: &str, arguments: &Value) -> Reply {
    let call = RequestedCall { name: name.to_owned(), arguments: arguments.to_string() };
    Reply::TextAndToolCalls { text: String::new(), calls: vec![call] }
}

pub fn messages(request: &Value) -> Vec<Value> {
    request["messages"].as_array().expect("messages").clone()
}

pub fn is_planning(request: &Value) -> bool {
    request["messages"][0]["content"].as_str().is_some_and(|system| system.starts_with("Task: plan."))
}

/// The first line of the task of a step, without the note that no passage was found.
pub fn task(request: &Value) -> String {
    let mut newest_first = messages(request).into_iter().rev();
    let last = newest_first.find(|message| message["role"] == "user");
    let last = last.map(|message| text(&message["content"])).unwrap_or_default();
    let mut lines = last.lines().filter(|line| !line.is_empty() && !line.starts_with("The documents were searched"));
    lines.next().unwrap_or_default().to_owned()
}

pub fn has_tool_result(request: &Value) -> bool {
    messages(request).iter().any(|message| message["role"] == "tool")
}

/// Starts an app whose planner answers with these steps, and whose agents answer by their request.
pub async fn app_with(
    steps: Vec<Value>,
    agents: impl Fn(&Value) -> Reply + Send + Sync + 'static,
) -> (TestApp, ModelServer) {
    let planned = plan(&steps);
    let model =
        ModelServer::start_with_request_fn(
            move |request| {
                if is_planning(request) { say(planned.clone()) } else { agents(request) }
            },
        )
        .await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    (app, model)
}

pub async fn create(caller: &ApiClient<'_>, approval: &str) -> String {
    let body = json!({ "objective": "Compare the limits.", "approval": approval });
    let created = caller.post("/v1/goals", &body).await.expect_json(201);
    assert_eq!(created["status"], "planning", "{created}");
    text(&created["id"])
}

pub async fn read(caller: &ApiClient<'_>, id: &str) -> Value {
    caller.get(&format!("/v1/goals/{id}")).await.expect_json(200)
}

pub async fn wait_for(caller: &ApiClient<'_>, id: &str, status: &str) -> Value {
    eventually_within(TIMEOUT, &format!("goal {id} is {status}"), || async {
        let goal = read(caller, id).await;
        assert!(
            goal["status"] == status
                || !["succeeded", "failed", "cancelled"].contains(&goal["status"].as_str().expect("")),
            "{goal}"
        );
        (goal["status"] == status).then_some(goal)
    })
    .await
}

pub fn step_of<'a>(goal: &'a Value, id: &str) -> &'a Value {
    goal["plan"]["steps"].as_array().and_then(|steps| steps.iter().find(|step| step["id"] == id)).expect("the step")
}

pub async fn approve(caller: &ApiClient<'_>, id: &str) -> Value {
    let goal = wait_for(caller, id, "awaiting_approval").await;
    let body = json!({ "version": goal["plan"]["version"] });
    caller.post(&format!("/v1/goals/{id}/approve"), &body).await.expect_json(200)
}

pub async fn events(caller: &ApiClient<'_>, id: &str, after: u64) -> Vec<SseEvent> {
    caller.stream_goal_events(id, after).await.read_to_end().await
}
