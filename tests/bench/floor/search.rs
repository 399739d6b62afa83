//! A search: embeds the query, then runs one transaction that checks the user, inserts the audit row and finds the
//! nearest passages.

use super::connections::Step;
use super::identity::active_user;
use super::{Failure, Floor};
use anyhow::{Context as _, Result};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use domain::ports::IdGen as _;
use platform_server::system::TimeOrderedIds;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_postgres::Row;
use uuid::Uuid;

#[derive(Deserialize)]
pub struct Body {
    query: String,
}

#[derive(Deserialize)]
struct Embeddings {
    data: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    embedding: String,
}

impl Floor {
    /// Returns the vector of a query.
    pub async fn embed(&self, text: &str) -> Result<Vec<f32>> {
        use base64::Engine as _;
        let body = json!({ "model": "embed", "input": [text], "encoding_format": "base64" });
        let answer = self.http.post(format!("{}/v1/embeddings", self.models)).json(&body).send().await?;
        let answer: Embeddings = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
        let first = answer.data.into_iter().next().context("no vector")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(first.embedding)?;
        Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
    }
}

/// Returns the five nearest passages.
pub async fn search(
    State(floor): State<Arc<Floor>>,
    headers: HeaderMap,
    Json(body): Json<Body>,
) -> Result<Json<Value>, Failure> {
    let who = floor.verifier.verify(&headers)?;
    let vector = floor.embed(&body.query).await?;
    let taken = floor.connections.take().await?;
    let connection = taken.get()?;
    let run = &connection.statements;
    let (tenant, id) = (who.tenant.to_string(), TimeOrderedIds.uuid());
    let request = id.to_string();
    let [_, members, _, found] = connection
        .transaction([
            Step { run: &run.set_tenant, with: &[&tenant] },
            Step { run: &run.member, with: &[&who.tenant, &who.issuer, &who.subject] },
            Step {
                run: &run.audit,
                with: &[&id, &None::<Uuid>, &"search", &"document", &"success", &None::<i32>, &id, &request, &"event"],
            },
            Step { run: &run.nearest, with: &[&who.tenant, &vector] },
        ])
        .await?;
    active_user(&members)?;
    Ok(Json(json!({ "results": found.iter().map(hit).collect::<Vec<_>>() })))
}

fn hit(row: &Row) -> Value {
    json!({
        "chunk_id": row.get::<_, Uuid>("id"), "document_id": row.get::<_, Uuid>("document_id"),
        "title": row.get::<_, String>("title"), "page": row.get::<_, Option<i32>>("page"),
        "content": row.get::<_, String>("content"), "score": row.get::<_, f64>("score"),
    })
}
