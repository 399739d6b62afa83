//! The routes, one file per resource. Each file holds its wire types, its handlers and how they become commands.

mod admin_mappings;
mod admin_tenants;
mod admin_users;
mod audit;
mod chat;
mod content;
mod conversations;
mod decisions;
mod documents;
mod health;
mod me;
mod memories;
mod openai_chat;
mod openai_embeddings;
mod openai_models;
mod problems;
mod runs;
mod search;
mod settings;
mod tokens;
mod upload;
mod usage;

use crate::app::App;
use crate::readiness::Readiness;
use domain::ports::IdGen;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Routes behind authentication.
pub(crate) fn protected() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(conversations::routes())
        .merge(chat::routes())
        .merge(runs::routes())
        .merge(upload::routes())
        .merge(documents::routes())
        .merge(content::routes())
        .merge(search::routes())
        .merge(memories::routes())
        .merge(me::routes())
        .merge(audit::routes())
        .merge(admin_users::routes())
        .merge(admin_tenants::routes())
        .merge(decisions::routes())
        .merge(settings::routes())
        .merge(admin_mappings::routes())
        .merge(tokens::routes())
        .merge(openai_models::routes())
        .merge(openai_chat::routes())
        .merge(openai_embeddings::routes())
        .merge(usage::routes())
}

/// Routes that anybody may ask, and that are not counted.
/// The edge of a server that cannot serve yet.
pub(crate) fn starting(readiness: Arc<dyn Readiness>, ids: Arc<dyn IdGen>) -> axum::Router {
    health::starting(readiness, ids)
}

pub(crate) fn open() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(health::routes()).merge(problems::routes())
}
