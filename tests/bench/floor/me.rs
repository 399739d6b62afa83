//! The cheapest authenticated request: verifies the token and reads the user.

use super::connections::Step;
use super::identity::active_user;
use super::{Failure, Floor};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use std::sync::Arc;

/// Returns the caller's user.
pub async fn me(State(floor): State<Arc<Floor>>, headers: HeaderMap) -> Result<Json<Value>, Failure> {
    let who = floor.verifier.verify(&headers)?;
    let taken = floor.connections.take().await?;
    let connection = taken.get()?;
    let run = &connection.statements;
    let tenant = who.tenant.to_string();
    let [_, members] = connection
        .transaction([
            Step { run: &run.set_tenant, with: &[&tenant] },
            Step { run: &run.member, with: &[&who.tenant, &who.issuer, &who.subject] },
        ])
        .await?;
    let id = active_user(&members)?;
    let text = |column: &str| members.first().and_then(|row| row.get::<_, Option<String>>(column));
    Ok(Json(json!({ "id": id, "role": text("role"), "email": text("email"), "name": text("display_name"),
        "tenant": { "id": who.tenant, "name": text("tenant") } })))
}
