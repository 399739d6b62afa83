//! Counts in Redis, so that several servers together give each quota once, by one script on Redis' own clock.
//!
//! A request waits for Redis for a moment at most and never connects itself. Where Redis fails, this process counts
//! alone until a task in the background has reached it again: limits become looser by the number of servers, and no
//! request fails for it.

use super::{Ask, Decision, InProcessLimiter, RateLimiter, Whose};
use async_trait::async_trait;
use prometheus::{IntCounter, IntGauge, Registry};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Longest wait of a request.
const PATIENCE: Duration = Duration::from_millis(100);
/// Longest attempt to connect.
const CONNECT: Duration = Duration::from_secs(1);
/// Time between two attempts.
const AGAIN: Duration = Duration::from_millis(500);

/// The URL is not one of a Redis server.
#[derive(Debug, thiserror::Error)]
#[error("the URL is not one of a Redis server")]
pub struct SharedLimiterError(#[source] RedisError);

/// Whether limits are shared at the moment.
#[derive(Clone, Debug)]
pub struct LimiterMetrics {
    shared: IntGauge,
    alone: IntCounter,
}

impl LimiterMetrics {
    /// Makes the gauge `rate_limit_shared` and the counter `rate_limit_counted_alone_total`, and registers them.
    ///
    /// # Errors
    /// Where the registry has a metric of that name already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let shared = IntGauge::new("rate_limit_shared", "1 while limits are counted in Redis, 0 while it fails.")?;
        let alone = IntCounter::new(
            "rate_limit_counted_alone_total",
            "Requests that this process counted alone because Redis failed.",
        )?;
        registry.register(Box::new(shared.clone()))?;
        registry.register(Box::new(alone.clone()))?;
        Ok(Self { shared, alone })
    }
}

/// Counts in Redis; in this process while Redis fails.
pub struct SharedLimiter {
    shared: Arc<Shared>,
    alone: InProcessLimiter,
}

struct Shared {
    client: Client,
    script: Script,
    link: Mutex<Link>,
    metrics: LimiterMetrics,
    mending: TaskTracker,
}

/// The connection, while there is one that works; each has a number of its own.
#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    number: u64,
}

impl SharedLimiter {
    /// Counts in the Redis at `url` (`redis://` or `rediss://`). Waits a moment for it and starts without it otherwise.
    ///
    /// # Errors
    /// Where `url` is not valid.
    pub async fn open(url: &str, metrics: LimiterMetrics) -> Result<Self, SharedLimiterError> {
        let client = Client::open(url).map_err(SharedLimiterError)?;
        let shared = Arc::new(Shared {
            client,
            script: Script::new(include_str!("shared.lua")),
            link: Mutex::default(),
            metrics,
            mending: TaskTracker::new(),
        });
        match shared.connect().await {
            Ok(connection) => shared.mended(connection),
            Err(error) => shared.broken(0, &error),
        }
        Ok(Self { shared, alone: InProcessLimiter::default() })
    }
}

#[async_trait]
impl RateLimiter for SharedLimiter {
    async fn check(&self, asked: &[Ask]) -> Decision {
        if let Some((connection, number)) = self.shared.connection() {
            match self.shared.count(connection, asked).await {
                Ok(decision) => return decision,
                Err(error) => self.shared.broken(number, &error),
            }
        }
        self.shared.metrics.alone.inc();
        self.alone.count(asked)
    }
}

/// Why Redis did not count.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer in time")]
    Slow,
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("an answer that is none of the script's")]
    InvalidResponse,
}

impl Shared {
    fn link(&self) -> std::sync::MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> Option<(MultiplexedConnection, u64)> {
        let link = self.link();
        link.connection.clone().map(|connection| (connection, link.number))
    }

    async fn count(&self, mut connection: MultiplexedConnection, asked: &[Ask]) -> Result<Decision, Failure> {
        let mut call = self.script.prepare_invoke();
        for ask in asked {
            call.key(key(ask)).arg(ask.emission()).arg(ask.tolerance());
        }
        let answer = tokio::time::timeout(PATIENCE, call.invoke_async::<Vec<u64>>(&mut connection)).await;
        let answer = answer.map_err(|_| Failure::Slow)??;
        match answer.split_first() {
            Some((refused, backlogs)) if backlogs.len() == asked.len() => {
                Ok(Decision::of(asked, backlogs, *refused == 1))
            }
            _ => Err(Failure::InvalidResponse),
        }
    }

    /// A new connection, over which the script ran: a server that answers and may not be written to is of no use.
    async fn connect(&self) -> Result<MultiplexedConnection, Failure> {
        let settings =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(CONNECT));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&settings);
        let mut connection = tokio::time::timeout(CONNECT, connecting).await.map_err(|_| Failure::Slow)??;
        let mut probe = self.script.prepare_invoke();
        let _: Vec<u64> = probe.key("plant-agent:rate:probe").arg(1).arg(1_000).invoke_async(&mut connection).await?;
        Ok(connection)
    }

    fn mended(&self, connection: MultiplexedConnection) {
        let mut link = self.link();
        link.number += 1;
        link.connection = Some(connection);
        drop(link);
        self.metrics.shared.set(1);
        tracing::info!("rate limits are shared through Redis");
    }

    /// Takes the connection of this number out of use and sees to a new one. Of many requests that fail at once, one
    /// gets to say so.
    fn broken(self: &Arc<Self>, number: u64, error: &Failure) {
        let mut link = self.link();
        if link.number != number {
            return;
        }
        link.number += 1;
        link.connection = None;
        drop(link);
        self.metrics.shared.set(0);
        tracing::warn!(%error, "Redis fails; this process counts rate limits alone until it is back");
        self.mending.spawn(mend(Arc::downgrade(self)));
    }
}

/// Tries until Redis is back, or the limiter gone.
async fn mend(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(AGAIN).await;
        let Some(shared) = shared.upgrade() else { return };
        if let Ok(connection) = shared.connect().await {
            return shared.mended(connection);
        }
    }
}

/// A tenant's keys share a slot of a cluster: a script may use those of one slot only.
fn key(ask: &Ask) -> String {
    match ask.whose {
        Whose::User(key) => format!("plant-agent:rate:{{{}}}:{}:{}", key.tenant, key.user, ask.name),
        Whose::Tenant(tenant) => format!("plant-agent:rate:{{{tenant}}}:{}", ask.name),
    }
}
