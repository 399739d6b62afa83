//! Routes of conversations.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields::{self, CitationBody, TextRangeBody};
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use chrono::{DateTime, Utc};
use domain::command::{
    Branches, CreateConversation, DeleteConversation, GetConversation, ListConversations, UpdateConversation,
};
use domain::conversation::{Conversation, ConversationFilter, ConversationPatch, Message, MessageAuthor, Transcript};
use domain::ids::ConversationId;
use domain::model::TierChoice;
use domain::text::{ShortText, Title};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get, update, delete))
}

/// A new conversation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Pump P-101", "model": "fast"}))]
struct NewConversation {
    #[schema(min_length = 1, max_length = 512)]
    title: Option<String>,
    /// Default model tier of its turns.
    #[schema(schema_with = fields::tier_choice_or_null)]
    model: Option<TierChoice>,
    /// Client data: a JSON object of at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// The team that shares it. You must be a member or an owner.
    team_id: Option<Uuid>,
}

/// A change of a conversation. Fields that are missing or null are not changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Pump P-101, bearing"}))]
struct ConversationChange {
    #[schema(min_length = 1, max_length = 512)]
    title: Option<String>,
    #[schema(schema_with = fields::tier_choice_or_null)]
    model: Option<TierChoice>,
    /// Replaces the client data.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Whether lists omit the conversation by default.
    archived: Option<bool>,
    /// The last message of the branch to show and continue.
    active_message_id: Option<Uuid>,
}

/// A conversation, without its messages.
#[derive(Serialize, ToSchema)]
#[schema(as = Conversation)]
struct ConversationBody {
    id: Uuid,
    /// The team that shares it; null for your own.
    team_id: Option<Uuid>,
    title: Option<String>,
    #[schema(schema_with = fields::tier_choice_or_null)]
    model: Option<&'static str>,
    /// Client data, which the platform stores but does not use.
    #[schema(value_type = Object)]
    metadata: Value,
    /// Highest classification of the content that its answers are based on.
    #[schema(schema_with = fields::classification)]
    classification: &'static str,
    archived: bool,
    /// The last message of the active branch; null while there are no messages.
    active_message_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    /// When the conversation was last changed or received a message.
    updated_at: DateTime<Utc>,
}

/// A conversation with its messages, in order.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationWithMessages {
    #[serde(flatten)]
    conversation: ConversationBody,
    messages: Vec<MessageBody>,
}

/// A message of a conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
struct MessageBody {
    id: Uuid,
    /// The message that it follows; null for a first message. Messages with the same parent are alternatives.
    parent_id: Option<Uuid>,
    /// Position in the conversation, from 1.
    seq: i64,
    #[schema(schema_with = fields::message_role)]
    role: &'static str,
    /// In a team's conversation, the member who wrote the message; null for answers and in your own conversations.
    author: Option<MessageAuthorBody>,
    content: String,
    /// Generation status: `streaming`, `complete`, `cancelled` or `error`.
    #[schema(schema_with = fields::message_status)]
    status: &'static str,
    token_count: Option<i32>,
    citations: Vec<CitationBody>,
    /// Name of the model that generated the answer; null for your messages.
    model: Option<String>,
    /// Highest classification of the content that the answer is based on; `public` for your own messages.
    #[schema(schema_with = fields::classification)]
    classification: &'static str,
    /// Parts of the text that are not supported by any passage.
    unsupported: Vec<TextRangeBody>,
    /// Whether content and citations are left out, because they are above your current clearance.
    withheld: bool,
    /// Whether a fallback answered, a component such as retrieval was unavailable, or content was left out.
    degraded: bool,
    created_at: DateTime<Utc>,
}

/// The member of a team who wrote a message.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageAuthor)]
struct MessageAuthorBody {
    id: Uuid,
    /// Name or email address; empty if neither is known.
    name: String,
}

impl From<MessageAuthor> for MessageAuthorBody {
    fn from(author: MessageAuthor) -> Self {
        Self { id: author.id.as_uuid(), name: author.name }
    }
}

/// Filter by whether conversations are archived.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Archived {
    False,
    True,
    All,
}

/// The messages to return.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TranscriptQuery {
    /// `active` (the default) or `all`.
    #[param(schema_with = fields::branches)]
    branches: Option<Branches>,
}

/// Filter and page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ConversationQuery {
    /// `false` (the default): conversations that are not archived. `true`: archived conversations. `all`: both.
    #[param(inline)]
    archived: Option<Archived>,
    /// The conversations of this team instead of your own.
    team_id: Option<Uuid>,
    /// Only conversations whose title or messages contain this text, ignoring case.
    #[param(min_length = 1, max_length = 128)]
    q: Option<String>,
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<Conversation> for ConversationBody {
    fn from(conversation: Conversation) -> Self {
        Self {
            id: conversation.id.as_uuid(),
            team_id: conversation.team_id.map(|id| id.as_uuid()),
            title: conversation.title,
            model: conversation.model.map(TierChoice::as_str),
            metadata: conversation.metadata,
            classification: conversation.classification.as_str(),
            archived: conversation.archived,
            active_message_id: conversation.active_message_id.map(|id| id.as_uuid()),
            created_at: conversation.created_at,
            updated_at: conversation.updated_at,
        }
    }
}

impl From<Message> for MessageBody {
    fn from(message: Message) -> Self {
        Self {
            id: message.id.as_uuid(),
            parent_id: message.parent_id.map(|id| id.as_uuid()),
            seq: message.seq,
            role: message.role.as_str(),
            author: message.author.map(Into::into),
            content: message.content,
            status: message.status.as_str(),
            token_count: message.token_count,
            citations: message.citations.into_iter().map(Into::into).collect(),
            model: message.model,
            classification: message.classification.as_str(),
            unsupported: message.unsupported_statements.into_iter().map(Into::into).collect(),
            withheld: message.withheld,
            degraded: message.degraded,
            created_at: message.created_at,
        }
    }
}

impl From<Transcript> for ConversationWithMessages {
    fn from(Transcript { conversation, messages }: Transcript) -> Self {
        Self { conversation: conversation.into(), messages: messages.into_iter().map(Into::into).collect() }
    }
}

/// Creates a conversation.
#[utoipa::path(
    post, path = "/v1/conversations", tag = "conversations", request_body = NewConversation,
    responses((status = 201, body = ConversationBody, headers(("location" = String))))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewConversation>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<ConversationBody>), ApiError> {
    let command = CreateConversation {
        title: fields::parse_optional_text("/title", body.title.as_deref())?,
        model: body.model,
        metadata: fields::parse_metadata("/metadata", body.metadata.unwrap_or_default())?,
        team: body.team_id.map(Into::into),
    };
    let conversation = call.execute(command).await?;
    let location = format!("/v1/conversations/{}", conversation.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(conversation.into())))
}

/// Lists your conversations, or those of a team, newest first. Use `q` to search in them.
#[utoipa::path(
    get, path = "/v1/conversations", tag = "conversations", params(ConversationQuery),
    responses((status = 200, body = Listing<ConversationBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<ConversationQuery>,
) -> Result<Json<Listing<ConversationBody>>, ApiError> {
    let text: Option<ShortText> = fields::parse_optional_text("/q", query.q.as_deref())?;
    let archived = match query.archived.unwrap_or(Archived::False) {
        Archived::False => Some(false),
        Archived::True => Some(true),
        Archived::All => None,
    };
    let filter = ConversationFilter { archived, text: text.map(ShortText::into_string) };
    let page = page::parse(query.limit, query.cursor.as_deref())?;
    let command = ListConversations { filter, page, team: query.team_id.map(Into::into) };
    let conversations = call.execute(command).await?;
    Ok(Json(Listing::from_page(conversations, Into::into)))
}

/// Returns a conversation with its messages, by default those of the active branch.
#[utoipa::path(
    get, path = "/v1/conversations/{id}", tag = "conversations", params(("id" = Uuid, Path), TranscriptQuery),
    responses((status = 200, body = ConversationWithMessages))
)]
async fn get(
    call: AuthenticatedRequest,
    PathId(id): PathId<ConversationId>,
    ApiQuery(query): ApiQuery<TranscriptQuery>,
) -> Result<Json<ConversationWithMessages>, ApiError> {
    let branches = query.branches.unwrap_or(Branches::Active);
    let transcript = call.execute(GetConversation { id, branches }).await?;
    Ok(Json(transcript.into()))
}

/// Changes a conversation.
#[utoipa::path(
    patch, path = "/v1/conversations/{id}", tag = "conversations", params(("id" = Uuid, Path)),
    request_body = ConversationChange, responses((status = 200, body = ConversationBody))
)]
async fn update(
    call: AuthenticatedRequest,
    PathId(id): PathId<ConversationId>,
    ApiJson(body): ApiJson<ConversationChange>,
) -> Result<Json<ConversationBody>, ApiError> {
    let title: Option<Title> = fields::parse_optional_text("/title", body.title.as_deref())?;
    let metadata = body.metadata.map(|metadata| fields::parse_metadata("/metadata", metadata));
    let patch = ConversationPatch {
        title: title.map(Title::into_string),
        model: body.model,
        metadata: metadata.transpose()?,
        archived: body.archived,
        active_message_id: body.active_message_id.map(Into::into),
    };
    let conversation = call.execute(UpdateConversation { id, patch }).await?;
    Ok(Json(conversation.into()))
}

/// Deletes a conversation with its messages.
#[utoipa::path(
    delete, path = "/v1/conversations/{id}", tag = "conversations", params(("id" = Uuid, Path)),
    responses((status = 204))
)]
async fn delete(call: AuthenticatedRequest, PathId(id): PathId<ConversationId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteConversation { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
