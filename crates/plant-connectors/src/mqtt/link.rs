//! A broker connection that subscribes, receives messages, and reconnects after a failure.
//!
//! It sends CONNECT (without a will), SUBSCRIBE, PINGREQ and DISCONNECT, and cannot send anything else: messages arrive
//! at QoS 0, which needs no acknowledgement.

use super::options::BrokerOptions;
use super::session;
use crate::backoff::Backoff;
use crate::failure;
use crate::link::BackoffPolicy;
use domain::plant::ConnectorError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Delay before the first attempt. A connector that is opened only to validate its settings is dropped earlier, and
/// never connects.
const START_DELAY: Duration = Duration::from_millis(500);

/// Receives the messages.
pub trait Subscriber: Send + Sync + 'static {
    /// Topics and patterns to subscribe to.
    fn filters(&self) -> Vec<String>;

    /// A message was received.
    fn message(&self, message: Message<'_>);

    /// The broker refuses a subscription.
    fn refused(&self, filter: &str);

    /// There is no connection: it broke, or an attempt failed. Messages may be missed until the next subscription.
    fn disconnected(&self);
}

/// A message that was published.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The topic that it was published to.
    pub topic: &'a str,
    /// Content of the message.
    pub payload: &'a [u8],
    /// Whether it is a retained message.
    pub retained: bool,
}

/// The state of a connection.
#[derive(Clone, Debug)]
pub enum Status {
    /// The connector was just opened. The first attempt follows shortly, or at the first read.
    Idle,
    /// An attempt is in progress.
    Connecting,
    /// All subscriptions are confirmed.
    Subscribed {
        /// Time of the confirmation; retained messages follow shortly after.
        since: Instant,
    },
    /// The last attempt failed, or the connection broke. Another attempt follows.
    Failed(ConnectorError),
}

/// A connection to a broker. Dropping it disconnects.
pub struct BrokerLink {
    status: watch::Receiver<Status>,
    wake: Arc<Notify>,
    _stop: DropGuard,
}

impl BrokerLink {
    pub fn start(tasks: &TaskTracker, options: BrokerOptions, subscriber: Arc<dyn Subscriber>) -> Self {
        let (sender, status) = watch::channel(Status::Idle);
        let wake = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        let worker = Worker { options, subscriber, status: sender, wake: wake.clone(), stop: stop.clone() };
        tasks.spawn(worker.run());
        Self { status, wake, _stop: stop.drop_guard() }
    }

    /// Waits until the broker has confirmed all subscriptions, and returns the time of the last confirmation.
    pub async fn subscribed(&self, backoff: BackoffPolicy, limit: Duration) -> Result<Instant, ConnectorError> {
        let mut status = self.status.clone();
        let failed = matches!(*status.borrow_and_update(), Status::Failed(_));
        let idle = matches!(*status.borrow(), Status::Idle);
        if idle || (failed && backoff == BackoffPolicy::Bypass) {
            self.wake.notify_one();
        }
        let settled = async {
            if failed && backoff == BackoffPolicy::Bypass {
                status.changed().await.map_err(|_| failure::unreachable("the connector is closed"))?;
            }
            let settled = status.wait_for(|status| !matches!(status, Status::Idle | Status::Connecting)).await;
            match &*settled.map_err(|_| failure::unreachable("the connector is closed"))? {
                Status::Subscribed { since } => Ok(*since),
                Status::Failed(error) => Err(error.clone()),
                Status::Idle | Status::Connecting => Err(failure::timed_out(limit)),
            }
        };
        timeout(limit, settled).await.unwrap_or_else(|_| Err(failure::timed_out(limit)))
    }
}

struct Worker {
    options: BrokerOptions,
    subscriber: Arc<dyn Subscriber>,
    status: watch::Sender<Status>,
    wake: Arc<Notify>,
    stop: CancellationToken,
}

impl Worker {
    async fn run(self) {
        let mut backoff = Backoff::default();
        if !self.pause(START_DELAY).await {
            return;
        }
        loop {
            self.status.send_replace(Status::Connecting);
            let error = match session::run(&self.options, &*self.subscriber, &self.status, &self.stop).await {
                Ok(()) => return,
                Err(error) => error,
            };
            if matches!(*self.status.borrow(), Status::Subscribed { .. }) {
                backoff.succeeded();
            }
            self.subscriber.disconnected();
            let delay = backoff.failed(&error);
            tracing::debug!(%error, delay_s = delay.as_secs(), "no connection to the broker");
            self.status.send_replace(Status::Failed(error));
            if !self.pause(delay).await {
                return;
            }
        }
    }

    /// Waits for `delay`, or until an immediate attempt is requested. Returns `false` if the connector was closed.
    async fn pause(&self, delay: Duration) -> bool {
        tokio::select! {
            () = sleep(delay) => true,
            () = self.wake.notified() => true,
            () = self.stop.cancelled() => false,
        }
    }
}
