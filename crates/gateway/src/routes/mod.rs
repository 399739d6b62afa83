//! The routes: one file per resource, with its request and response types and its handlers.

mod admin_mappings;
mod admin_mcp_servers;
mod admin_tenants;
mod admin_users;
mod agents;
mod approval_policies;
mod approvals;
mod audit;
mod channels;
mod chat;
mod connector_checks;
mod connector_tags;
mod connectors;
mod console;
mod content;
mod conversation_export;
mod conversations;
mod decisions;
mod development;
mod documents;
mod feedback;
mod glossary;
mod goal_events;
mod goals;
mod health;
mod invitations;
mod maintenance_system;
mod mcp;
mod me;
mod memories;
mod models;
mod openai_chat;
mod openai_embeddings;
mod openai_models;
mod plant_mode;
mod problems;
mod readings;
mod runs;
mod search;
mod sessions;
mod settings;
mod teams;
mod tokens;
mod tools;
mod upload;
mod usage;
mod work_orders;

use crate::readiness::Readiness;
use crate::state::AppState;
use axum::Router;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Routes behind authentication that support idempotency keys: the response to a POST request is stored under its
/// `Idempotency-Key`.
pub(crate) fn idempotent_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(conversations::routes())
        .merge(conversation_export::routes())
        .merge(feedback::routes())
        .merge(chat::routes())
        .merge(runs::routes())
        .merge(upload::routes())
        .merge(documents::routes())
        .merge(content::routes())
        .merge(memories::routes())
        .merge(me::routes())
        .merge(audit::routes())
        .merge(admin_users::routes())
        .merge(admin_tenants::routes())
        .merge(settings::routes())
        .merge(glossary::routes())
        .merge(admin_mappings::routes())
        .merge(models::routes())
        .merge(tokens::routes())
        .merge(sessions::routes())
        .merge(openai_models::routes())
        .merge(openai_chat::routes())
        .merge(usage::routes())
        .merge(tools::routes())
        .merge(approvals::routes())
        .merge(approval_policies::routes())
        .merge(channels::routes())
        .merge(work_orders::routes())
        .merge(maintenance_system::routes())
        .merge(plant_mode::routes())
        .merge(readings::routes())
        .merge(admin_mcp_servers::routes())
        .merge(connectors::routes())
        .merge(connector_checks::routes())
        .merge(connector_tags::routes())
        .merge(teams::routes())
        .merge(invitations::routes())
        .merge(agents::routes())
        .merge(goals::routes())
        .merge(goal_events::routes())
}

/// Routes behind authentication whose POST requests change nothing, so they need no idempotency keys.
pub(crate) fn read_only_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().merge(search::routes()).merge(decisions::routes()).merge(openai_embeddings::routes())
}

/// Public routes: the explanations of problem types, and the development sign-in.
pub(crate) fn public_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().merge(problems::routes()).merge(development::routes())
}

/// The browser console. Its files are public, and not part of the API.
pub(crate) fn console() -> Router<AppState> {
    console::routes()
}

/// The endpoint of the Model Context Protocol, behind authentication; its POST requests have no idempotency keys.
pub(crate) fn mcp() -> Router<AppState> {
    mcp::routes()
}

/// Public description of the endpoint of the Model Context Protocol.
pub(crate) fn mcp_metadata() -> Router<AppState> {
    mcp::metadata_routes()
}

/// Liveness and readiness probes: public, without rate limits, and logged at debug level.
pub(crate) fn probes() -> OpenApiRouter<AppState> {
    health::routes()
}

/// Liveness and readiness probes of a server that is still starting.
pub(crate) fn starting_probes(readiness: Arc<dyn Readiness>) -> Router {
    health::starting_probes(readiness)
}
