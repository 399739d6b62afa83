//! The cheapest authenticated request: verifies the token and reads the user.

use super::connections::BoundStatement;
use super::identity::active_user_id;
use super::{Floor, FloorError};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use std::sync::Arc;

/// Returns the caller's user.
pub async fn me(State(floor): State<Arc<Floor>>, headers: HeaderMap) -> Result<Json<Value>, FloorError> {
    let identity = floor.verifier.verify(&headers)?;
    let pooled_connection = floor.connections.acquire().await?;
    let connection = pooled_connection.get()?;
    let statements = &connection.statements;
    let tenant_id = identity.tenant_id.to_string();
    let [_, memberships] = connection
        .transaction([
            BoundStatement { statement: &statements.set_tenant, parameters: &[&tenant_id] },
            BoundStatement {
                statement: &statements.identify_user,
                parameters: &[&identity.tenant_id, &identity.issuer, &identity.subject],
            },
        ])
        .await?;
    let id = active_user_id(&memberships)?;
    let text = |column: &str| memberships.first().and_then(|row| row.get::<_, Option<String>>(column));
    Ok(Json(json!({ "id": id, "role": text("role"), "email": text("email"), "name": text("display_name"),
        "tenant": { "id": identity.tenant_id, "name": text("tenant") } })))
}
