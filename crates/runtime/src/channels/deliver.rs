//! The worker's part: sends the messages of the outbox, at least once each. A message whose attempt fails is retried
//! with increasing delays, and fails permanently after the last attempt, or at once if no attempt can succeed.

use super::ports::{ChannelPorts, personal, to_delivery_error};
use chrono::TimeDelta;
use domain::channel::{Delivery, DeliveryAttempt, DeliveryStatus, Message};
use domain::error::{Classify as _, ErrorKind};
use domain::ports::{LeasedJob, StoreError};
use domain::scope::TenantScope;
use domain::time::Timestamp;
use futures::{StreamExt as _, stream};
use std::time::Duration;
use tools::channels::{Destination, Retry, SEND_TIMEOUT, SendError};
use tools::ingest::interface::{JobOutcome, RetryLater};

/// Number of messages that are claimed at a time.
const BATCH: u32 = 16;
/// Number of messages of a batch that are sent at the same time.
const CONCURRENCY: usize = 8;
/// Number of batches after which other jobs of the tenant take precedence.
const MAX_ROUNDS: u32 = 8;
/// Lease of a claimed message: longer than all attempts of a batch together.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// Error that is recorded with a message that fails permanently before anything could be sent.
const NOT_PREPARED: &str = "Not sent: the channel or the facts of the message could not be read in any attempt.";
/// Retention of completed messages.
const RETENTION: TimeDelta = TimeDelta::days(90);

const _: () = assert!(SEND_TIMEOUT.as_secs() * (BATCH as u64).div_ceil(CONCURRENCY as u64) < 5 * 60);

/// When messages are retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeliverySettings {
    /// Maximum number of attempts.
    pub max_attempts: u32,
    /// Delay after the first attempt, plus or minus 25 %. It doubles with each further attempt.
    pub first_delay: Duration,
    /// Maximum delay, unless the receiver asks for a longer one.
    pub max_delay: Duration,
}

impl Default for DeliverySettings {
    /// The last of 15 attempts is about nine hours after the first.
    fn default() -> Self {
        Self { max_attempts: 15, first_delay: Duration::from_secs(5), max_delay: Duration::from_secs(2 * 3600) }
    }
}

/// Delivers the messages of a tenant.
pub struct DeliveryProcessor {
    ports: ChannelPorts,
    settings: DeliverySettings,
}

impl DeliveryProcessor {
    /// Creates a processor.
    #[must_use]
    pub fn new(ports: ChannelPorts, settings: DeliverySettings) -> Self {
        Self { ports, settings }
    }

    /// Sends what is due, and completes the job once nothing is.
    ///
    /// # Errors
    /// If the job should be retried because the database is not available.
    pub async fn process(&self, job: &LeasedJob) -> Result<JobOutcome, RetryLater> {
        for _ in 0..MAX_ROUNDS {
            let claimed = self.claim(&job.scope).await?;
            if claimed.is_empty() {
                match self.complete(job).await? {
                    Some(outcome) => return Ok(outcome),
                    None => continue,
                }
            }
            let attempts = stream::iter(claimed).for_each_concurrent(CONCURRENCY, |delivery| async move {
                if let Err(error) = self.attempt(&job.scope, &delivery).await {
                    tracing::warn!(delivery_id = %delivery.id, %error, "a message could not be processed");
                }
            });
            attempts.await;
        }
        Ok(JobOutcome::Unfinished)
    }

    async fn claim(&self, scope: &TenantScope) -> Result<Vec<Delivery>, StoreError> {
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(scope).await?;
        let claimed = tx.channels().claim_deliveries(now, now + LEASE, BATCH).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Removes the job; returns `None` and keeps it if a message has become due. A concurrent insert of the job waits
    /// for this transaction and then inserts a new one, so no message is left behind.
    async fn complete(&self, job: &LeasedJob) -> Result<Option<JobOutcome>, StoreError> {
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(&job.scope).await?;
        if !tx.jobs().complete(job.lease).await? {
            return Ok(Some(JobOutcome::Stale));
        }
        if tx.channels().has_due_deliveries(now).await? {
            return Ok(None);
        }
        tx.channels().prune_deliveries(now - RETENTION).await?;
        tx.commit().await?;
        Ok(Some(JobOutcome::Done))
    }

    /// Sends a claimed message once, and records the outcome.
    async fn attempt(&self, scope: &TenantScope, delivery: &Delivery) -> Result<(), StoreError> {
        let sent = match self.prepare(scope, delivery).await {
            Ok(None) => return Ok(()),
            Ok(Some(Prepared { destination: Ok(destination), message })) => {
                self.ports.sender.send(&destination, &message).await
            }
            Ok(Some(Prepared { destination: Err(error), .. })) => Err(error),
            // It is retried when its lease has expired. An outage makes no message fail permanently.
            Err(error) if error.kind() == ErrorKind::Unavailable || self.settings.may_try_again(delivery) => {
                return Err(error);
            }
            Err(_) => Err(SendError { code: "given_up", detail: NOT_PREPARED.to_owned(), retry: Retry::Never }),
        };
        let now = self.ports.clock.now();
        let attempt = self.settings.settle(delivery, sent, now);
        if attempt.status == DeliveryStatus::Failed {
            let code = attempt.error.as_ref().map(|error| error.code.as_str());
            tracing::warn!(delivery_id = %delivery.id, channel_id = %delivery.channel, code, "a message was given up");
        }
        let mut tx = self.ports.store.begin(scope).await?;
        tx.channels().record_attempt(&attempt, now).await?;
        tx.commit().await
    }

    /// Reads what an attempt needs; `None` if the channel was deleted.
    async fn prepare(&self, scope: &TenantScope, delivery: &Delivery) -> Result<Option<Prepared>, StoreError> {
        let mut tx = self.ports.store.begin(scope).await?;
        let Some(channel) = tx.channels().get(delivery.channel).await? else { return Ok(None) };
        let message = self.ports.message(&mut *tx, delivery).await?;
        let mut destination = self.ports.destination(scope.tenant(), &channel);
        if let Some(recipient) = delivery.notification.recipient {
            destination = personal(&mut *tx, destination, recipient).await?;
        }
        Ok(Some(Prepared { destination, message }))
    }
}

/// The data that an attempt needs.
struct Prepared {
    destination: Result<Destination, SendError>,
    message: Message,
}

impl DeliverySettings {
    /// The result that is recorded for an attempt.
    fn settle(&self, delivery: &Delivery, sent: Result<(), SendError>, now: Timestamp) -> DeliveryAttempt {
        let ended = |status, error| DeliveryAttempt {
            delivery: delivery.id,
            number: delivery.attempts,
            status,
            error,
            next_attempt_at: None,
        };
        let error = match sent {
            Ok(()) => return ended(DeliveryStatus::Delivered, None),
            Err(error) => error,
        };
        let stored = Some(to_delivery_error(&error));
        match error.retry {
            Retry::Later { after } if self.may_try_again(delivery) => {
                let delay = self.delay(delivery).max(after.unwrap_or_default());
                let next_attempt_at = Some(now + TimeDelta::from_std(delay).unwrap_or(LEASE));
                DeliveryAttempt { next_attempt_at, ..ended(DeliveryStatus::Pending, stored) }
            }
            Retry::Later { .. } | Retry::Never => ended(DeliveryStatus::Failed, stored),
        }
    }

    fn may_try_again(&self, delivery: &Delivery) -> bool {
        delivery.attempts < self.max_attempts
    }

    /// The delay after an attempt. It has a jitter, so that messages that failed together are not retried together.
    fn delay(&self, delivery: &Delivery) -> Duration {
        let doublings = delivery.attempts.saturating_sub(1).min(30);
        let delay = self.first_delay.saturating_mul(1 << doublings).min(self.max_delay);
        delay.mul_f64(0.75 + 0.5 * jitter(delivery))
    }
}

/// Returns a number from 0 to 1 that differs between messages, and between the attempts of one message.
fn jitter(delivery: &Delivery) -> f64 {
    let (_, low) = delivery.id.as_uuid().as_u64_pair();
    let hash = (low ^ u64::from(delivery.attempts)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    f64::from((hash >> 48) as u16) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::channel::{Notification, NotificationEvent};
    use domain::ids::{ChannelId, DeliveryId};
    use uuid::Uuid;

    fn delivery(attempts: u32) -> Delivery {
        let now = Timestamp::UNIX_EPOCH;
        let notification = Notification::new(NotificationEvent::ChannelTest, now);
        let (id, channel) = (DeliveryId::from_uuid(Uuid::from_u128(1)), ChannelId::from_uuid(Uuid::from_u128(2)));
        Delivery { attempts, ..Delivery::new(id, channel, notification, now) }
    }

    fn failed(retry: Retry) -> Result<(), SendError> {
        Err(SendError { code: "http_status", detail: "The receiver answered 500.".to_owned(), retry })
    }

    fn seconds_until_next(attempts: u32, after: Option<u64>) -> Option<i64> {
        let retry = Retry::Later { after: after.map(Duration::from_secs) };
        let now = Timestamp::UNIX_EPOCH;
        let attempt = DeliverySettings::default().settle(&delivery(attempts), failed(retry), now);
        attempt.next_attempt_at.map(|next| (next - now).num_seconds())
    }

    #[test]
    fn pauses_grow_up_to_the_maximum_and_end_after_the_last_attempt() {
        for (attempts, expected) in [(1, 5), (2, 10), (5, 80), (12, 7_200), (14, 7_200)] {
            let seconds = seconds_until_next(attempts, None).expect("another attempt");
            assert!((expected * 3 / 4 - 1..=expected * 5 / 4).contains(&seconds), "{attempts}: {seconds}");
        }
        assert_eq!(seconds_until_next(15, None), None);
        assert_eq!(seconds_until_next(1, Some(600)), Some(600), "as the receiver asks");
        assert!(seconds_until_next(14, Some(1)).is_some_and(|seconds| seconds > 1), "not sooner than otherwise");
    }

    #[test]
    fn an_attempt_ends_a_message_or_does_not() {
        let settings = DeliverySettings::default();
        let settle = |sent| settings.settle(&delivery(3), sent, Timestamp::UNIX_EPOCH);
        let delivered = settle(Ok(()));
        assert_eq!((delivered.status, delivered.number, delivered.error), (DeliveryStatus::Delivered, 3, None));
        let hopeless = settle(failed(Retry::Never));
        assert_eq!((hopeless.status, hopeless.next_attempt_at), (DeliveryStatus::Failed, None));
        assert_eq!(hopeless.error.map(|error| error.code).as_deref(), Some("http_status"));
    }
}
