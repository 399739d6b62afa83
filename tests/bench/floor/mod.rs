//! The floor: the lower bound of what a request costs. A small server over the same database, with the application's
//! role under row-level security, that sends the statements of a request in as few round trips as possible.
//!
//! It leaves out rate limits, budgets, idempotency, hybrid ranking, citations and resumable streams. The platform is
//! therefore not expected to reach a ratio of 1.

mod chat;
mod connections;
mod identity;
mod me;
mod proxy;
mod search;
mod statements;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::Args;
pub use connections::{BoundStatement, ConnectionPool};
use identity::TokenVerifier;
use std::sync::Arc;

/// Command-line options of the floor.
#[derive(Args)]
pub struct FloorArgs {
    #[arg(long)]
    pub port: u16,
    /// URL of the database, as the application's role.
    #[arg(long)]
    database: String,
    /// URL of the model server.
    #[arg(long)]
    models: String,
    /// `slug=id` of each tenant.
    #[arg(long, value_delimiter = ',')]
    tenants: Vec<String>,
    #[arg(long)]
    issuer: String,
    #[arg(long)]
    audience: String,
    /// Modulus of the issuer's public key, base64url.
    #[arg(long)]
    modulus: String,
    /// Exponent of the issuer's public key, base64url.
    #[arg(long)]
    exponent: String,
}

/// The state that the handlers share.
pub struct Floor {
    connections: ConnectionPool,
    verifier: TokenVerifier,
    http: reqwest::Client,
    model_server_url: String,
}

/// The floor's routes.
pub async fn app(args: &FloorArgs) -> Result<Router> {
    let floor = Floor {
        connections: ConnectionPool::open(&args.database).await.context("cannot connect to the database")?,
        verifier: TokenVerifier::new(args)?,
        http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(usize::MAX).build()?,
        model_server_url: args.models.clone(),
    };
    Ok(Router::new()
        .route("/v1/conversations/{id}/chat", post(chat::chat))
        .route("/v1/search", post(search::search))
        .route("/v1/me", get(me::me))
        .route("/openai/v1/chat/completions", post(proxy::completions))
        .route("/ready", get(|| async {}))
        .with_state(Arc::new(floor)))
}

/// An error of a handler, sent as status 500 with its message.
pub struct FloorError(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for FloorError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for FloorError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", self.0)).into_response()
    }
}
