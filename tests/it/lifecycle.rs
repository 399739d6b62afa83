//! Shutdown: running work is finished or stored, and the server stops in time.

use crate::support::app::{A, App};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use fakes::eventually;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_idle_platform_stops_at_once() {
    let mut app = App::start(&[]).await;
    let document = app.as_user(A).ingest("last.md", &files::note("Z-1"), &[]).await;
    assert_eq!(document["status"], "ready");
    let took = app.stop();
    // The grace period of these tests is one second; a component that does not stop takes five more.
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn an_answer_that_the_end_cuts_off_is_stored_as_cancelled_with_its_words() {
    let model = ModelServer::start([Reply::Pause("As far as ", "it never got")]).await;
    let mut app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let mut stream = user.begin_stream(&conversation, &json!({ "message": "How often?" })).await;
    stream.until("message.delta").await;
    app.stop();
    let answer = "SELECT content, status FROM messages WHERE role = 'assistant'";
    let stored = SuperuserDb::of(&app).await.rows(answer, &[]).await;
    assert_eq!(stored, [json!({ "content": "As far as ", "status": "cancelled" })]);
    let open = "SELECT count(*) FROM audit_logs i WHERE phase = 'intent' AND NOT EXISTS
                (SELECT FROM audit_logs o WHERE o.phase = 'outcome' AND o.correlation_id = i.correlation_id)";
    assert_eq!(SuperuserDb::of(&app).await.count(open, &[]).await, 0, "an intent without an outcome");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_the_end_is_there_after_it() {
    let mut app = App::start(&[]).await;
    let base = app.as_user(A);
    let (path, key) = ("/v1/memories", "idempotency-key");
    let tasks = tokio_util::task::TaskTracker::new();
    let requests: Vec<_> = (0..8)
        .map(|worker| {
            let request = base.request(reqwest::Method::POST, path);
            (worker, request)
        })
        .collect();
    let workers = requests.into_iter().map(|(worker, request)| {
        tasks.spawn(async move {
            let mut made = Vec::new();
            for n in 0.. {
                let request = request.try_clone().expect("a request without a body");
                let body = json!({ "content": format!("{worker} said {n}") });
                let sent = request.header(key, format!("{worker}-{n}")).json(&body).send().await;
                match sent {
                    Ok(answer) if answer.status() == 201 => {
                        let Ok(body) = answer.json::<serde_json::Value>().await else { break };
                        made.push(body["id"].as_str().expect("an id").to_owned());
                    }
                    // Refused or cut off: the client cannot assume that it was stored.
                    _ => break,
                }
            }
            made
        })
    });
    let workers: Vec<_> = workers.collect();
    let db = tokio::sync::Mutex::new(SuperuserDb::of(&app).await);
    eventually("the server is under load", || async {
        (db.lock().await.count("SELECT count(*) FROM memories", &[]).await > 32).then_some(())
    })
    .await;
    let took = tokio::task::block_in_place(|| app.stop());
    assert!(took < Duration::from_secs(8), "{took:?}");
    let mut made = Vec::new();
    for worker in workers {
        made.extend(worker.await.expect("a worker"));
    }
    assert!(made.len() > 16, "there was a load: {}", made.len());
    let mut db = SuperuserDb::of(&app).await;
    let stored = db.rows("SELECT id::text AS id FROM memories", &[]).await;
    let stored: std::collections::HashSet<_> = stored.iter().filter_map(|row| row["id"].as_str()).collect();
    let lost: Vec<_> = made.iter().filter(|id| !stored.contains(id.as_str())).collect();
    assert!(lost.is_empty(), "answered 201 and not there: {lost:?}");
    let open = "SELECT count(*) FROM audit_logs i WHERE phase = 'intent' AND NOT EXISTS
                (SELECT FROM audit_logs o WHERE o.phase = 'outcome' AND o.correlation_id = i.correlation_id)";
    assert_eq!(db.count(open, &[]).await, 0, "an intent without an outcome");
    let running = "SELECT count(*) FROM idempotency_keys WHERE state = 'running'";
    assert_eq!(db.count(running, &[]).await, 0, "a key whose request was cut off");
}
