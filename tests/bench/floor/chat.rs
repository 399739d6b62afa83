//! A chat turn in three transactions: the first stores the audit intent and the question, while the question is
//! embedded; the second only reads passages; the third stores the answer.

use super::connections::BoundStatement;
use super::identity::active_user_id;
use super::{Floor, FloorError};
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
use tokio::time::Instant;
use tokio_postgres::Row;
use uuid::Uuid;

#[derive(Deserialize)]
pub struct ChatRequest {
    message: String,
}

/// A turn whose question is stored.
struct Turn {
    tenant_id: Uuid,
    user_id: Uuid,
    conversation_id: Uuid,
    intent_id: Uuid,
    /// Sequence number of the question in the conversation.
    seq: i64,
    start: Instant,
}

/// Runs a chat turn and streams the answer as server-sent events.
pub async fn chat(
    State(floor): State<Arc<Floor>>,
    Path(conversation_id): Path<Uuid>,
    headers: HeaderMap,
    Json(ChatRequest { message }): Json<ChatRequest>,
) -> Result<Response, FloorError> {
    let (recorded, vector) =
        futures::try_join!(record_turn(&floor, conversation_id, &headers, &message), floor.embed(&message))?;
    let nearest = nearest_passages(&floor, &recorded.turn, &vector).await?;
    let messages = assemble_prompt(&recorded, &nearest, &message);
    let body = json!({ "model": "m", "messages": messages, "stream": true, "max_tokens": 1024,
        "stream_options": { "include_usage": true } });
    let model_response =
        floor.http.post(format!("{}/v1/chat/completions", floor.model_server_url)).json(&body).send().await?;
    let event_stream = answer_events(floor, recorded.turn, model_response.error_for_status()?);
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(event_stream)).into_response())
}

/// The result of the first transaction.
struct RecordedTurn {
    turn: Turn,
    history: Vec<Row>,
    memories: Vec<Row>,
}

/// The first transaction: checks the user, inserts audit intent and message, and reads history and memories.
async fn record_turn(floor: &Floor, conversation_id: Uuid, headers: &HeaderMap, message: &str) -> Result<RecordedTurn> {
    let start = Instant::now();
    let identity = floor.verifier.verify(headers)?;
    let pooled_connection = floor.connections.acquire().await?;
    let connection = pooled_connection.get()?;
    let statements = &connection.statements;
    let (tenant_id, intent_id) = (identity.tenant_id.to_string(), TimeOrderedIds.uuid());
    let (request_id, message_id) = (intent_id.to_string(), TimeOrderedIds.uuid());
    let audited_conversation = Some(conversation_id);
    let [_, memberships, _, history, memories, appended_rows] = connection
        .transaction([
            BoundStatement { statement: &statements.set_tenant, parameters: &[&tenant_id] },
            BoundStatement {
                statement: &statements.identify_user,
                parameters: &[&identity.tenant_id, &identity.issuer, &identity.subject],
            },
            BoundStatement {
                statement: &statements.insert_audit_row,
                parameters: &[
                    &intent_id,
                    &audited_conversation,
                    &"chat.request",
                    &"conversation",
                    &"pending",
                    &None::<i32>,
                    &intent_id,
                    &request_id,
                    &"intent",
                ],
            },
            BoundStatement {
                statement: &statements.newest_messages,
                parameters: &[&identity.tenant_id, &conversation_id],
            },
            BoundStatement { statement: &statements.memories, parameters: &[&identity.tenant_id] },
            BoundStatement {
                statement: &statements.append_message,
                parameters: &[&identity.tenant_id, &conversation_id, &message_id, &message],
            },
        ])
        .await?;
    let seq = appended_rows.first().context("no such conversation")?.get(0);
    let turn = Turn {
        tenant_id: identity.tenant_id,
        user_id: active_user_id(&memberships)?,
        conversation_id,
        intent_id,
        seq,
        start,
    };
    Ok(RecordedTurn { turn, history, memories })
}

async fn nearest_passages(floor: &Floor, turn: &Turn, vector: &Vec<f32>) -> Result<Vec<Row>> {
    let pooled_connection = floor.connections.acquire().await?;
    let connection = pooled_connection.get()?;
    let statements = &connection.statements;
    let (tenant_id, user_id) = (turn.tenant_id.to_string(), turn.user_id.to_string());
    let [_, passages] = connection
        .transaction([
            BoundStatement { statement: &statements.set_scope, parameters: &[&tenant_id, &user_id] },
            BoundStatement { statement: &statements.nearest_passages, parameters: &[&turn.tenant_id, vector] },
        ])
        .await?;
    Ok(passages)
}

fn assemble_prompt(recorded: &RecordedTurn, passages: &[Row], message: &str) -> Vec<Value> {
    let mut messages = vec![json!({ "role": "system", "content": "Answer from the passages and cite them as [n]." })];
    for row in recorded.history.iter().rev() {
        messages.push(json!({ "role": row.get::<_, &str>("role"), "content": row.get::<_, &str>("content") }));
    }
    let mut context = String::new();
    for row in &recorded.memories {
        let _ = writeln!(context, "- {}", row.get::<_, &str>("content"));
    }
    for (number, row) in passages.iter().enumerate() {
        let _ =
            writeln!(context, "[{}] {}: {}", number + 1, row.get::<_, &str>("title"), row.get::<_, &str>("content"));
    }
    messages.push(json!({ "role": "user", "content": context }));
    messages.push(json!({ "role": "user", "content": message }));
    messages
}

/// Forwards the tokens, with one write per chunk from the model server, and stores the answer before `run.finished`.
fn answer_events(
    floor: Arc<Floor>,
    turn: Turn,
    mut model_response: reqwest::Response,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    async_stream::try_stream! {
        yield Bytes::from(format!("event: run.started\ndata: {{\"run_id\":\"{}\"}}\n\n", turn.intent_id));
        let (mut buffer, mut text, mut tokens) = (Vec::new(), String::new(), 0);
        while let Some(bytes) = model_response.chunk().await.map_err(std::io::Error::other)? {
            buffer.extend_from_slice(&bytes);
            let mut events = String::new();
            while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                if let Some(delta) = content_delta(&buffer[..end]) {
                    text.push_str(&delta);
                    tokens += 1;
                    let _ = write!(events, "event: message.delta\ndata: {}\n\n", json!({ "text": delta }));
                }
                buffer.drain(..end + 2);
            }
            if !events.is_empty() {
                yield Bytes::from(events);
            }
        }
        record_answer(&floor, &turn, &text, tokens).await.map_err(std::io::Error::other)?;
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

/// Returns the text delta of a frame; `None` if it has none.
fn content_delta(frame: &[u8]) -> Option<String> {
    let frame: Frame<'_> = serde_json::from_slice(frame.strip_prefix(b"data: ")?).ok()?;
    Some(frame.choices.into_iter().next()?.delta.content?.into_owned())
}

/// The last transaction: inserts the answer, the audit outcome and the ledger row.
async fn record_answer(floor: &Floor, turn: &Turn, text: &str, tokens: i32) -> Result<()> {
    let pooled_connection = floor.connections.acquire().await?;
    let connection = pooled_connection.get()?;
    let statements = &connection.statements;
    let (tenant_id, user_id) = (turn.tenant_id.to_string(), turn.user_id.to_string());
    let (message_id, outcome_id, call_id) = (TimeOrderedIds.uuid(), TimeOrderedIds.uuid(), TimeOrderedIds.uuid());
    let (conversation_id, request_id) = (Some(turn.conversation_id), turn.intent_id.to_string());
    let elapsed_ms = i32::try_from(turn.start.elapsed().as_millis())?;
    connection
        .transaction([
            BoundStatement { statement: &statements.set_scope, parameters: &[&tenant_id, &user_id] },
            BoundStatement {
                statement: &statements.insert_answer,
                parameters: &[&message_id, &turn.conversation_id, &(turn.seq + 1), &text, &tokens],
            },
            BoundStatement {
                statement: &statements.insert_audit_row,
                parameters: &[
                    &outcome_id,
                    &conversation_id,
                    &"chat.response",
                    &"conversation",
                    &"success",
                    &Some(elapsed_ms),
                    &turn.intent_id,
                    &request_id,
                    &"outcome",
                ],
            },
            BoundStatement {
                statement: &statements.insert_ledger_row,
                parameters: &[&call_id, &turn.conversation_id, &request_id, &i64::from(tokens), &i64::from(elapsed_ms)],
            },
        ])
        .await?;
    Ok(())
}
