//! A rate limiter that counts in Redis, so that several servers share each quota. A Lua script counts atomically, with
//! the clock of Redis.
//!
//! Requests wait for Redis only for a short time, and never open a connection. While Redis is unavailable, each server
//! counts separately and a background task reconnects. Limits are then higher by a factor of the number of servers, but
//! no request fails.

use super::{InProcessLimiter, PartitionKey, QuotaPolicy, RateLimitDecision, RateLimiter};
use async_trait::async_trait;
use prometheus::{IntCounter, IntGauge, Registry};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Maximum time that a request waits for Redis.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(100);
/// Timeout of an attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Delay between two attempts to connect.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(500);

/// The URL is not a valid Redis URL.
#[derive(Debug, thiserror::Error)]
#[error("the URL is not a valid Redis URL")]
pub struct SharedLimiterError(#[source] RedisError);

/// Metrics that show whether requests are currently counted in Redis.
#[derive(Clone, Debug)]
pub struct LimiterMetrics {
    redis_in_use: IntGauge,
    fallback_checks: IntCounter,
}

impl LimiterMetrics {
    /// Registers the gauge `rate_limit_shared` and the counter `rate_limit_counted_alone_total`.
    ///
    /// # Errors
    /// If the registry already has a metric with one of these names.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let redis_in_use =
            IntGauge::new("rate_limit_shared", "1 while limits are counted in Redis, 0 while it fails.")?;
        let fallback_checks = IntCounter::new(
            "rate_limit_counted_alone_total",
            "Requests that this process counted alone because Redis failed.",
        )?;
        registry.register(Box::new(redis_in_use.clone()))?;
        registry.register(Box::new(fallback_checks.clone()))?;
        Ok(Self { redis_in_use, fallback_checks })
    }
}

/// A rate limiter that counts in Redis, or in this process while Redis is unavailable.
pub struct SharedLimiter {
    redis: Arc<RedisCounter>,
    fallback: InProcessLimiter,
}

struct RedisCounter {
    client: Client,
    script: Script,
    connection: Mutex<ConnectionSlot>,
    metrics: LimiterMetrics,
    reconnects: TaskTracker,
}

/// The current connection, if one is open.
#[derive(Default)]
struct ConnectionSlot {
    connection: Option<MultiplexedConnection>,
    /// Incremented with each change, so that a late failure of an old connection does not remove a new one.
    generation: u64,
}

impl SharedLimiter {
    /// Opens a limiter that uses the Redis server at `url` (`redis://` or `rediss://`). Tries to connect once, for at
    /// most one second. If that fails, the limiter starts with the fallback and keeps trying to connect.
    ///
    /// # Errors
    /// If `url` is not valid.
    pub async fn open(url: &str, metrics: LimiterMetrics) -> Result<Self, SharedLimiterError> {
        let client = Client::open(url).map_err(SharedLimiterError)?;
        let redis = Arc::new(RedisCounter {
            client,
            script: Script::new(include_str!("shared.lua")),
            connection: Mutex::default(),
            metrics,
            reconnects: TaskTracker::new(),
        });
        match redis.connect().await {
            Ok(connection) => redis.set_connected(connection),
            Err(error) => redis.set_disconnected(0, &error),
        }
        Ok(Self { redis, fallback: InProcessLimiter::default() })
    }
}

#[async_trait]
impl RateLimiter for SharedLimiter {
    async fn check(&self, policies: &[QuotaPolicy]) -> RateLimitDecision {
        if let Some((connection, generation)) = self.redis.connection() {
            match self.redis.count(connection, policies).await {
                Ok(decision) => return decision,
                Err(error) => self.redis.set_disconnected(generation, &error),
            }
        }
        self.redis.metrics.fallback_checks.inc();
        self.fallback.count(policies)
    }
}

/// Reason why Redis did not count a request.
#[derive(Debug, thiserror::Error)]
enum CountError {
    #[error("Redis did not answer in time")]
    Timeout,
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("the script returned an invalid response")]
    InvalidResponse,
}

impl RedisCounter {
    fn lock_slot(&self) -> MutexGuard<'_, ConnectionSlot> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the current connection and its generation; `None` while Redis is unavailable.
    fn connection(&self) -> Option<(MultiplexedConnection, u64)> {
        let slot = self.lock_slot();
        slot.connection.clone().map(|connection| (connection, slot.generation))
    }

    async fn count(
        &self,
        mut connection: MultiplexedConnection,
        policies: &[QuotaPolicy],
    ) -> Result<RateLimitDecision, CountError> {
        let mut call = self.script.prepare_invoke();
        for policy in policies {
            call.key(redis_key(policy)).arg(policy.emission_interval()).arg(policy.tolerance());
        }
        let response = tokio::time::timeout(COMMAND_TIMEOUT, call.invoke_async::<Vec<u64>>(&mut connection)).await;
        let response = response.map_err(|_| CountError::Timeout)??;
        match response.split_first() {
            Some((refused, backlogs)) if backlogs.len() == policies.len() => {
                Ok(RateLimitDecision::new(policies, backlogs, *refused == 1))
            }
            _ => Err(CountError::InvalidResponse),
        }
    }

    /// Opens a connection and runs the script on it once, to detect a server that is read-only or still loading.
    async fn connect(&self) -> Result<MultiplexedConnection, CountError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(CONNECT_TIMEOUT));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection =
            tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| CountError::Timeout)??;
        let mut probe = self.script.prepare_invoke();
        let _: Vec<u64> = probe.key("plant-agent:rate:probe").arg(1).arg(1_000).invoke_async(&mut connection).await?;
        Ok(connection)
    }

    fn set_connected(&self, connection: MultiplexedConnection) {
        let mut slot = self.lock_slot();
        slot.generation += 1;
        slot.connection = Some(connection);
        drop(slot);
        self.metrics.redis_in_use.set(1);
        tracing::info!("rate limits are shared through Redis");
    }

    /// Drops the connection of this generation, logs the error and starts to reconnect. If many requests fail at once,
    /// only the first one does this.
    fn set_disconnected(self: &Arc<Self>, generation: u64, error: &CountError) {
        let mut slot = self.lock_slot();
        if slot.generation != generation {
            return;
        }
        slot.generation += 1;
        slot.connection = None;
        drop(slot);
        self.metrics.redis_in_use.set(0);
        tracing::warn!(%error, "Redis failed; this process counts rate limits on its own until Redis is back");
        self.reconnects.spawn(reconnect(Arc::downgrade(self)));
    }
}

/// Tries to connect until it succeeds or the limiter is dropped.
async fn reconnect(redis: Weak<RedisCounter>) {
    loop {
        tokio::time::sleep(RECONNECT_INTERVAL).await;
        let Some(redis) = redis.upgrade() else { return };
        if let Ok(connection) = redis.connect().await {
            return redis.set_connected(connection);
        }
    }
}

/// Returns the key of a policy. The braces are a hash tag, which puts all keys of a tenant in the same slot of a Redis
/// cluster, as scripts require.
fn redis_key(policy: &QuotaPolicy) -> String {
    match policy.partition {
        PartitionKey::User { tenant, user } => format!("plant-agent:rate:{{{tenant}}}:{user}:{}", policy.name),
        PartitionKey::Tenant(tenant) => format!("plant-agent:rate:{{{tenant}}}:{}", policy.name),
    }
}
