//! Clients that hang up at a random point of a streamed answer: nothing is lost, doubled or left running.

use crate::support::api_client::{ApiClient, SseEvent, answer_text, complete_events};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use domain::role::Role;
use fakes::eventually_within;
use fastrand::Rng;
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::Mutex;

/// Number of chats.
const CHATS: usize = 300;
/// Number of chats that run at the same time.
const CONCURRENT_CHATS: usize = 24;
/// One of this many clients comes back.
const RETURNING: usize = 5;
/// The model's answer. It is written in more time than the platform waits for a reader.
const PIECES: [&str; 30] = [
    "Close ",
    "the ",
    "valve, ",
    "drain ",
    "the ",
    "line, ",
    "wait ",
    "for ",
    "the ",
    "needle ",
    "to ",
    "fall ",
    "to ",
    "zero, ",
    "loosen ",
    "the ",
    "six ",
    "bolts ",
    "crosswise, ",
    "lift ",
    "the ",
    "cover, ",
    "rinse ",
    "the ",
    "strainer ",
    "and ",
    "put ",
    "it ",
    "back – ",
    "dry.",
];
const PIECE_DELAY: Duration = Duration::from_millis(90);
/// How long it may take until all answers are stored and all requests to the model have ended.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A chat whose client hangs up.
struct Chat {
    user: usize,
    /// Share of the stream, in thousandths, after which the client hangs up.
    cut_at: usize,
    retrieval: &'static str,
    returns: bool,
}

/// What a client has received.
struct CutChat {
    conversation: String,
    user: usize,
    events: Vec<SseEvent>,
    /// Whether it came back and read to the end.
    was_resumed: bool,
}

fn random_chats(rng: &mut Rng) -> Vec<Chat> {
    let chats = (0..CHATS).map(|number| Chat {
        user: number % 6,
        cut_at: rng.usize(0..=1_000),
        retrieval: if rng.bool() { "always" } else { "never" },
        returns: number % RETURNING == 0,
    });
    chats.collect()
}

/// Starts a chat and reads `length` bytes of its stream, or all of them.
async fn read_bytes(user: &ApiClient<'_>, conversation: &str, retrieval: &str, length: usize) -> Vec<u8> {
    let path = format!("/v1/conversations/{conversation}/chat");
    let body = json!({ "message": "How is the strainer of X-55 cleaned?", "retrieval": retrieval });
    let response = user.request(Method::POST, &path).json(&body).send().await.expect("a response");
    assert_eq!(response.status(), 200);
    let mut chunks = response.bytes_stream();
    let mut received = Vec::new();
    while received.len() < length
        && let Some(chunk) = chunks.next().await
    {
        received.extend_from_slice(&chunk.expect("an uninterrupted stream"));
    }
    received.truncate(length);
    received
}

/// Runs a chat whose client hangs up. A client that returns resumes the run after the last event that it received.
async fn run_chat(users: &[ApiClient<'_>], chat: Chat, whole_length: usize) -> CutChat {
    let user = &users[chat.user];
    let conversation = user.create_conversation().await;
    let received = read_bytes(user, &conversation, chat.retrieval, chat.cut_at * whole_length / 1_000).await;
    let mut events = complete_events(&received);
    let run = events.first().map(|started| started.data["run_id"].as_str().expect("an id").to_owned());
    let was_resumed = chat.returns && run.is_some();
    if let Some(run) = run.filter(|_| was_resumed) {
        let last = events.last().map_or(0, |event| event.id);
        let resumed = user.stream_run_events(&run, last).await;
        assert_eq!(resumed.status, 200);
        events.extend(resumed.read_to_end().await);
    }
    CutChat { conversation, user: chat.user, events, was_resumed }
}

/// Asserts that what a client has received and what is stored fit together.
async fn check_chat(users: &[ApiClient<'_>], chat: &CutChat) {
    let path = format!("/v1/conversations/{}", chat.conversation);
    let stored = users[chat.user].get(&path).await.expect_json(200);
    let messages = stored["messages"].as_array().expect("messages");
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap_or_default()).collect();
    assert_eq!(roles, ["user", "assistant"], "{stored}");
    let (content, status) = (messages[1]["content"].as_str().expect("a text"), &messages[1]["status"]);
    let whole = PIECES.concat();
    assert!(["complete", "cancelled"].iter().any(|expected| status == expected), "{stored}");
    assert!(whole.starts_with(content), "{content}");
    assert!(status == "cancelled" || content == whole, "{stored}");
    let received = answer_text(&chat.events);
    assert!(content.starts_with(&received), "received: {received}\nstored: {content}");
    let ids: Vec<u64> = chat.events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>(), "no event is missing or doubled");
    if chat.was_resumed {
        let last = chat.events.last().expect("events");
        assert_eq!((last.name.as_str(), &last.data["finish_reason"]), ("run.finished", &json!("stop")));
        assert_eq!(received, whole);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_cut_at_random_points_lose_and_double_nothing() {
    let seed = fastrand::u64(..);
    println!("seed: {seed}");
    let model = ModelServer::start_with_default(Reply::Delayed(PIECE_DELAY, PIECES.to_vec())).await;
    let app = TestApp::start(&[
        ("LITELLM_BASE_URL", &model.url),
        ("PLATFORM__CHAT__GRACE_S", "2"),
        ("PLATFORM__CHAT__CONCURRENT_RUNS", "400"),
        ("PLATFORM__CHAT__CONCURRENT_RUNS_PER_TENANT", "400"),
        ("PLATFORM__MODELS__CONCURRENCY", "400"),
    ])
    .await;
    let users: Vec<ApiClient<'_>> = [TENANT_A, TENANT_B]
        .into_iter()
        .flat_map(|tenant| ["ines", "jan", "kim"].map(|name| app.caller(tenant, name, Role::User)))
        .collect();
    users[0].ingest("x-55.md", &files::note("X-55"), &[]).await;
    users[3].ingest("x-55.md", &files::note("X-55"), &[]).await;
    let uncut = users[0].create_conversation().await;
    let whole_length = read_bytes(&users[0], &uncut, "always", usize::MAX).await.len();

    let chats = futures::stream::iter(random_chats(&mut Rng::with_seed(seed)));
    let chats = chats.map(|chat| run_chat(&users, chat, whole_length)).buffer_unordered(CONCURRENT_CHATS);
    let chats: Vec<CutChat> = chats.collect().await;
    let resumed = chats.iter().filter(|chat| chat.was_resumed).count();
    assert!(resumed >= 45, "{resumed} of the clients came back");

    let db = Mutex::new(SuperuserDb::connect(&app).await);
    eventually_within(TIMEOUT, "all answers are stored, and the model has no more to do", || async {
        let streaming = "SELECT count(*) FROM messages WHERE status = 'streaming'";
        (db.lock().await.count(streaming, &[]).await == 0 && model.open_replies() == 0).then_some(())
    })
    .await;
    let mut db = db.into_inner();
    for chat in &chats {
        check_chat(&users, chat).await;
    }
    assert_eq!(model.requests().len(), CHATS + 1, "each question was asked once");
    check_audit(&mut db).await;
    let count_status = "SELECT count(*) FROM messages WHERE role = 'assistant' AND status = $1";
    for status in ["complete", "cancelled"] {
        let count = db.count(count_status, &[status]).await;
        assert!(count >= 30, "{count} answers are {status}, too few to test anything");
    }
}

/// Asserts that each chat has one intent and one outcome, with the status of its answer, and that no intent is open.
async fn check_audit(db: &mut SuperuserDb) {
    let query = "SELECT count(*) FILTER (WHERE phase = 'intent') AS intents,
                        count(*) FILTER (WHERE phase = 'outcome') AS outcomes, count(*) AS rows
                 FROM audit_logs WHERE event_type IN ('chat.request', 'chat.response') GROUP BY conversation_id";
    let chats = db.rows(query, &[]).await;
    assert_eq!(chats, vec![json!({ "intents": 1, "outcomes": 1, "rows": 2 }); CHATS + 1]);
    let count_open = "SELECT count(*) FROM audit_logs i WHERE phase = 'intent' AND 1 <>
        (SELECT count(*) FROM audit_logs o WHERE o.phase = 'outcome' AND o.correlation_id = i.correlation_id)";
    assert_eq!(db.count(count_open, &[]).await, 0, "each intent must have one outcome");
    let count_different = "SELECT count(*) FROM messages m JOIN audit_logs o ON o.conversation_id = m.conversation_id
        WHERE m.role = 'assistant' AND o.event_type = 'chat.response'
        AND o.result_status <> CASE m.status WHEN 'complete' THEN 'success' ELSE m.status END";
    assert_eq!(db.count(count_different, &[]).await, 0, "the outcome must say how the answer ended");
    let tool_calls: Vec<Value> =
        db.rows("SELECT DISTINCT phase FROM audit_logs WHERE event_type = 'tool.invocation' ORDER BY 1", &[]).await;
    assert_eq!(tool_calls, [json!({ "phase": "intent" }), json!({ "phase": "outcome" })], "searches were recorded");
}
