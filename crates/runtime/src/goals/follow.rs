//! The events of a goal as a stream: those that were stored, and those that follow, until the goal has ended.

use super::service::NOT_FOUND;
use super::{GoalPorts, GoalService};
use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::authorized::{Authorized, Permit};
use domain::command::FollowGoal;
use domain::goal::GoalEvent;
use domain::ids::GoalId;
use domain::ports::StoreError;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use std::time::Duration;

/// Interval between two reads of new events.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// Number of reads after which it is checked whether the user may still follow the goal.
const POLLS_PER_CHECK: u32 = 16;
/// Maximum number of events per read.
const BATCH: u32 = 200;

#[async_trait]
impl UseCase<FollowGoal> for GoalService {
    async fn execute(&self, command: Authorized<FollowGoal>) -> Result<BoxStream<'static, GoalEvent>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let FollowGoal { id, after } = *command.command();
        tx.goals().get(id).await?.ok_or(NOT_FOUND)?;
        tx.defer_commit();
        let permit = command.into_parts().0;
        let reader = EventReader { ports: self.ports.clone(), permit, goal: id, last: after, polls: 0 };
        let batches = stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            let Batch { events, has_ended } = reader.next_batch().await;
            Some((stream::iter(events), (!has_ended).then_some(reader)))
        });
        Ok(batches.flatten().boxed())
    }
}

struct EventReader {
    ports: GoalPorts,
    permit: Permit,
    goal: GoalId,
    /// Number of the last event that was read.
    last: u64,
    polls: u32,
}

struct Batch {
    events: Vec<GoalEvent>,
    /// Whether no more events follow, or the user may not follow them any more.
    has_ended: bool,
}

impl EventReader {
    /// Waits until there are events, or the goal has ended. While the database is not available, it waits.
    async fn next_batch(&mut self) -> Batch {
        loop {
            match self.read().await {
                Ok(batch) if !batch.events.is_empty() || batch.has_ended => {
                    self.last = batch.events.last().map_or(self.last, |event| event.seq);
                    return batch;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(goal_id = %self.goal, %error, "the events of a goal could not be read"),
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn read(&mut self) -> Result<Batch, StoreError> {
        self.polls += 1;
        let mut tx = self.ports.store.begin(self.permit.scope()).await?;
        if self.polls.is_multiple_of(POLLS_PER_CHECK) {
            let member = match self.permit.scope().user() {
                Some(user) => tx.users().membership(user).await?,
                None => None,
            };
            if self.ports.rules.remaining_rights(&self.permit, member.as_ref()).is_err() {
                return Ok(Batch { events: Vec::new(), has_ended: true });
            }
        }
        // The state is read first: an event that is stored between the two is read with the next batch.
        let goal = tx.goals().get(self.goal).await?;
        let events = tx.goals().events(self.goal, self.last, BATCH).await?;
        let is_complete = events.len() < BATCH as usize;
        Ok(Batch { events, has_ended: is_complete && goal.is_none_or(|goal| goal.status.has_ended()) })
    }
}
