//! Feedback: users rate the answers of their own conversations, and the tenant's admins list the ratings.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::command::{DeleteFeedback, ListFeedback, RateAnswer};
use domain::feedback::Feedback;
use domain::page::Page;
use domain::ports::{Clock, Store};
use domain::text::FeedbackComment;
use std::sync::Arc;

/// Use cases for feedback.
pub struct FeedbackService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl FeedbackService {
    /// Creates the service.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

#[async_trait]
impl UseCase<RateAnswer> for FeedbackService {
    async fn execute(&self, command: Authorized<RateAnswer>) -> Result<Feedback, RuntimeError> {
        let RateAnswer { message, rating, comment } = command.command();
        let mut tx = command.begin(&*self.store).await?;
        let comment = comment.as_ref().map(FeedbackComment::as_str);
        let rated = tx.feedback().rate(*message, *rating, comment, self.clock.now()).await?;
        // The gate has already checked that the message is the caller's, so `None` means that it is not an answer.
        let feedback = rated.ok_or(RuntimeError::Conflict { detail: "Only answers can be rated." })?;
        tx.defer_commit();
        Ok(feedback)
    }
}

#[async_trait]
impl UseCase<DeleteFeedback> for FeedbackService {
    async fn execute(&self, command: Authorized<DeleteFeedback>) -> Result<(), RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        if !tx.feedback().delete(command.command().message).await? {
            return Err(RuntimeError::NotFound { target: "the feedback" });
        }
        tx.defer_commit();
        Ok(())
    }
}

#[async_trait]
impl UseCase<ListFeedback> for FeedbackService {
    async fn execute(&self, command: Authorized<ListFeedback>) -> Result<Page<Feedback>, RuntimeError> {
        let ListFeedback { rating, page } = command.command();
        let mut tx = command.begin(&*self.store).await?;
        let feedback = tx.feedback().list(*rating, page).await?;
        tx.defer_commit();
        Ok(feedback)
    }
}
