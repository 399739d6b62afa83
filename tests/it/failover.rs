//! Failover between model backends: which one serves, where the fallback is reported, and that no request is lost.

use crate::support::app::{A, App};
use crate::support::caller::{Event, text};
use crate::support::model::{ModelServer, Reply};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::NamedTempFile;

const QUESTION: &str = "Hello, how are you?";

/// Settings with two backends for the tier `fast`; the second is the fallback of the first.
fn two(first: &str, second: &str) -> NamedTempFile {
    let file = NamedTempFile::with_suffix_in(".toml", env!("CARGO_TARGET_TMPDIR")).expect("a file");
    let settings = format!(
        r#"
        [models.backends.gpu]
        base_url = "{first}"
        first_token_timeout_s = 5
        [models.backends.spare]
        base_url = "{second}"
        [[models.tiers.fast]]
        backend = "gpu"
        model = "mistral"
        input_price = 1.0
        output_price = 2.0
        [[models.tiers.fast]]
        backend = "spare"
        model = "phi"
        input_price = 10.0
        output_price = 20.0
        "#
    );
    std::fs::write(file.path(), settings).expect("write");
    file
}

async fn app(file: &NamedTempFile) -> App {
    App::start(&[("PLATFORM_CONFIG", file.path().to_str().expect("UTF-8"))]).await
}

fn last(events: &[Event]) -> &Event {
    events.last().expect("events")
}

#[tokio::test]
async fn a_fallback_shows_in_stream_message_and_audit_log() {
    let first = ModelServer::always(Reply::Fail(500)).await;
    let second = ModelServer::always(Reply::Text(vec!["All ", "well."])).await;
    let app = app(&two(&first.url, &second.url)).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;

    let events = user.stream(&conversation, QUESTION).await;
    assert_eq!(text(&events), "All well.");
    let end = &last(&events).data;
    assert_eq!((&end["degraded"], &end["fallback"]), (&json!(true), &json!(true)), "{end}");
    assert_eq!(first.asked().len(), 1, "tried once");
    assert_eq!(second.asked()[0]["model"], "phi");

    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect(200);
    assert_eq!(stored["messages"][1]["degraded"], true, "{stored}");
    assert_eq!(stored["messages"][0]["degraded"], false, "{stored}");
    let logged = app.as_admin(A).get("/v1/audit?event_type=chat.response").await.expect(200);
    let metadata = &logged["data"][0]["metadata"];
    assert_eq!((&metadata["backend"], &metadata["fallback"]), (&json!("spare"), &json!(true)), "{logged}");
}

#[tokio::test]
async fn switching_a_backend_off_in_the_middle_of_load_loses_no_request_that_had_not_begun_to_stream() {
    let pieces = vec!["First ", "close ", "HV-1003, ", "then ", "wait."];
    let first = ModelServer::always(Reply::Delayed(Duration::from_millis(60), pieces.clone())).await;
    let second = ModelServer::always(Reply::Text(pieces)).await;
    let app = app(&two(&first.url, &second.url)).await;
    let user = app.as_user(A);
    let ask = async |at: u64| {
        // Requests are spread over time, because the backend is switched off in the middle of the load.
        tokio::time::sleep(Duration::from_millis(at * 15)).await;
        let conversation = user.conversation().await;
        user.stream(&conversation, QUESTION).await
    };
    let switched_off = async {
        tokio::time::sleep(Duration::from_millis(450)).await;
        drop(first);
    };
    let (answers, ()) = tokio::join!(futures::future::join_all((0..60).map(ask)), switched_off);

    let (mut whole, mut by_spare) = (0, 0);
    for events in &answers {
        let end = last(events);
        if end.name == "run.finished" {
            assert_eq!(text(events), "First close HV-1003, then wait.");
            whole += 1;
            by_spare += usize::from(end.data["fallback"] == json!(true));
        } else {
            let begun = events.iter().any(|event| event.name == "message.delta");
            assert!(begun, "it had not begun to stream and was lost: {events:?}");
        }
    }
    assert!(
        by_spare > 10 && by_spare < whole,
        "{by_spare} of {whole} by the spare one: the load went on while it was switched"
    );
}

#[tokio::test]
async fn each_fault_has_its_answer_and_the_platform_serves_on() {
    let first = ModelServer::always(Reply::Fail(503)).await;
    let second = ModelServer::always(Reply::Text(vec!["All well."])).await;
    let app = app(&two(&first.url, &second.url)).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    // Both backends fail: the stream ends with the platform's own problem document.
    second.next([Reply::Fail(500), Reply::Fail(429), Reply::Fail(500)]);
    let events = user.stream(&conversation, QUESTION).await;
    let problem = &last(&events).data["problem"];
    assert_eq!((&problem["status"], &problem["code"]), (&json!(503), &json!("model_unavailable")), "{problem}");
    second.next([Reply::Interrupt("Half an ")]);
    let events = user.stream(&conversation, QUESTION).await;
    assert_eq!((text(&events).as_str(), last(&events).name.as_str()), ("Half an ", "error"));
    assert_eq!(text(&user.stream(&conversation, QUESTION).await), "All well.");
    assert_eq!(user.get("/v1/me").await.status, 200);
    let health: Value = user.get("/ready").await.expect(200);
    assert_eq!(health["status"], "ready", "{health}");
}

#[tokio::test]
async fn a_hard_question_goes_to_the_model_for_hard_ones_and_the_run_says_why() {
    let model = ModelServer::always(Reply::Text(vec!["All well."])).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let ask = async |message: &str, model: Option<&str>| {
        let mut body = json!({ "message": message, "retrieval": "never" });
        if let Some(model) = model {
            body["model"] = json!(model);
        }
        let started = user.begin_stream(&conversation, &body).await.rest().await.remove(0).data;
        (started["model"].clone(), started["escalated"].clone())
    };
    const HARD: &str = "Compare the seals of P-101A and P-101B.";
    assert_eq!(ask(HARD, None).await, (json!("heavy"), json!("reasoning")));
    assert_eq!(ask(QUESTION, None).await, (json!("fast"), Value::Null));
    assert_eq!(ask(HARD, Some("fast")).await, (json!("fast"), Value::Null), "the requested model takes precedence");
    app.as_admin(A).patch("/v1/admin/settings", &json!({ "default_model": "fast" })).await.expect(200);
    assert_eq!(ask(HARD, None).await, (json!("fast"), Value::Null), "the tenant's default model");
    let asked: Vec<_> = model.asked().iter().map(|request| request["model"].clone()).collect();
    assert_eq!(asked, ["heavy", "fast", "fast", "fast"]);
}
