//! Routes of feedback on answers.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use domain::command::{DeleteFeedback, ListFeedback, RateAnswer};
use domain::feedback::{Feedback, Rating};
use domain::ids::MessageId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(rate, delete)).routes(routes!(list))
}

/// Your rating of an answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rating": "down", "comment": "The torque is that of the old bolts."}))]
struct NewFeedback {
    #[schema(schema_with = fields::rating)]
    rating: Rating,
    /// Reason for the rating. Your tenant's admins can read it, but not the answer.
    #[schema(min_length = 1, max_length = 2000)]
    comment: Option<String>,
}

/// Your feedback on an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Feedback)]
struct FeedbackBody {
    message_id: Uuid,
    #[schema(schema_with = fields::rating)]
    rating: &'static str,
    comment: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Feedback as admins see it: without its author and any part of the conversation.
#[derive(Serialize, ToSchema)]
struct FeedbackItem {
    message_id: Uuid,
    #[schema(schema_with = fields::rating)]
    rating: &'static str,
    comment: Option<String>,
}

/// Filter and page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FeedbackQuery {
    /// Only feedback with this rating.
    #[param(schema_with = fields::rating)]
    rating: Option<Rating>,
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<Feedback> for FeedbackBody {
    fn from(feedback: Feedback) -> Self {
        Self {
            message_id: feedback.message_id.as_uuid(),
            rating: feedback.rating.as_str(),
            comment: feedback.comment,
            created_at: feedback.created_at,
            updated_at: feedback.updated_at,
        }
    }
}

impl From<Feedback> for FeedbackItem {
    fn from(feedback: Feedback) -> Self {
        let Feedback { message_id, rating, comment, .. } = feedback;
        Self { message_id: message_id.as_uuid(), rating: rating.as_str(), comment }
    }
}

/// Rates an answer in one of your conversations. Replaces your earlier rating.
#[utoipa::path(
    put, path = "/v1/messages/{id}/feedback", tag = "conversations", params(("id" = Uuid, Path)),
    request_body = NewFeedback, responses((status = 200, body = FeedbackBody))
)]
async fn rate(
    call: AuthenticatedRequest,
    PathId(message): PathId<MessageId>,
    ApiJson(body): ApiJson<NewFeedback>,
) -> Result<Json<FeedbackBody>, ApiError> {
    let comment = fields::parse_optional_text("/comment", body.comment.as_deref())?;
    let feedback = call.execute(RateAnswer { message, rating: body.rating, comment }).await?;
    Ok(Json(feedback.into()))
}

/// Deletes your rating of an answer.
#[utoipa::path(
    delete, path = "/v1/messages/{id}/feedback", tag = "conversations", params(("id" = Uuid, Path)),
    responses((status = 204))
)]
async fn delete(call: AuthenticatedRequest, PathId(message): PathId<MessageId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteFeedback { message }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the feedback of the tenant's users, newest first.
#[utoipa::path(
    get, path = "/v1/admin/feedback", tag = "admin", params(FeedbackQuery),
    responses((status = 200, body = Listing<FeedbackItem>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<FeedbackQuery>,
) -> Result<Json<Listing<FeedbackItem>>, ApiError> {
    let page = page::parse(query.limit, query.cursor.as_deref())?;
    let feedback = call.execute(ListFeedback { rating: query.rating, page }).await?;
    Ok(Json(Listing::from_page(feedback, Into::into)))
}
