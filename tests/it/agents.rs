//! Agents over HTTP: who has which, what a chat hands to them, and what an approval of a plan covers.

use crate::support::api_client::SseEvent;
use crate::support::app::TestApp;
use crate::support::goals::{
    TIMEOUT, app_with, approve, call, create, has_tool_result, read, say, step, step_of, task, wait_for,
};
use crate::support::model::Reply;
use crate::support::plant::text;
use fakes::eventually_within;
use serde_json::{Value, json};

#[tokio::test]
async fn agents_are_listed_with_what_they_may_do_and_administered_by_name() {
    let app = TestApp::shared().await;
    app.create_tenant("agents").await;
    let (admin, viewer) = (app.as_admin("agents"), app.as_viewer("agents"));
    let listed = viewer.get("/v1/agents").await.expect_json(200);
    let names: Vec<_> = listed["data"].as_array().expect("agents").iter().map(|agent| text(&agent["name"])).collect();
    assert_eq!(names, ["document_analyst", "procedure_lookup", "calculator", "plant_analyst"]);
    let plant_analyst = &listed["data"][3];
    assert_eq!(plant_analyst["tools"], json!(["plant_tag_search", "calculator"]), "viewers read no values");
    assert!(text(&plant_analyst["instructions_digest"]).starts_with("sha256:"));
    let agent = json!({ "name": "seal_expert", "description": "Knows seals.", "instructions": "Name the plan.",
        "tools": ["rag_search"], "model": "fast" });
    let with = |field: &str, value: Value| {
        let mut changed = agent.clone();
        changed[field] = value;
        changed
    };
    viewer.post("/v1/admin/agents", &agent).await.expect_problem(403, "policy_denied");
    admin.post("/v1/admin/agents", &with("name", json!("calculator"))).await.expect_problem(409, "conflict");
    admin.post("/v1/admin/agents", &with("name", json!("Bad Name"))).await.expect_problem(422, "validation");
    admin.post("/v1/admin/agents", &with("tools", json!(["no_such_tool"]))).await.expect_problem(422, "validation");
    let created = admin.post("/v1/admin/agents", &agent).await.expect_json(201);
    admin.post("/v1/admin/agents", &agent).await.expect_problem(409, "conflict");
    let patch = json!({ "instructions": "Name the API plan." });
    let changed = admin.patch("/v1/admin/agents/seal_expert", &patch).await.expect_json(200);
    assert_ne!(changed["instructions_digest"], created["instructions_digest"]);
    assert_eq!(viewer.get("/v1/agents").await.expect_json(200)["data"][4]["name"], "seal_expert");
    admin.patch("/v1/admin/agents/calculator", &patch).await.expect_problem(409, "conflict");
    let rows = admin.get("/v1/audit?event_type=admin.agent_changed").await.expect_json(200);
    assert!(!rows.to_string().contains("Name the API plan."), "digests only");
    assert!(rows.to_string().contains(&text(&changed["instructions_digest"])), "{rows}");
    assert_eq!(admin.delete("/v1/admin/agents/seal_expert").await.status, 204);
    admin.delete("/v1/admin/agents/seal_expert").await.expect_problem(404, "not_found");
}

/// A simple question with `agent: "auto"` is one model call; a calculation goes to the calculator, and a question of
/// several parts to specialists, whose outputs the assistant gets.
#[tokio::test]
async fn a_chat_hands_parts_to_specialists_only_where_there_are_any() {
    let parts =
        vec![step("limit", "document_analyst", "Find the limit.", &[]), step("sum", "calculator", "2 + 2", &["limit"])];
    let (app, model) = app_with(parts, |request| match task(request).as_str() {
        "Find the limit." => say("The limit is 4711 bar."),
        "2 + 2" | "17.5% of 2480" if !has_tool_result(request) => {
            call("calculator", &json!({ "expression": task(request) }))
        }
        "2 + 2" => say("Four."),
        "17.5% of 2480" => say("434"),
        _ => say("The answer."),
    })
    .await;
    app.create_tenant("delegating").await;
    let caller = app.as_user("delegating");
    let ask = async |message: &str, agent: &str| {
        let conversation = caller.create_conversation().await;
        let body = json!({ "message": message, "agent": agent, "retrieval": "never" });
        caller.start_stream(&conversation, &body).await.read_to_end().await
    };
    let names = |events: &[SseEvent]| events.iter().map(|event| event.name.clone()).collect::<Vec<_>>();

    let simple = ask("Which bolts does P-101 have?", "auto").await;
    assert_eq!(model.requests().len(), 1, "one model call");
    assert!(!names(&simple).contains(&"step.started".to_owned()));

    let sum = ask("17.5% of 2480", "auto").await;
    let started = sum.iter().find(|event| event.name == "step.started").expect("a step");
    assert_eq!(started.data["agent"], "calculator");
    let finished = sum.iter().find(|event| event.name == "step.finished").expect("its end");
    assert_eq!((&finished.data["step_id"], &finished.data["status"]), (&started.data["step_id"], &json!("succeeded")));

    let several = ask("Find the limit and then calculate its double.", "auto").await;
    let steps: Vec<_> = several.iter().filter(|event| event.name == "step.finished").collect();
    assert_eq!(steps.len(), 2, "{:?}", names(&several));
    assert!(steps.iter().all(|event| event.data["status"] == "succeeded"), "{steps:?}");
    let last = model.requests().pop().expect("a request").to_string();
    assert!(last.contains("The limit is 4711 bar.") && last.contains("Four."), "{last}");

    let conversation = caller.create_conversation().await;
    let unknown = json!({ "message": "Hello", "agent": "nobody" });
    let path = format!("/v1/conversations/{conversation}/chat");
    caller.post(&path, &unknown).await.expect_problem(422, "validation");
}

/// An administrator who changes an agent after its plan was approved does not change what the user approved.
#[tokio::test]
async fn an_agent_that_changes_after_the_approval_needs_a_retry_by_the_user() {
    let steps = vec![step("a", "document_analyst", "Do alpha.", &[]), step("b", "seal_expert", "Do bravo.", &["a"])];
    let (app, model) = app_with(steps, |request| match task(request).as_str() {
        "Do alpha." => Reply::PauseUntilResumed("Alpha ", "done."),
        _ => say("Bravo done."),
    })
    .await;
    app.create_tenant("changing").await;
    let (admin, user) = (app.as_admin("changing"), app.as_user("changing"));
    let agent = json!({ "name": "seal_expert", "description": "Knows seals.", "instructions": "Name the plan.",
        "tools": ["rag_search"], "model": "auto" });
    admin.post("/v1/admin/agents", &agent).await.expect_json(201);
    let id = create(&user, "required").await;
    approve(&user, &id).await;
    eventually_within(TIMEOUT, "the first step runs", || async {
        let goal = read(&user, &id).await;
        (step_of(&goal, "a")["status"] == "running").then_some(())
    })
    .await;
    let patch = json!({ "tools": ["rag_search", "document_read"] });
    admin.patch("/v1/admin/agents/seal_expert", &patch).await.expect_json(200);
    model.resume_one_reply();
    let failed = wait_for(&user, &id, "failed").await;
    assert_eq!(step_of(&failed, "a")["status"], "succeeded", "{failed}");
    assert_eq!(step_of(&failed, "b")["error"]["code"], "agent_changed", "{failed}");
    user.post(&format!("/v1/goals/{id}/steps/b/retry"), &json!({})).await.expect_json(200);
    let goal = wait_for(&user, &id, "succeeded").await;
    assert_eq!(text(&goal["result"]), "Bravo done.");
}

/// The parts of a question share the limit of tool calls; who worked on it, and by which instructions, is audited.
#[tokio::test]
async fn the_parts_of_a_question_share_the_limit_of_tool_calls() {
    let parts = vec![
        step("one", "document_analyst", "Look for one.", &[]),
        step("two", "procedure_lookup", "Look for two.", &["one"]),
    ];
    // Each part asks for as many calls as it gets.
    let (app, _model) = app_with(parts, |request| match task(request).as_str() {
        "Look for one." | "Look for two." if request["tools"].is_array() => {
            call("document_list", &json!({ "query": "seal" }))
        }
        _ => say("Looked."),
    })
    .await;
    app.create_tenant("sharing").await;
    let user = app.as_user("sharing");
    let conversation = user.create_conversation().await;
    let body =
        json!({ "message": "Find the limit and then calculate its double.", "agent": "auto", "retrieval": "never" });
    let events = user.start_stream(&conversation, &body).await.read_to_end().await;
    let calls = events.iter().filter(|event| event.name == "tool.started").count();
    assert_eq!(calls, 8, "{:?}", events.iter().map(|event| &event.name).collect::<Vec<_>>());
    let rows = app.as_admin("sharing").get("/v1/audit?event_type=chat.response").await.expect_json(200);
    let agents = &rows["data"][0]["metadata"]["agents"];
    for agent in ["document_analyst", "procedure_lookup"] {
        assert!(text(&agents[agent]).starts_with("sha256:"), "{rows}");
    }
}
