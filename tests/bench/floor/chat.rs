//! A chat turn with two commits: one with the audit intent before the model is called, and one after the answer.

use super::connections::Step;
use super::identity::active_user;
use super::{Failure, Floor};
use anyhow::{Context as _, Result};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use domain::ports::IdGen as _;
use platform_server::system::TimeOrderedIds;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;
use tokio_postgres::Row;
use uuid::Uuid;

#[derive(Deserialize)]
pub struct Message {
    message: String,
}

/// A turn that has been recorded.
struct Turn {
    tenant: Uuid,
    user: Uuid,
    conversation: Uuid,
    intent: Uuid,
    /// Sequence number of the question in the conversation.
    seq: i64,
    began: Instant,
}

/// Answers as server-sent events.
pub async fn chat(
    State(floor): State<Arc<Floor>>,
    Path(conversation): Path<Uuid>,
    headers: HeaderMap,
    Json(Message { message }): Json<Message>,
) -> Result<Response, Failure> {
    let (recorded, vector) =
        futures::try_join!(record(&floor, conversation, &headers, &message), floor.embed(&message))?;
    let passages = passages(&floor, &recorded.turn, &vector).await?;
    let prompt = prompt(&recorded, &passages, &message);
    let body = json!({ "model": "m", "messages": prompt, "stream": true, "max_tokens": 1024,
        "stream_options": { "include_usage": true } });
    let answer = floor.http.post(format!("{}/v1/chat/completions", floor.models)).json(&body).send().await?;
    let events = events(floor, recorded.turn, answer.error_for_status()?);
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response())
}

/// The result of the first transaction.
struct Recorded {
    turn: Turn,
    history: Vec<Row>,
    memories: Vec<Row>,
}

/// The first transaction: checks the user, inserts audit intent and message, and reads history and memories.
async fn record(floor: &Floor, conversation: Uuid, headers: &HeaderMap, message: &str) -> Result<Recorded> {
    let began = Instant::now();
    let who = floor.verifier.verify(headers)?;
    let taken = floor.connections.take().await?;
    let connection = taken.get()?;
    let run = &connection.statements;
    let (tenant, intent) = (who.tenant.to_string(), TimeOrderedIds.uuid());
    let (request, id) = (intent.to_string(), TimeOrderedIds.uuid());
    let session = Some(conversation);
    let [_, members, _, history, memories, appended] = connection
        .transaction([
            Step { run: &run.set_tenant, with: &[&tenant] },
            Step { run: &run.member, with: &[&who.tenant, &who.issuer, &who.subject] },
            Step {
                run: &run.audit,
                with: &[
                    &intent,
                    &session,
                    &"chat.request",
                    &"conversation",
                    &"pending",
                    &None::<i32>,
                    &intent,
                    &request,
                    &"intent",
                ],
            },
            Step { run: &run.newest, with: &[&who.tenant, &conversation] },
            Step { run: &run.memories, with: &[&who.tenant] },
            Step { run: &run.append, with: &[&who.tenant, &conversation, &id, &message] },
        ])
        .await?;
    let seq = appended.first().context("no such conversation")?.get(0);
    let turn = Turn { tenant: who.tenant, user: active_user(&members)?, conversation, intent, seq, began };
    Ok(Recorded { turn, history, memories })
}

async fn passages(floor: &Floor, turn: &Turn, vector: &Vec<f32>) -> Result<Vec<Row>> {
    let taken = floor.connections.take().await?;
    let connection = taken.get()?;
    let run = &connection.statements;
    let (tenant, user) = (turn.tenant.to_string(), turn.user.to_string());
    let [_, found] = connection
        .transaction([
            Step { run: &run.set_scope, with: &[&tenant, &user] },
            Step { run: &run.nearest, with: &[&turn.tenant, vector] },
        ])
        .await?;
    Ok(found)
}

fn prompt(recorded: &Recorded, passages: &[Row], message: &str) -> Vec<Value> {
    let mut prompt = vec![json!({ "role": "system", "content": "Answer from the passages and cite them as [n]." })];
    for row in recorded.history.iter().rev() {
        prompt.push(json!({ "role": row.get::<_, &str>("role"), "content": row.get::<_, &str>("content") }));
    }
    let mut material = String::new();
    for row in &recorded.memories {
        let _ = writeln!(material, "- {}", row.get::<_, &str>("content"));
    }
    for (number, row) in passages.iter().enumerate() {
        let _ =
            writeln!(material, "[{}] {}: {}", number + 1, row.get::<_, &str>("title"), row.get::<_, &str>("content"));
    }
    prompt.push(json!({ "role": "user", "content": material }));
    prompt.push(json!({ "role": "user", "content": message }));
    prompt
}

/// Forwards the tokens, one write per frame of the model server, and stores the answer before the last event.
fn events(
    floor: Arc<Floor>,
    turn: Turn,
    mut answer: reqwest::Response,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    async_stream::try_stream! {
        yield Bytes::from(format!("event: run.started\ndata: {{\"run_id\":\"{}\"}}\n\n", turn.intent));
        let (mut pending, mut text, mut tokens) = (Vec::new(), String::new(), 0);
        while let Some(bytes) = answer.chunk().await.map_err(std::io::Error::other)? {
            pending.extend_from_slice(&bytes);
            let mut out = String::new();
            while let Some(end) = pending.windows(2).position(|two| two == b"\n\n") {
                if let Some(delta) = delta(&pending[..end]) {
                    text.push_str(&delta);
                    tokens += 1;
                    let _ = write!(out, "event: message.delta\ndata: {}\n\n", json!({ "text": delta }));
                }
                pending.drain(..end + 2);
            }
            if !out.is_empty() {
                yield Bytes::from(out);
            }
        }
        finish(&floor, &turn, &text, tokens).await.map_err(std::io::Error::other)?;
        yield Bytes::from_static(b"event: run.finished\ndata: {\"finish_reason\":\"stop\"}\n\n");
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
}

/// Returns the piece of the answer in a frame, if it has one.
fn delta(frame: &[u8]) -> Option<String> {
    let frame: Frame<'_> = serde_json::from_slice(frame.strip_prefix(b"data: ")?).ok()?;
    Some(frame.choices.into_iter().next()?.delta.content?.into_owned())
}

/// The second transaction: inserts the answer, the audit outcome and the ledger row.
async fn finish(floor: &Floor, turn: &Turn, text: &str, tokens: i32) -> Result<()> {
    let taken = floor.connections.take().await?;
    let connection = taken.get()?;
    let run = &connection.statements;
    let (tenant, user) = (turn.tenant.to_string(), turn.user.to_string());
    let (message, outcome, call) = (TimeOrderedIds.uuid(), TimeOrderedIds.uuid(), TimeOrderedIds.uuid());
    let (session, request) = (Some(turn.conversation), turn.intent.to_string());
    let took = i32::try_from(turn.began.elapsed().as_millis())?;
    connection
        .transaction([
            Step { run: &run.set_scope, with: &[&tenant, &user] },
            Step { run: &run.answer, with: &[&message, &turn.conversation, &(turn.seq + 1), &text, &tokens] },
            Step {
                run: &run.audit,
                with: &[
                    &outcome,
                    &session,
                    &"chat.response",
                    &"conversation",
                    &"success",
                    &Some(took),
                    &turn.intent,
                    &request,
                    &"outcome",
                ],
            },
            Step {
                run: &run.ledger,
                with: &[&call, &turn.conversation, &request, &i64::from(tokens), &i64::from(took)],
            },
        ])
        .await?;
    Ok(())
}
