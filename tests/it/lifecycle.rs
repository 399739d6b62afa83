//! Shutdown: running work is completed or stored, and the server stops within its grace period.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use fakes::eventually;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_idle_platform_stops_at_once() {
    let mut app = TestApp::start(&[]).await;
    let document = app.as_user(TENANT_A).ingest("last.md", &files::note("Z-1"), &[]).await;
    assert_eq!(document["status"], "ready");
    let elapsed = app.stop();
    // The grace period in these tests is one second. A component that does not stop would take five more.
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
}

#[tokio::test]
async fn an_answer_interrupted_by_the_shutdown_is_stored_as_cancelled_with_its_text() {
    let model = ModelServer::start([Reply::PauseUntilResumed("As far as ", "it never got")]).await;
    let mut app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let mut stream = user.start_stream(&conversation, &json!({ "message": "How often?" })).await;
    stream.read_until("message.delta").await;
    app.stop();
    let answer_query = "SELECT content, status FROM messages WHERE role = 'assistant'";
    let stored_answers = SuperuserDb::connect(&app).await.rows(answer_query, &[]).await;
    assert_eq!(stored_answers, [json!({ "content": "As far as ", "status": "cancelled" })]);
    let count_open_intents = "SELECT count(*) FROM audit_logs i WHERE phase = 'intent' AND NOT EXISTS
                (SELECT FROM audit_logs o WHERE o.phase = 'outcome' AND o.correlation_id = i.correlation_id)";
    assert_eq!(
        SuperuserDb::connect(&app).await.count(count_open_intents, &[]).await,
        0,
        "every intent must have an outcome"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_the_shutdown() {
    let mut app = TestApp::start(&[]).await;
    let user = app.as_user(TENANT_A);
    let (path, key_header) = ("/v1/memories", "idempotency-key");
    let tasks = tokio_util::task::TaskTracker::new();
    let requests: Vec<_> = (0..8)
        .map(|worker| {
            let request = user.request(reqwest::Method::POST, path);
            (worker, request)
        })
        .collect();
    let workers = requests.into_iter().map(|(worker, request)| {
        tasks.spawn(async move {
            let mut created_ids = Vec::new();
            for n in 0.. {
                let request = request.try_clone().expect("a request without a body");
                let body = json!({ "content": format!("{worker} said {n}") });
                let result = request.header(key_header, format!("{worker}-{n}")).json(&body).send().await;
                match result {
                    Ok(answer) if answer.status() == 201 => {
                        let Ok(body) = answer.json::<serde_json::Value>().await else { break };
                        created_ids.push(body["id"].as_str().expect("an id").to_owned());
                    }
                    // The request was refused or cut off, so the client cannot assume that the memory is stored.
                    _ => break,
                }
            }
            created_ids
        })
    });
    let workers: Vec<_> = workers.collect();
    let db = tokio::sync::Mutex::new(SuperuserDb::connect(&app).await);
    eventually("the server is under load", || async {
        (db.lock().await.count("SELECT count(*) FROM memories", &[]).await > 32).then_some(())
    })
    .await;
    let elapsed = tokio::task::block_in_place(|| app.stop());
    assert!(elapsed < Duration::from_secs(8), "{elapsed:?}");
    let mut created_ids = Vec::new();
    for worker in workers {
        created_ids.extend(worker.await.expect("a worker"));
    }
    assert!(created_ids.len() > 16, "the server must be under load: {}", created_ids.len());
    let mut db = SuperuserDb::connect(&app).await;
    let memory_rows = db.rows("SELECT id::text AS id FROM memories", &[]).await;
    let stored_ids: std::collections::HashSet<_> = memory_rows.iter().filter_map(|row| row["id"].as_str()).collect();
    let lost_ids: Vec<_> = created_ids.iter().filter(|id| !stored_ids.contains(id.as_str())).collect();
    assert!(lost_ids.is_empty(), "acknowledged with 201 but not stored: {lost_ids:?}");
    let count_open_intents = "SELECT count(*) FROM audit_logs i WHERE phase = 'intent' AND NOT EXISTS
                (SELECT FROM audit_logs o WHERE o.phase = 'outcome' AND o.correlation_id = i.correlation_id)";
    assert_eq!(db.count(count_open_intents, &[]).await, 0, "every intent must have an outcome");
    let count_running_keys = "SELECT count(*) FROM idempotency_keys WHERE state = 'running'";
    assert_eq!(db.count(count_running_keys, &[]).await, 0, "no request may be left running");
}
