//! The ledger of model calls, and budgets, over HTTP.

use crate::support::app::{A, App, B};
use crate::support::caller::Caller;
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply, SERVED};
use domain::role::Role;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use std::time::Duration;

async fn limit(app: &App, tenant: &str, quotas: &Value) {
    let id = app.as_admin(tenant).get("/v1/me").await.expect(200)["tenant"]["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/admin/tenants/{id}/settings");
    app.as_platform_admin().patch(&path, &json!({ "quotas": quotas })).await.expect(200);
}

async fn id_of(caller: &Caller<'_>) -> String {
    caller.get("/v1/me").await.expect(200)["id"].as_str().expect("an id").to_owned()
}

fn question() -> Value {
    json!({ "message": "How often?", "stream": false, "retrieval": "never" })
}

/// The tokens that a tenant has spent and has reserved.
async fn tokens(db: &mut SuperuserDb, tenant: &str) -> (i64, i64) {
    let spent = "SELECT coalesce(sum(input_tokens + output_tokens), 0)::bigint FROM model_calls
                 WHERE metered AND tenant_id = (SELECT id FROM tenants WHERE slug = $1)";
    let held = "SELECT coalesce(sum(tokens), 0)::bigint FROM budget_reservations
                WHERE tenant_id = (SELECT id FROM tenants WHERE slug = $1)";
    (db.count(spent, &[tenant]).await, db.count(held, &[tenant]).await)
}

/// Twenty concurrent turns of four users, with a budget for about five; the model uses all tokens that each may use.
#[tokio::test]
async fn parallel_turns_never_spend_more_than_the_budget() {
    const TURNS: usize = 20;
    const BUDGET: i64 = 13_000;
    let model = ModelServer::start((0..TURNS).map(|_| Reply::UseWholeBudget("Every 14 days."))).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    limit(&app, A, &json!({ "tokens_per_day": BUDGET })).await;
    let users: Vec<_> = (0..4).map(|n| app.caller(A, &format!("parallel-{n}"), Role::User)).collect();
    let conversations = join_all((0..TURNS).map(|n| users[n % 4].conversation())).await;
    let mut turns: FuturesUnordered<_> = conversations
        .iter()
        .enumerate()
        .map(|(n, id)| {
            let user = users[n % 4].clone();
            async move { user.post(&format!("/v1/conversations/{id}/chat"), &question()).await }
        })
        .collect();
    let mut db = SuperuserDb::of(&app).await;
    let mut answers = Vec::new();
    // Refused turns are answered at once; the others wait for the model, whose request count is polled here.
    while answers.len() + model.asked().len() < TURNS {
        tokio::select! {
            answer = turns.next() => answers.extend(answer),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
    assert!(answers.iter().all(|answer| answer.status == 429), "nobody was answered yet: {answers:?}");
    let begun = model.asked().len();
    assert!((4..=8).contains(&begun), "{begun} began");
    let (spent, held) = tokens(&mut db, A).await;
    assert!(spent == 0 && held <= BUDGET && held > BUDGET - 1_000, "{held} of {BUDGET} are set aside");
    let usage = app.as_admin(A).get("/v1/usage").await.expect(200);
    assert_eq!(usage["budgets"]["tenant"]["tokens_per_day"]["reserved"], json!(held));

    while answers.len() < TURNS {
        model.resume_replies();
        tokio::select! {
            answer = turns.next() => answers.extend(answer),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
    let (spent, held) = tokens(&mut db, A).await;
    assert!(spent <= BUDGET && held == 0, "{spent} of {BUDGET} are spent, {held} set aside");
    assert!(spent > BUDGET / 2, "most of the budget was used: {spent}");
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refused.len()), (begun, TURNS - begun));
    for answer in refused {
        let problem = answer.problem(429, "quota_exceeded");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("tokens_per_day")), "{problem}");
        assert_eq!(answer.header("retry-after"), Some("10"), "other turns have reserved the budget");
    }
    let usage = app.as_admin(A).get("/v1/usage").await.expect(200);
    let budget = &usage["budgets"]["tenant"]["tokens_per_day"];
    assert_eq!((&budget["spent"], &budget["limit"], &budget["reserved"]), (&json!(spent), &json!(BUDGET), &json!(0)));
    assert_eq!(app.as_admin(B).get("/v1/usage").await.expect(200)["totals"]["calls"], 0);
}

#[tokio::test]
async fn each_users_budget_is_their_own_and_what_a_dead_process_held_ends() {
    let model = ModelServer::start((0..3).map(|_| Reply::Text(vec!["Every 14 days."]))).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    limit(&app, A, &json!({ "user_tokens_per_day": 590, "soft_percent": 4 })).await;
    let (one, other) = (app.as_user(A), app.caller(A, "other", Role::User));
    let (of_one, of_other) = (one.conversation().await, other.conversation().await);
    one.chat(&of_one, "How often?").await;
    let refused = one.post(&format!("/v1/conversations/{of_one}/chat"), &question()).await;
    let problem = refused.problem(429, "quota_exceeded");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("user_tokens_per_day")), "{problem}");
    let budgets = one.get("/v1/usage").await.expect(200)["budgets"].clone();
    assert!(budgets["tenant"].is_null());
    let of_user = &budgets["user"]["tokens_per_day"];
    assert_eq!(
        (&of_user["spent"], &of_user["limit"], &of_user["soft_exceeded"]),
        (&json!(28), &json!(590), &json!(true))
    );

    let mut db = SuperuserDb::of(&app).await;
    let held =
        "INSERT INTO budget_reservations SELECT gen_random_uuid(), tenant_id, id, 500, 0, now(), now() + interval '1 h'
                FROM users WHERE id = $1::uuid";
    assert_eq!(db.execute(held, &[&id_of(&other).await]).await, 1, "the reservation of a process that died");
    let path = format!("/v1/conversations/{of_other}/chat");
    assert_eq!(other.post(&path, &question()).await.header("retry-after"), Some("10"));
    db.execute("UPDATE budget_reservations SET expires_at = now()", &[]).await;
    other.post(&path, &question()).await.expect(200);
    assert_eq!(
        db.count("SELECT count(*) FROM budget_reservations", &[]).await,
        0,
        "expired reservations are deleted, the turn's own is released"
    );
}

#[tokio::test]
async fn chat_search_and_ingestion_are_on_record_with_their_provenance() {
    let model = ModelServer::start([Reply::Text(vec!["Every 14 days."]), Reply::Interrupt("Every")]).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (user, colleague) = (app.as_user(A), app.caller(A, "colleague", Role::User));
    user.ingest("ledger.md", &files::note("pump P-15"), &[]).await;
    let mut db = SuperuserDb::of(&app).await;
    let all = "SELECT *, (SELECT slug FROM tenants t WHERE t.id = tenant_id) AS tenant FROM model_calls ORDER BY id";
    let rows = db.rows(all, &[]).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!((&row["operation"], &row["status"], &row["tenant"]), (&json!("embeddings"), &json!("ok"), &json!(A)));
    assert_eq!((&row["user_id"], &row["metered"]), (&Value::Null, &json!(false)));
    assert!(row["backend"].as_str().is_some_and(|backend| !backend.is_empty()), "{row}");

    let found = user.post("/v1/search", &json!({ "query": "strainer of P-15" })).await;
    found.expect(200);
    let row = db.rows(all, &[]).await.pop().expect("a row");
    let me = id_of(&user).await;
    assert_eq!((&row["operation"], &row["user_id"]), (&json!("embeddings"), &json!(me)));
    assert_eq!(row["request_id"].as_str(), found.header("x-request-id"), "the same request id as in the audit log");

    let conversation = user.conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let body =
        json!({ "message": "How often is the strainer of P-15 cleaned?", "stream": false, "retrieval": "always" });
    let answer = user.post(&path, &body).await.expect(200);
    let rows = db.rows(all, &[]).await;
    let of_turn: Vec<_> = rows.iter().filter(|row| row["conversation_id"] == json!(conversation)).collect();
    let operations: Vec<_> = of_turn.iter().map(|row| row["operation"].as_str().unwrap_or_default()).collect();
    assert_eq!(operations, ["embeddings", "chat"], "the embedding of its search, and its answer");
    let chat = of_turn[1];
    assert_eq!((&chat["user_id"], &chat["run_id"]), (&json!(me), &answer["run_id"]));
    assert_eq!((&chat["model"], &chat["tier"], &chat["metered"]), (&json!(SERVED), &json!("fast"), &json!(true)));
    assert_eq!(
        (&chat["input_tokens"], &chat["output_tokens"], &chat["fallback"]),
        (&json!(21), &json!(7), &json!(false))
    );
    assert_eq!((&chat["estimated"], &chat["finish_reason"]), (&json!(false), &json!("stop")));
    assert!(chat["first_token_ms"].as_i64() <= chat["took_ms"].as_i64());

    let body = json!({ "message": "And now?", "stream": false, "retrieval": "never" });
    assert_eq!(user.post(&path, &body).await.status, 503);
    let row = db.rows(all, &[]).await.pop().expect("a row");
    assert_eq!((&row["status"], &row["operation"], &row["estimated"]), (&json!("error"), &json!("chat"), &json!(true)));
    assert!(row["error"].is_string() && row["input_tokens"].as_i64() > Some(100), "{row}");

    // The ledger outlives the conversation, and other users do not see it.
    assert_eq!(user.delete(&format!("/v1/conversations/{conversation}")).await.status, 204);
    let own = user.get("/v1/usage?group_by=operation").await.expect(200);
    let calls = |usage: &Value, key: &str| {
        let groups = usage["groups"].as_array().expect("groups").clone();
        groups.iter().find(|group| group["key"] == key).map_or(json!(0), |group| group["calls"].clone())
    };
    assert_eq!((calls(&own, "chat"), calls(&own, "embeddings")), (json!(2), json!(2)), "{own}");
    assert_eq!(own["totals"]["errors"], 1);
    let colleagues = colleague.get("/v1/usage?group_by=user").await.expect(200);
    assert_eq!((&colleagues["totals"]["calls"], &colleagues["groups"]), (&json!(0), &json!([])), "{colleagues}");
    let admins = app.as_admin(A).get("/v1/usage?group_by=operation").await.expect(200);
    assert_eq!((calls(&admins, "chat"), calls(&admins, "embeddings")), (json!(2), json!(3)), "{admins}");
    let by_user = app.as_admin(A).get("/v1/usage?group_by=user").await.expect(200);
    assert!(by_user["groups"].as_array().is_some_and(|groups| groups.iter().any(|group| group["key"] == json!(me))));
    assert_eq!(app.as_admin(B).get("/v1/usage").await.expect(200)["totals"]["calls"], 0);
    app.as_admin(A).get("/v1/usage?from=2026-01-01&to=2027-06-01").await.problem(422, "validation");
}

/// The ledger records a fallback with the price of the backend that served, and a cost budget is enforced.
#[tokio::test]
async fn a_fallback_and_its_cost_are_on_record_and_a_budget_of_cost_ends() {
    let first = ModelServer::start((0..8).map(|_| Reply::Fail(503))).await;
    let second = ModelServer::start((0..2).map(|_| Reply::Text(vec!["Every 14 days."]))).await;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/tmp");
    let config = format!(
        "[models.backends.first]\nbase_url = \"{}\"\n[models.backends.second]\nbase_url = \"{}\"\n
         [[models.tiers.fast]]\nbackend = \"first\"\nmodel = \"small\"\n
         [[models.tiers.fast]]\nbackend = \"second\"\nmodel = \"large\"\ninput_price = 1000.0\noutput_price = 2000.0\n",
        first.url, second.url
    );
    let file = dir.path().join("platform.toml");
    std::fs::write(&file, config).expect("a file of the test");
    let app = App::start(&[("PLATFORM_CONFIG", file.to_str().expect("UTF-8"))]).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let answer = user.post(&path, &question()).await.expect(200);
    assert_eq!(answer["fallback"], true, "{answer}");
    let row = SuperuserDb::of(&app).await.rows("SELECT * FROM model_calls", &[]).await.pop().expect("a row");
    assert_eq!(
        (&row["backend"], &row["requested_model"], &row["fallback"]),
        (&json!("second"), &json!("large"), &json!(true))
    );
    assert!(row["failed"].as_array().is_some_and(|tried| tried.iter().any(|one| one["backend"] == "first")), "{row}");
    assert_eq!(row["cost_micros"], 21 * 1_000 + 7 * 2_000, "{row}");
    let usage = user.get("/v1/usage?group_by=backend").await.expect(200);
    assert_eq!((&usage["totals"]["fallbacks"], &usage["totals"]["cost"]), (&json!(1), &json!(0.035)), "{usage}");
    assert_eq!(usage["groups"][0]["key"], "second");

    limit(&app, A, &json!({ "cost_per_month": 0.035 })).await;
    let refused = user.post(&path, &question()).await;
    let problem = refused.problem(429, "quota_exceeded");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("cost_per_month")), "{problem}");
    let budget = app.as_admin(A).get("/v1/usage").await.expect(200)["budgets"]["tenant"]["cost_per_month"].clone();
    assert_eq!(
        (&budget["limit"], &budget["spent"], &budget["soft_exceeded"]),
        (&json!(0.035), &json!(0.035), &json!(true))
    );
    limit(&app, A, &json!({ "cost_per_month": 10 })).await;
    user.post(&path, &question()).await.expect(200);
}

/// A token needs the scope `usage:read`.
#[tokio::test]
async fn a_token_reads_usage_within_its_scope() {
    let app = App::shared().await;
    let user = app.as_user(A);
    for (scope, status) in [("usage:read", 200), ("account:read", 403)] {
        let token = user.post("/v1/tokens", &json!({ "name": "usage", "scopes": [scope] })).await.expect(201);
        let machine = app.with_token(token["secret"].as_str().expect("a secret"));
        assert_eq!(machine.get("/v1/usage").await.status, status, "{scope}");
    }
}
