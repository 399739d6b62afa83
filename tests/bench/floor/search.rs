//! A search: embeds the query, then runs one transaction that checks the user, inserts the audit row and finds the
//! nearest passages.

use super::connections::BoundStatement;
use super::identity::active_user_id;
use super::{Floor, FloorError};
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
pub struct SearchRequest {
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
        let response = self.http.post(format!("{}/v1/embeddings", self.model_server_url)).json(&body).send().await?;
        let embeddings: Embeddings = serde_json::from_slice(&response.error_for_status()?.bytes().await?)?;
        let first = embeddings.data.into_iter().next().context("no vector")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(first.embedding)?;
        Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
    }
}

/// Returns the five nearest passages.
pub async fn search(
    State(floor): State<Arc<Floor>>,
    headers: HeaderMap,
    Json(body): Json<SearchRequest>,
) -> Result<Json<Value>, FloorError> {
    let identity = floor.verifier.verify(&headers)?;
    let vector = floor.embed(&body.query).await?;
    let pooled_connection = floor.connections.acquire().await?;
    let connection = pooled_connection.get()?;
    let statements = &connection.statements;
    let (tenant_id, audit_id) = (identity.tenant_id.to_string(), TimeOrderedIds.uuid());
    let request_id = audit_id.to_string();
    let [_, memberships, _, passages] = connection
        .transaction([
            BoundStatement { statement: &statements.set_tenant, parameters: &[&tenant_id] },
            BoundStatement {
                statement: &statements.identify_user,
                parameters: &[&identity.tenant_id, &identity.issuer, &identity.subject],
            },
            BoundStatement {
                statement: &statements.insert_audit_row,
                parameters: &[
                    &audit_id,
                    &None::<Uuid>,
                    &"search",
                    &"document",
                    &"success",
                    &None::<i32>,
                    &audit_id,
                    &request_id,
                    &"event",
                ],
            },
            BoundStatement { statement: &statements.nearest_passages, parameters: &[&identity.tenant_id, &vector] },
        ])
        .await?;
    active_user_id(&memberships)?;
    Ok(Json(json!({ "results": passages.iter().map(hit).collect::<Vec<_>>() })))
}

fn hit(row: &Row) -> Value {
    json!({
        "chunk_id": row.get::<_, Uuid>("id"), "document_id": row.get::<_, Uuid>("document_id"),
        "title": row.get::<_, String>("title"), "page": row.get::<_, Option<i32>>("page"),
        "content": row.get::<_, String>("content"), "score": row.get::<_, f64>("score"),
    })
}
