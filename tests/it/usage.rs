//! The ledger of model calls, and budgets, over HTTP.

use crate::support::api_client::ApiClient;
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{MODEL_NAME, ModelServer, Reply};
use domain::role::Role;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use std::time::Duration;

async fn user_id(caller: &ApiClient<'_>) -> String {
    caller.get("/v1/me").await.expect_json(200)["id"].as_str().expect("an id").to_owned()
}

fn chat_body() -> Value {
    json!({ "message": "How often?", "stream": false, "retrieval": "never" })
}

/// The numbers of tokens that a tenant has spent and has reserved.
async fn spent_and_reserved_tokens(db: &mut SuperuserDb, tenant: &str) -> (i64, i64) {
    let spent_query = "SELECT coalesce(sum(input_tokens + output_tokens), 0)::bigint FROM model_calls
                 WHERE metered AND tenant_id = (SELECT id FROM tenants WHERE slug = $1)";
    let reserved_query = "SELECT coalesce(sum(tokens), 0)::bigint FROM budget_reservations
                WHERE tenant_id = (SELECT id FROM tenants WHERE slug = $1)";
    (db.count(spent_query, &[tenant]).await, db.count(reserved_query, &[tenant]).await)
}

/// Twenty concurrent turns of four users, with a budget for about five. The model uses all tokens that a turn may use.
#[tokio::test]
async fn parallel_turns_never_spend_more_than_the_budget() {
    const TURNS: usize = 20;
    const BUDGET: i64 = 13_000;
    let model = ModelServer::start((0..TURNS).map(|_| Reply::PauseThenReportMaxUsage("Every 14 days."))).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    app.set_quotas(TENANT_A, &json!({ "tokens_per_day": BUDGET })).await;
    let users: Vec<_> = (0..4).map(|n| app.caller(TENANT_A, &format!("parallel-{n}"), Role::User)).collect();
    let conversations = join_all((0..TURNS).map(|n| users[n % 4].create_conversation())).await;
    let mut turns: FuturesUnordered<_> = conversations
        .iter()
        .enumerate()
        .map(|(n, id)| {
            let user = users[n % 4].clone();
            async move { user.post(&format!("/v1/conversations/{id}/chat"), &chat_body()).await }
        })
        .collect();
    let mut db = SuperuserDb::connect(&app).await;
    let mut answers = Vec::new();
    // Refused turns are answered at once; the others wait for the model, whose request count is polled here.
    while answers.len() + model.requests().len() < TURNS {
        tokio::select! {
            answer = turns.next() => answers.extend(answer),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
    assert!(answers.iter().all(|answer| answer.status == 429), "no turn can be finished yet: {answers:?}");
    let started_turns = model.requests().len();
    assert!((4..=8).contains(&started_turns), "{started_turns} turns started");
    let (spent, reserved) = spent_and_reserved_tokens(&mut db, TENANT_A).await;
    assert!(
        spent == 0 && reserved <= BUDGET && reserved > BUDGET - 1_000,
        "{reserved} of {BUDGET} tokens are reserved"
    );
    let usage = app.as_admin(TENANT_A).get("/v1/usage").await.expect_json(200);
    assert_eq!(usage["budgets"]["tenant"]["tokens_per_day"]["reserved"], json!(reserved));

    while answers.len() < TURNS {
        model.resume_one_reply();
        tokio::select! {
            answer = turns.next() => answers.extend(answer),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
    let (spent, reserved) = spent_and_reserved_tokens(&mut db, TENANT_A).await;
    assert!(spent <= BUDGET && reserved == 0, "{spent} of {BUDGET} tokens are spent, {reserved} are reserved");
    assert!(spent > BUDGET / 2, "the turns must use most of the budget: {spent}");
    let (served, refusals): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refusals.len()), (started_turns, TURNS - started_turns));
    for answer in refusals {
        let problem = answer.expect_problem(429, "quota_exceeded");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("tokens_per_day")), "{problem}");
        assert_eq!(answer.header("retry-after"), Some("10"), "other turns have reserved the budget");
    }
    let usage = app.as_admin(TENANT_A).get("/v1/usage").await.expect_json(200);
    let budget = &usage["budgets"]["tenant"]["tokens_per_day"];
    assert_eq!((&budget["spent"], &budget["limit"], &budget["reserved"]), (&json!(spent), &json!(BUDGET), &json!(0)));
    assert_eq!(app.as_admin(TENANT_B).get("/v1/usage").await.expect_json(200)["totals"]["calls"], 0);
}

#[tokio::test]
async fn each_user_has_their_own_budget_and_reservations_of_dead_processes_expire() {
    let model = ModelServer::start((0..3).map(|_| Reply::Text(vec!["Every 14 days."]))).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    app.set_quotas(TENANT_A, &json!({ "user_tokens_per_day": 2_000, "soft_percent": 4 })).await;
    let (first_user, second_user) = (app.as_user(TENANT_A), app.caller(TENANT_A, "other", Role::User));
    let (first_conversation, second_conversation) =
        (first_user.create_conversation().await, second_user.create_conversation().await);
    first_user.chat(&first_conversation, "How often?").await;
    // A turn is refused if its shortest prompt and reply, about 500 tokens, do not fit into what is left.
    app.set_quotas(TENANT_A, &json!({ "user_tokens_per_day": 300, "soft_percent": 4 })).await;
    let refusal = first_user.post(&format!("/v1/conversations/{first_conversation}/chat"), &chat_body()).await;
    let problem = refusal.expect_problem(429, "quota_exceeded");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("user_tokens_per_day")), "{problem}");
    let budgets = first_user.get("/v1/usage").await.expect_json(200)["budgets"].clone();
    assert!(budgets["tenant"].is_null());
    let user_budget = &budgets["user"]["tokens_per_day"];
    assert_eq!(
        (&user_budget["spent"], &user_budget["limit"], &user_budget["soft_exceeded"]),
        (&json!(28), &json!(300), &json!(true))
    );

    app.set_quotas(TENANT_A, &json!({ "user_tokens_per_day": 900 })).await;
    let mut db = SuperuserDb::connect(&app).await;
    let insert_reservation =
        "INSERT INTO budget_reservations SELECT gen_random_uuid(), tenant_id, id, 800, 0, now(), now() + interval '1 h'
                FROM users WHERE id = $1::uuid";
    assert_eq!(
        db.execute(insert_reservation, &[&user_id(&second_user).await]).await,
        1,
        "the reservation of a process that died"
    );
    let path = format!("/v1/conversations/{second_conversation}/chat");
    assert_eq!(second_user.post(&path, &chat_body()).await.header("retry-after"), Some("10"));
    db.execute("UPDATE budget_reservations SET expires_at = now()", &[]).await;
    second_user.post(&path, &chat_body()).await.expect_json(200);
    assert_eq!(
        db.count("SELECT count(*) FROM budget_reservations", &[]).await,
        0,
        "the expired reservation is deleted, and that of the turn is released"
    );
}

#[tokio::test]
async fn the_model_calls_of_chat_search_and_ingestion_are_in_the_ledger() {
    let model = ModelServer::start([Reply::Text(vec!["Every 14 days."]), Reply::Interrupt("Every")]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (user, colleague) = (app.as_user(TENANT_A), app.caller(TENANT_A, "colleague", Role::User));
    user.ingest("ledger.md", &files::note("pump P-15"), &[]).await;
    let mut db = SuperuserDb::connect(&app).await;
    let ledger_query =
        "SELECT *, (SELECT slug FROM tenants t WHERE t.id = tenant_id) AS tenant FROM model_calls ORDER BY id";
    let rows = db.rows(ledger_query, &[]).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(
        (&row["operation"], &row["status"], &row["tenant"]),
        (&json!("embeddings"), &json!("ok"), &json!(TENANT_A))
    );
    assert_eq!((&row["user_id"], &row["metered"]), (&Value::Null, &json!(false)));
    assert!(row["backend"].as_str().is_some_and(|backend| !backend.is_empty()), "{row}");

    let search_response = user.post("/v1/search", &json!({ "query": "strainer of P-15" })).await;
    search_response.expect_json(200);
    let row = db.rows(ledger_query, &[]).await.pop().expect("a row");
    let id = user_id(&user).await;
    assert_eq!((&row["operation"], &row["user_id"]), (&json!("embeddings"), &json!(id)));
    assert_eq!(
        row["request_id"].as_str(),
        search_response.header("x-request-id"),
        "the same request id as in the audit log"
    );

    let conversation = user.create_conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let body =
        json!({ "message": "How often is the strainer of P-15 cleaned?", "stream": false, "retrieval": "always" });
    let answer = user.post(&path, &body).await.expect_json(200);
    let rows = db.rows(ledger_query, &[]).await;
    let turn_rows: Vec<_> = rows.iter().filter(|row| row["conversation_id"] == json!(conversation)).collect();
    let operations: Vec<_> = turn_rows.iter().map(|row| row["operation"].as_str().unwrap_or_default()).collect();
    assert_eq!(operations, ["embeddings", "chat"], "the embedding of the search, and the answer");
    let chat = turn_rows[1];
    assert_eq!((&chat["user_id"], &chat["run_id"]), (&json!(id), &answer["run_id"]));
    assert_eq!((&chat["model"], &chat["tier"], &chat["metered"]), (&json!(MODEL_NAME), &json!("fast"), &json!(true)));
    assert_eq!(
        (&chat["input_tokens"], &chat["output_tokens"], &chat["fallback"]),
        (&json!(21), &json!(7), &json!(false))
    );
    assert_eq!((&chat["estimated"], &chat["finish_reason"]), (&json!(false), &json!("stop")));
    assert!(chat["first_token_ms"].as_i64() <= chat["took_ms"].as_i64());

    let body = json!({ "message": "And now?", "stream": false, "retrieval": "never" });
    assert_eq!(user.post(&path, &body).await.status, 503);
    let row = db.rows(ledger_query, &[]).await.pop().expect("a row");
    assert_eq!((&row["status"], &row["operation"], &row["estimated"]), (&json!("error"), &json!("chat"), &json!(true)));
    assert!(row["error"].is_string() && row["input_tokens"].as_i64() > Some(100), "{row}");

    // The ledger outlives the conversation, and other users do not see it.
    assert_eq!(user.delete(&format!("/v1/conversations/{conversation}")).await.status, 204);
    assert_usage_reports(&app, &user, &colleague).await;
}

/// Asserts the usage reports after two chat calls and two embedding calls of the user, and one more embedding call of
/// the tenant.
async fn assert_usage_reports(app: &TestApp, user: &ApiClient<'_>, colleague: &ApiClient<'_>) {
    let id = user_id(user).await;
    let own_usage = user.get("/v1/usage?group_by=operation").await.expect_json(200);
    let call_count = |usage: &Value, key: &str| {
        let groups = usage["groups"].as_array().expect("groups").clone();
        groups.iter().find(|group| group["key"] == key).map_or(json!(0), |group| group["calls"].clone())
    };
    assert_eq!(
        (call_count(&own_usage, "chat"), call_count(&own_usage, "embeddings")),
        (json!(2), json!(2)),
        "{own_usage}"
    );
    assert_eq!(own_usage["totals"]["errors"], 1);
    let colleagues_usage = colleague.get("/v1/usage?group_by=user").await.expect_json(200);
    assert_eq!(
        (&colleagues_usage["totals"]["calls"], &colleagues_usage["groups"]),
        (&json!(0), &json!([])),
        "{colleagues_usage}"
    );
    let tenant_usage = app.as_admin(TENANT_A).get("/v1/usage?group_by=operation").await.expect_json(200);
    assert_eq!(
        (call_count(&tenant_usage, "chat"), call_count(&tenant_usage, "embeddings")),
        (json!(2), json!(3)),
        "{tenant_usage}"
    );
    let usage_by_user = app.as_admin(TENANT_A).get("/v1/usage?group_by=user").await.expect_json(200);
    assert!(
        usage_by_user["groups"].as_array().is_some_and(|groups| groups.iter().any(|group| group["key"] == json!(id)))
    );
    assert_eq!(app.as_admin(TENANT_B).get("/v1/usage").await.expect_json(200)["totals"]["calls"], 0);
    app.as_admin(TENANT_A).get("/v1/usage?from=2026-01-01&to=2027-06-01").await.expect_problem(422, "validation");
}

/// The price is that of the backend that served the call.
#[tokio::test]
async fn the_ledger_records_the_cost_of_a_fallback_and_the_cost_budget_is_enforced() {
    let primary = ModelServer::start((0..8).map(|_| Reply::Status(503))).await;
    let fallback = ModelServer::start((0..2).map(|_| Reply::Text(vec!["Every 14 days."]))).await;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/tmp");
    let config = format!(
        "[models.backends.first]\nbase_url = \"{}\"\n[models.backends.second]\nbase_url = \"{}\"\n
         [[models.tiers.fast]]\nbackend = \"first\"\nmodel = \"small\"\n
         [[models.tiers.fast]]\nbackend = \"second\"\nmodel = \"large\"\ninput_price = 1000.0\noutput_price = 2000.0\n",
        primary.url, fallback.url
    );
    let file = dir.path().join("platform.toml");
    std::fs::write(&file, config).expect("a file of the test");
    let app = TestApp::start(&[("PLATFORM_CONFIG", file.to_str().expect("UTF-8"))]).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let answer = user.post(&path, &chat_body()).await.expect_json(200);
    assert_eq!(answer["fallback"], true, "{answer}");
    let row = SuperuserDb::connect(&app).await.rows("SELECT * FROM model_calls", &[]).await.pop().expect("a row");
    assert_eq!(
        (&row["backend"], &row["requested_model"], &row["fallback"]),
        (&json!("second"), &json!("large"), &json!(true))
    );
    assert!(
        row["failed"].as_array().is_some_and(|tried| tried.iter().any(|attempt| attempt["backend"] == "first")),
        "{row}"
    );
    assert_eq!(row["cost_micros"], 21 * 1_000 + 7 * 2_000, "{row}");
    let usage = user.get("/v1/usage?group_by=backend").await.expect_json(200);
    assert_eq!((&usage["totals"]["fallbacks"], &usage["totals"]["cost"]), (&json!(1), &json!(0.035)), "{usage}");
    assert_eq!(usage["groups"][0]["key"], "second");

    app.set_quotas(TENANT_A, &json!({ "cost_per_month": 0.035 })).await;
    let refusal = user.post(&path, &chat_body()).await;
    let problem = refusal.expect_problem(429, "quota_exceeded");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("cost_per_month")), "{problem}");
    let budget =
        app.as_admin(TENANT_A).get("/v1/usage").await.expect_json(200)["budgets"]["tenant"]["cost_per_month"].clone();
    assert_eq!(
        (&budget["limit"], &budget["spent"], &budget["soft_exceeded"]),
        (&json!(0.035), &json!(0.035), &json!(true))
    );
    app.set_quotas(TENANT_A, &json!({ "cost_per_month": 10 })).await;
    user.post(&path, &chat_body()).await.expect_json(200);
}

/// A token needs the scope `usage:read`.
#[tokio::test]
async fn a_token_reads_usage_within_its_scope() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    for (scope, status) in [("usage:read", 200), ("account:read", 403)] {
        let token = user.post("/v1/tokens", &json!({ "name": "usage", "scopes": [scope] })).await.expect_json(201);
        let machine = app.with_token(token["secret"].as_str().expect("a secret"));
        assert_eq!(machine.get("/v1/usage").await.status, status, "{scope}");
    }
}
