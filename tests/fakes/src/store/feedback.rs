//! The in-memory repository of feedback.

use super::{InMemoryTx, Row, page_of};
use async_trait::async_trait;
use domain::conversation::MessageRole;
use domain::feedback::{Feedback, Rating};
use domain::ids::MessageId;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{FeedbackRepo, StoreError};
use domain::time::Timestamp;

#[async_trait]
impl FeedbackRepo for InMemoryTx {
    async fn rate(
        &mut self,
        message: MessageId,
        rating: Rating,
        comment: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Feedback>, StoreError> {
        let (is_owned, tenant, user) = (self.owner_filter(), self.tenant(), self.scope.user());
        let Some(user_id) = user else { return Ok(None) };
        let state = self.write().await?;
        let mut messages = state.messages.iter().filter(|r| is_owned(r)).map(|r| &r.value);
        if !messages.any(|m| m.id == message && m.role == MessageRole::Assistant) {
            return Ok(None);
        }
        let earlier = state.feedback.iter().position(|r| r.tenant == tenant && r.value.message_id == message);
        let created_at = earlier.map_or(now, |index| state.feedback.swap_remove(index).value.created_at);
        let comment = comment.map(str::to_owned);
        let value = Feedback { message_id: message, user_id, rating, comment, created_at, updated_at: now };
        state.feedback.push(Row { tenant, user, value: value.clone() });
        Ok(Some(value))
    }

    async fn delete(&mut self, message: MessageId) -> Result<bool, StoreError> {
        let is_owned = self.owner_filter();
        let feedback = &mut self.write().await?.feedback;
        let count_before = feedback.len();
        feedback.retain(|r| !(is_owned(r) && r.value.message_id == message));
        Ok(feedback.len() < count_before)
    }

    async fn list(&mut self, rating: Option<Rating>, page: &PageRequest) -> Result<Page<Feedback>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_wanted = |row: &&Row<Feedback>| in_tenant(row) && rating.is_none_or(|rating| row.value.rating == rating);
        let rows = self.read(|s| s.feedback.iter().filter(is_wanted).map(|r| r.value.clone()).collect());
        Ok(page_of(rows, page, |row: &Feedback| PageKey { created_at: row.created_at, id: row.message_id.as_uuid() }))
    }
}
