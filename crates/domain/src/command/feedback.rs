//! Commands on feedback: ratings of answers.

use super::command;
use crate::feedback::{Feedback, Rating};
use crate::ids::MessageId;
use crate::page::{Page, PageRequest};
use crate::text::FeedbackComment;
use serde::Serialize;
use serde_json::json;

/// Rate an answer of the caller's own conversation.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RateAnswer {
    /// The answer; a message that the user wrote cannot be rated.
    pub message: MessageId,
    /// The caller's opinion.
    pub rating: Rating,
    /// Reason in the caller's own words; replaces an earlier one.
    pub comment: Option<FeedbackComment>,
}
command! {
    RateAnswer: Update Feedback as "feedback.update" -> Feedback,
    target Message(message),
    transaction Shared,
    outcome(feedback => json!({ "rating": feedback.rating, "has_comment": feedback.comment.is_some() }))
}

/// Remove the caller's rating of an answer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteFeedback {
    /// The answer that was rated.
    pub message: MessageId,
}
command! {
    DeleteFeedback: Delete Feedback as "feedback.delete" -> (),
    target Message(message),
    transaction Shared
}

/// List the tenant's feedback.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListFeedback {
    /// Only feedback with this rating; `None` for all.
    pub rating: Option<Rating>,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListFeedback: List Feedback as "feedback.list" -> Page<Feedback>, transaction Shared);
