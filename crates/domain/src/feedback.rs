//! Feedback: what users think of answers.

use crate::ids::{MessageId, UserId};
use crate::role::string_enum;
use crate::time::Timestamp;

string_enum! {
    /// A user's opinion of an answer.
    Rating {
        /// The answer was good.
        Up = "up",
        /// The answer was bad.
        Down = "down",
    }
}

/// A rating of an answer by the user who asked. It contains no part of the conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feedback {
    /// The answer that is rated.
    pub message_id: MessageId,
    /// Author of the rating, who owns the conversation.
    pub user_id: UserId,
    /// The opinion, good or bad.
    pub rating: Rating,
    /// Reason in the author's own words.
    pub comment: Option<String>,
    /// When the answer was first rated.
    pub created_at: Timestamp,
    /// When the rating was last changed.
    pub updated_at: Timestamp,
}
