//! Routes of agents: those that the caller may use, and those that administrators add.

use crate::body::ApiJson;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page::Listing;
use crate::state::AppState;
use axum::Json;
use axum::extract::Path;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use domain::agent::{
    AgentPatch, AgentSpec, MAX_AGENT_INSTRUCTIONS_CHARS, MAX_AGENT_NAME_CHARS, MAX_AGENT_TOOLS, is_agent_name,
};
use domain::command::{CreateAgent, DeleteAgent, GetAgent, ListAgents, UpdateAgent};
use domain::model::TierChoice;
use domain::text::BoundedText;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Maximum number of characters of an agent's description.
const MAX_DESCRIPTION_CHARS: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(create)).routes(routes!(get, update, delete))
}

/// An agent to which a part of the work can be handed.
#[derive(Serialize, ToSchema)]
#[schema(as = Agent)]
struct AgentBody {
    name: String,
    /// What it is good at.
    description: String,
    /// The tools that it may call when it works for you.
    tools: Vec<String>,
    /// Model tier.
    #[schema(schema_with = fields::tier_choice)]
    model: &'static str,
    /// `sha256:` and the hex SHA-256 of its instructions.
    instructions_digest: String,
}

/// An agent as its administrators see it.
#[derive(Serialize, ToSchema)]
#[schema(as = ManagedAgent)]
struct ManagedAgentBody {
    name: String,
    description: String,
    /// How it works: a part of its system message.
    instructions: String,
    /// All of its tools.
    tools: Vec<String>,
    #[schema(schema_with = fields::tier_choice)]
    model: &'static str,
    /// `sha256:` and the hex SHA-256 of the instructions.
    instructions_digest: String,
    /// Whether the platform provides it. Such an agent cannot be changed.
    builtin: bool,
}

/// A new agent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "seal_expert", "description": "Knows mechanical seals and their plans.",
    "instructions": "Name the API plan of each seal.", "tools": ["rag_search", "document_read"], "model": "auto"
}))]
struct NewAgent {
    /// Lower-case letters, digits and underscores. Cannot be changed.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z][a-z0-9_]*$")]
    name: String,
    #[schema(min_length = 1, max_length = 1000)]
    description: String,
    /// How it works. The audit log holds their digest.
    #[schema(min_length = 1, max_length = 4000)]
    instructions: String,
    /// Names of tools. When the agent works for a user, it has those of them that the user may call.
    #[schema(min_items = 1, max_items = 32)]
    tools: Vec<String>,
    /// Model tier. `auto` by default.
    #[schema(schema_with = fields::tier_choice_or_null)]
    model: Option<TierChoice>,
}

/// Changes of an agent. Fields that are missing stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AgentChange {
    #[schema(min_length = 1, max_length = 1000)]
    description: Option<String>,
    #[schema(min_length = 1, max_length = 4000)]
    instructions: Option<String>,
    #[schema(min_items = 1, max_items = 32)]
    tools: Option<Vec<String>>,
    #[schema(schema_with = fields::tier_choice_or_null)]
    model: Option<TierChoice>,
}

impl From<AgentSpec> for AgentBody {
    fn from(agent: AgentSpec) -> Self {
        Self {
            instructions_digest: agent.instructions_digest(),
            name: agent.name,
            description: agent.description,
            tools: agent.tools,
            model: agent.model.as_str(),
        }
    }
}

impl From<AgentSpec> for ManagedAgentBody {
    fn from(agent: AgentSpec) -> Self {
        Self {
            instructions_digest: agent.instructions_digest(),
            name: agent.name,
            description: agent.description,
            instructions: agent.instructions,
            tools: agent.tools,
            model: agent.model.as_str(),
            builtin: agent.is_builtin,
        }
    }
}

impl NewAgent {
    fn parse(self) -> Result<AgentSpec, ApiError> {
        if !is_agent_name(&self.name) {
            let detail = format!(
                "must have 1 to {MAX_AGENT_NAME_CHARS} lower-case letters, digits and underscores, a letter first, and \
                 not be `auto`"
            );
            return Err(ApiError::invalid_field("/name", detail));
        }
        Ok(AgentSpec {
            name: self.name,
            description: parse_description(&self.description)?,
            instructions: parse_instructions(&self.instructions)?,
            tools: parse_tools(self.tools)?,
            model: self.model.unwrap_or(TierChoice::Auto),
            required_tool: None,
            is_builtin: false,
        })
    }
}

fn parse_description(text: &str) -> Result<String, ApiError> {
    fields::parse_text::<MAX_DESCRIPTION_CHARS>("/description", text).map(BoundedText::into_string)
}

fn parse_instructions(text: &str) -> Result<String, ApiError> {
    fields::parse_text::<MAX_AGENT_INSTRUCTIONS_CHARS>("/instructions", text).map(BoundedText::into_string)
}

fn parse_tools(tools: Vec<String>) -> Result<Vec<String>, ApiError> {
    if tools.is_empty() || tools.len() > MAX_AGENT_TOOLS {
        return Err(ApiError::invalid_field("/tools", format!("must be 1 to {MAX_AGENT_TOOLS} tools")));
    }
    Ok(tools)
}

/// Lists the agents that work for you, each with the tools that it may call for you.
#[utoipa::path(get, path = "/v1/agents", tag = "goals", responses((status = 200, body = Listing<AgentBody>)))]
async fn list(call: AuthenticatedRequest) -> Result<Json<Listing<AgentBody>>, ApiError> {
    let agents = call.execute(ListAgents).await?;
    let data = agents.into_iter().map(Into::into).collect();
    Ok(Json(Listing { data, next_cursor: None, has_more: false }))
}

/// Adds an agent to your tenant. Requires the role `admin`.
#[utoipa::path(
    post, path = "/v1/admin/agents", tag = "admin", request_body = NewAgent,
    responses((status = 201, body = ManagedAgentBody, headers(("location" = String))))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewAgent>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<ManagedAgentBody>), ApiError> {
    let created = call.execute(CreateAgent { spec: body.parse()? }).await?;
    let location = format!("/v1/admin/agents/{}", created.name);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(created.into())))
}

/// Returns an agent with its instructions. Requires the role `admin`.
#[utoipa::path(
    get, path = "/v1/admin/agents/{name}", tag = "admin", params(("name" = String, Path)),
    responses((status = 200, body = ManagedAgentBody))
)]
async fn get(call: AuthenticatedRequest, Path(name): Path<String>) -> Result<Json<ManagedAgentBody>, ApiError> {
    Ok(Json(call.execute(GetAgent { name }).await?.into()))
}

/// Changes an agent of your tenant. Requires the role `admin`.
#[utoipa::path(
    patch, path = "/v1/admin/agents/{name}", tag = "admin", params(("name" = String, Path)),
    request_body = AgentChange, responses((status = 200, body = ManagedAgentBody))
)]
async fn update(
    call: AuthenticatedRequest,
    Path(name): Path<String>,
    ApiJson(body): ApiJson<AgentChange>,
) -> Result<Json<ManagedAgentBody>, ApiError> {
    let patch = AgentPatch {
        description: body.description.as_deref().map(parse_description).transpose()?,
        instructions: body.instructions.as_deref().map(parse_instructions).transpose()?,
        tools: body.tools.map(parse_tools).transpose()?,
        model: body.model,
    };
    Ok(Json(call.execute(UpdateAgent { name, patch }).await?.after.into()))
}

/// Deletes an agent of your tenant. Steps that name it fail. Requires the role `admin`.
#[utoipa::path(
    delete, path = "/v1/admin/agents/{name}", tag = "admin", params(("name" = String, Path)),
    responses((status = 204))
)]
async fn delete(call: AuthenticatedRequest, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteAgent { name }).await?;
    Ok(StatusCode::NO_CONTENT)
}
