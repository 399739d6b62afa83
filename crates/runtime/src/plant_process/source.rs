//! An open connector with a cache of its most recent samples. Calls are serialized, within the budget of its endpoint.

use super::breaker::Breaker;
use super::budget::{BudgetSpent, EndpointBudget};
use super::call::{Ended, TimeLimit, error_kind};
use super::clean::{clean_offered, clean_sample, clean_text};
use super::states::ConnectorKey;
use super::{PlantProcessPorts, PlantProcessSettings};
use domain::ids::TagId;
use domain::plant::{
    ConnectorCheck, ConnectorDetails, ConnectorError, ConnectorKind, ConnectorSettings, OfferedTag, PlantFailure,
    ReadSample, Sample, Tag, TagMapping,
};
use domain::ports::{BrowsedTag, LatestSample, PlantConnector};
use domain::time::Timestamp;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout, timeout_at};

/// Samples are stored as the newest ones of their tags at most this often.
const STORE_INTERVAL: Duration = Duration::from_secs(5);
/// A call has at least this much time; a reader with less left is refused.
const MIN_CALL: Duration = Duration::from_secs(1);
/// The process gives a connector this much more time than the connector gives itself, because the connector's own
/// errors are more specific.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

/// The parts of a source.
pub(super) struct SourceParts {
    pub(super) key: ConnectorKey,
    pub(super) details: ConnectorDetails,
    pub(super) connector: Arc<dyn PlantConnector>,
    pub(super) budget: Arc<EndpointBudget>,
}

/// An open connector.
pub(super) struct Source {
    parts: SourceParts,
    ports: PlantProcessPorts,
    settings: PlantProcessSettings,
    breaker: Breaker,
    cache: Mutex<HashMap<TagId, Cached>>,
    /// Tags with waiting readers. The next call reads them all.
    wanted: Mutex<BTreeSet<TagId>>,
    /// Locked during a call for present values.
    turn: AsyncMutex<StoredAt>,
}

/// When samples were last stored.
#[derive(Default)]
struct StoredAt(Option<Instant>);

#[derive(Clone)]
struct Cached {
    sample: Sample,
    read_at: Instant,
    /// Read since samples were last stored.
    is_new: bool,
}

/// Why values were not read.
enum Unread {
    Budget(BudgetSpent),
    Connector(ConnectorError),
}

impl From<Unread> for PlantFailure {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Budget(BudgetSpent { retry_after_s }) => Self::BudgetExhausted { retry_after_s },
            Unread::Connector(error) => Self::Connector { error },
        }
    }
}

impl Source {
    pub(super) fn new(parts: SourceParts, ports: PlantProcessPorts, settings: PlantProcessSettings) -> Self {
        Self {
            parts,
            ports,
            settings,
            breaker: Breaker::default(),
            cache: Mutex::default(),
            wanted: Mutex::default(),
            turn: AsyncMutex::default(),
        }
    }

    pub(super) fn details(&self) -> &ConnectorDetails {
        &self.parts.details
    }

    pub(super) fn tag(&self, id: TagId) -> Option<&Tag> {
        self.parts.details.tags.iter().find(|tag| tag.id == id)
    }

    /// Present values of tags, in their order: from the cache, or from a call by `deadline`. If the source cannot be
    /// read, falls back to older samples.
    ///
    /// # Errors
    /// If a tag is not the connector's; or if the source cannot be read and there is no older sample of one of the
    /// tags.
    pub(super) async fn read(&self, tags: &[TagId], deadline: Instant) -> Result<Vec<ReadSample>, PlantFailure> {
        if tags.iter().any(|tag| self.tag(*tag).is_none()) {
            return Err(PlantFailure::Unknown);
        }
        match self.read_fresh(tags, deadline).await {
            Ok(()) => self.cached(tags, false).ok_or(PlantFailure::Unknown),
            Err(unread) => {
                self.load_older(tags).await;
                // An exhausted budget does not mean that the source is unreachable.
                let is_out_of_reach = matches!(unread, Unread::Connector(_));
                self.cached(tags, is_out_of_reach).ok_or_else(|| unread.into())
            }
        }
    }

    /// Reads the tags that have no fresh sample, sharing calls with other readers.
    async fn read_fresh(&self, tags: &[TagId], deadline: Instant) -> Result<(), Unread> {
        let since = Instant::now();
        loop {
            let missing = self.not_fresh(tags, since);
            if missing.is_empty() {
                return Ok(());
            }
            self.wanted().extend(missing);
            // The lock's holder waits for the budget or the source; an error of the source is returned to that reader.
            let turn = timeout_at(deadline, self.turn.lock()).await;
            let mut turn = turn.map_err(|_| self.out_of_time())?;
            // Another reader's call may have read them in the meantime.
            if self.not_fresh(tags, since).is_empty() {
                return Ok(());
            }
            self.breaker.check().map_err(|error| {
                self.ports.observer.refused_by_breaker(self.kind());
                Unread::Connector(error)
            })?;
            self.take_budget(deadline).await?;
            let batch = self.affordable(self.next_batch(self.not_fresh(tags, since)));
            self.call(&batch, deadline).await.map_err(Unread::Connector)?;
            self.store_new(&mut turn).await;
        }
    }

    /// The tags of the next call: the caller's first, then those of other waiting readers.
    fn next_batch(&self, mut batch: Vec<TagId>) -> Vec<TagId> {
        batch.truncate(self.settings.tags_per_call);
        let mut wanted = self.wanted();
        for tag in wanted.iter() {
            if batch.len() < self.settings.tags_per_call && !batch.contains(tag) {
                batch.push(*tag);
            }
        }
        wanted.retain(|tag| !batch.contains(tag));
        batch
    }

    /// The first tags of a batch, as far as the budget has tokens for the requests that they take; one token is taken
    /// already. The other tags keep waiting.
    fn affordable(&self, mut batch: Vec<TagId>) -> Vec<TagId> {
        let requests = self.request_count(&batch);
        let allowed = 1 + self.parts.budget.take_available(requests.saturating_sub(1));
        let mut later = Vec::new();
        while batch.len() > 1 && self.request_count(&batch) > allowed {
            later.extend(batch.pop());
        }
        self.wanted().extend(later);
        batch
    }

    fn request_count(&self, batch: &[TagId]) -> usize {
        self.parts.connector.request_count(&self.mappings(batch))
    }

    fn mappings(&self, batch: &[TagId]) -> Vec<TagMapping> {
        batch.iter().filter_map(|tag| self.tag(*tag)).map(|tag| tag.mapping.clone()).collect()
    }

    /// Waits for a token of the budget while there is still time for a call after it.
    async fn take_budget(&self, deadline: Instant) -> Result<(), Unread> {
        let latest = deadline.checked_sub(MIN_CALL).filter(|latest| Instant::now() <= *latest);
        let taken = match latest {
            Some(latest) => self.parts.budget.take(latest).await.map_err(Unread::Budget),
            None => Err(self.out_of_time()),
        };
        taken.inspect_err(|_| self.ports.observer.refused_by_budget(self.kind()))
    }

    /// Why a reader whose time is up has no values: the source does not work or, if it does, other readers had
    /// precedence.
    fn out_of_time(&self) -> Unread {
        match self.breaker.last_error() {
            Some(error) => Unread::Connector(error),
            None => Unread::Budget(BudgetSpent { retry_after_s: 1 }),
        }
    }

    /// Time limit of a call for present values.
    fn call_timeout(&self) -> Duration {
        if self.kind() == ConnectorKind::Simulator {
            return self.settings.call_timeout;
        }
        let own = self.details().connector.config.get("timeout_s").and_then(Value::as_u64);
        let own = Duration::from_secs(own.unwrap_or(ConnectorSettings::DEFAULT_TIMEOUT_S));
        self.settings.call_timeout.max(own.saturating_add(TIMEOUT_MARGIN))
    }

    /// Reads tags from the connector and caches their samples.
    async fn call(&self, batch: &[TagId], deadline: Instant) -> Result<(), ConnectorError> {
        let mappings = self.mappings(batch);
        let limit = TimeLimit::of(self.call_timeout(), deadline);
        let ended = self.bounded(limit, self.parts.connector.read(&mappings)).await;
        self.record(&ended);
        let read = ended.result?;
        if read.len() != batch.len() {
            let detail = format!("{} values for {} tags", read.len(), batch.len());
            return Err(ConnectorError::InvalidResponse { detail });
        }
        let read_at = Instant::now();
        let mut cache = self.cache();
        for (tag, sample) in batch.iter().zip(read) {
            cache.insert(*tag, Cached { sample: clean_sample(sample), read_at, is_new: true });
        }
        Ok(())
    }

    /// Runs a call with a time limit.
    async fn bounded<T>(&self, limit: TimeLimit, call: impl Future<Output = Result<T, ConnectorError>>) -> Ended<T> {
        let start = Instant::now();
        let ended = limit.run(call).await;
        let outcome = ended.result.as_ref().map_or_else(error_kind, |_| "ok");
        self.ports.observer.called(self.kind(), outcome, start.elapsed());
        ended
    }

    /// Reports the outcome of a call to the breaker, if it says anything about the source.
    fn record<T>(&self, ended: &Ended<T>) {
        if !ended.is_cut_short {
            self.breaker.record(&ended.result);
        }
    }

    /// The source's own history; `None` if it stores none.
    ///
    /// # Errors
    /// If the budget is spent or the source cannot be read.
    pub(super) async fn history(
        &self,
        tag: &TagMapping,
        period: Range<Timestamp>,
        deadline: Instant,
    ) -> Result<Option<Vec<Sample>>, PlantFailure> {
        if !self.kind().keeps_history() {
            return Ok(None);
        }
        self.breaker.check().map_err(|error| {
            self.ports.observer.refused_by_breaker(self.kind());
            Unread::Connector(error)
        })?;
        self.take_budget(deadline).await?;
        let call = self.parts.connector.history(tag, period, self.settings.max_history_samples);
        let ended = self.bounded(TimeLimit::of(self.settings.history_timeout, deadline), call).await;
        // A history that takes long, or that the source does not store, says nothing about reads of present values.
        if !matches!(ended.result, Ok(None) | Err(ConnectorError::TimedOut { .. })) {
            self.record(&ended);
        }
        let samples = ended.result.map_err(Unread::Connector)?;
        Ok(samples.map(|samples| samples.into_iter().map(clean_sample).collect()))
    }

    /// The tags that the source offers.
    ///
    /// # Errors
    /// If the budget is spent or the source cannot be read.
    pub(super) async fn browse(
        &self,
        limit: usize,
        deadline: Instant,
    ) -> Result<Option<Vec<OfferedTag>>, PlantFailure> {
        self.take_budget(deadline).await?;
        let call = self.parts.connector.browse(limit);
        let ended = self.bounded(TimeLimit::of(self.settings.history_timeout, deadline), call).await;
        self.record(&ended);
        let tags = ended.result.map_err(Unread::Connector)?;
        let offered = |tag: BrowsedTag| OfferedTag {
            name: tag.name,
            mapping: tag.mapping,
            unit: tag.unit,
            description: tag.description,
        };
        Ok(tags.map(|tags| tags.into_iter().take(limit).map(offered).map(clean_offered).collect()))
    }

    /// Tests the connection, even while the breaker is open: an administrator needs its current state.
    ///
    /// # Errors
    /// If the budget is spent.
    pub(super) async fn check(&self, deadline: Instant) -> Result<ConnectorCheck, PlantFailure> {
        self.take_budget(deadline).await?;
        let first = self.parts.details.tags.first().map(|tag| &tag.mapping);
        let limit = TimeLimit::of(self.settings.history_timeout, deadline).duration;
        let timed_out = |_| ConnectorCheck {
            ok: false,
            detail: ConnectorError::TimedOut { seconds: limit.as_secs() }.to_string(),
            untrusted_certificate: None,
        };
        let start = Instant::now();
        let check = timeout(limit, self.parts.connector.check(first)).await.unwrap_or_else(timed_out);
        if check.ok {
            self.breaker.record(&Ok(()));
        }
        self.ports.observer.called(self.kind(), if check.ok { "ok" } else { "check_failed" }, start.elapsed());
        Ok(ConnectorCheck { detail: clean_text(&check.detail), ..check })
    }

    /// The tags that were read neither within `max_age` nor since `since`, the start of the read.
    fn not_fresh(&self, tags: &[TagId], since: Instant) -> Vec<TagId> {
        let cache = self.cache();
        let is_new = |read_at: Instant| read_at >= since || read_at.elapsed() < self.settings.max_age;
        let is_fresh = |tag: &TagId| cache.get(tag).is_some_and(|cached| is_new(cached.read_at));
        let missing: BTreeSet<TagId> = tags.iter().copied().filter(|tag| !is_fresh(tag)).collect();
        missing.into_iter().collect()
    }

    /// The samples of all the tags; `None` if one of the tags has no sample.
    fn cached(&self, tags: &[TagId], is_out_of_reach: bool) -> Option<Vec<ReadSample>> {
        let cache = self.cache();
        let read =
            |tag: &TagId| cache.get(tag).map(|cached| ReadSample { sample: cached.sample.clone(), is_out_of_reach });
        tags.iter().map(read).collect()
    }

    /// Fetches samples that an earlier process read, of tags that this one has not read.
    async fn load_older(&self, tags: &[TagId]) {
        let unread: Vec<TagId> = {
            let cache = self.cache();
            tags.iter().copied().filter(|tag| !cache.contains_key(tag)).collect()
        };
        if unread.is_empty() {
            return;
        }
        match self.ports.queue.latest(self.parts.key.tenant, &unread).await {
            Ok(latest) => {
                let Some(read_at) = Instant::now().checked_sub(self.settings.max_age) else { return };
                let mut cache = self.cache();
                for LatestSample { tag, sample } in latest {
                    cache.entry(tag).or_insert(Cached { sample, read_at, is_new: false });
                }
            }
            Err(error) => tracing::warn!(%error, "older samples cannot be read"),
        }
    }

    /// Stores the new samples as the newest ones, unless some were stored a moment ago.
    async fn store_new(&self, stored_at: &mut StoredAt) {
        if stored_at.0.is_some_and(|at| at.elapsed() < STORE_INTERVAL) {
            return;
        }
        stored_at.0 = Some(Instant::now());
        let new: Vec<LatestSample> = {
            let mut cache = self.cache();
            let latest = |tag: &TagId, cached: &Cached| LatestSample { tag: *tag, sample: cached.sample.clone() };
            let new = cache
                .iter_mut()
                .filter_map(|(tag, cached)| std::mem::take(&mut cached.is_new).then(|| latest(tag, cached)));
            new.collect()
        };
        if let Err(error) = self.ports.queue.store_latest(self.parts.key.tenant, &new).await {
            tracing::warn!(%error, "the newest samples cannot be stored");
        }
    }

    fn kind(&self) -> ConnectorKind {
        self.parts.details.connector.kind
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<TagId, Cached>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeSet<TagId>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, FakePlant, FakeQueue, refused, tag_id};
    use super::*;
    use std::sync::atomic::Ordering;

    fn source(plant: &Arc<FakePlant>, kind: ConnectorKind) -> Source {
        let queue = Arc::new(FakeQueue::new(kind));
        let settings = PlantProcessSettings { call_timeout: Duration::from_secs(5), ..PlantProcessSettings::default() };
        let parts = SourceParts {
            key: testing::key(),
            details: testing::details(kind),
            connector: Arc::clone(plant) as Arc<dyn PlantConnector>,
            budget: Arc::new(EndpointBudget::new(settings.calls_per_s)),
        };
        Source::new(parts, testing::ports(&queue, plant), settings)
    }

    fn in_seconds(seconds: f64) -> Instant {
        Instant::now() + Duration::from_secs_f64(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn readers_without_time_do_not_open_the_breaker_of_a_slow_source() {
        let plant = Arc::new(FakePlant { takes: Duration::from_secs(3), ..FakePlant::default() });
        let source = source(&plant, ConnectorKind::Simulator);
        for _ in 0..5 {
            let read = source.read(&[tag_id(0)], in_seconds(2.0)).await;
            assert!(
                matches!(read, Err(PlantFailure::Connector { error: ConnectorError::TimedOut { .. } })),
                "{read:?}"
            );
        }
        let refused = source.read(&[tag_id(0)], in_seconds(0.5)).await;
        assert_eq!(refused, Err(PlantFailure::BudgetExhausted { retry_after_s: 1 }));
        assert_eq!(plant.call_count(), 5, "no call is made that could not end");
        assert!(source.read(&[tag_id(0)], in_seconds(10.0)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_never_answers_opens_the_breaker() {
        let plant = Arc::new(FakePlant { takes: Duration::from_secs(600), ..FakePlant::default() });
        let source = source(&plant, ConnectorKind::Simulator);
        for _ in 0..4 {
            assert!(source.read(&[tag_id(0)], in_seconds(20.0)).await.is_err());
        }
        assert_eq!(plant.call_count(), 3, "the fourth is refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_waits_behind_a_failing_call_gets_its_failure() {
        let plant = Arc::new(FakePlant { takes: Duration::from_secs(3), ..FakePlant::default() });
        let source = source(&plant, ConnectorKind::Simulator);
        let behind = async {
            let (first_tag, second_tag) = ([tag_id(0)], [tag_id(1)]);
            let first = source.read(&first_tag, in_seconds(10.0));
            let second = source.read(&second_tag, in_seconds(2.0));
            tokio::join!(first, second).1
        };
        assert_eq!(behind.await, Err(PlantFailure::BudgetExhausted { retry_after_s: 1 }));
        plant.fails.store(true, Ordering::Relaxed);
        assert!(source.read(&[tag_id(2)], in_seconds(10.0)).await.is_err());
        let behind = async {
            let (first_tag, second_tag) = ([tag_id(3)], [tag_id(4)]);
            let first = source.read(&first_tag, in_seconds(10.0));
            let second = source.read(&second_tag, in_seconds(2.0));
            tokio::join!(first, second).1
        };
        assert_eq!(behind.await, Err(PlantFailure::Connector { error: refused() }));
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_of_a_read_takes_a_token() {
        let plant = Arc::new(FakePlant { is_scattered: true, ..FakePlant::default() });
        let queue = Arc::new(FakeQueue::new(ConnectorKind::Modbus));
        let settings = PlantProcessSettings::default();
        let parts = SourceParts {
            key: testing::key(),
            details: testing::details(ConnectorKind::Modbus),
            connector: Arc::clone(&plant) as Arc<dyn PlantConnector>,
            budget: Arc::new(EndpointBudget::new(2.0)),
        };
        let source = Source::new(parts, testing::ports(&queue, &plant), settings);
        let start = Instant::now();
        let tags: Vec<TagId> = (0..5).map(tag_id).collect();
        assert!(source.read(&tags, in_seconds(10.0)).await.is_ok());
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(1_400) && took <= Duration::from_millis(1_700), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_history_that_a_source_cannot_keep_costs_nothing_and_says_nothing() {
        let plant = Arc::<FakePlant>::default();
        let mapping = testing::details(ConnectorKind::Modbus).tags[0].mapping.clone();
        let period = Timestamp::UNIX_EPOCH..Timestamp::UNIX_EPOCH;
        let modbus = source(&plant, ConnectorKind::Modbus);
        assert_eq!(modbus.history(&mapping, period.clone(), in_seconds(10.0)).await, Ok(None));
        assert!(plant.call_count() == 0 && modbus.parts.budget.is_full());
        let simulator = source(&plant, ConnectorKind::Simulator);
        simulator.breaker.record::<()>(&Err(refused()));
        assert_eq!(simulator.history(&mapping, period, in_seconds(10.0)).await, Ok(None));
        assert_eq!(simulator.breaker.last_error(), Some(refused()), "no success");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_history_does_not_open_the_breaker() {
        let plant = Arc::new(FakePlant { takes: Duration::from_secs(600), ..FakePlant::default() });
        let source = source(&plant, ConnectorKind::OpcUa);
        let mapping = testing::details(ConnectorKind::OpcUa).tags[0].mapping.clone();
        for _ in 0..4 {
            let period = Timestamp::UNIX_EPOCH..Timestamp::UNIX_EPOCH;
            assert!(source.history(&mapping, period, in_seconds(60.0)).await.is_err());
        }
        assert_eq!(source.breaker.check(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connector_has_a_second_more_than_it_gives_itself() {
        let plant = Arc::<FakePlant>::default();
        assert_eq!(source(&plant, ConnectorKind::Simulator).call_timeout(), Duration::from_secs(5));
        let mut opc_ua = source(&plant, ConnectorKind::OpcUa);
        assert_eq!(opc_ua.call_timeout(), Duration::from_secs(6));
        opc_ua.parts.details.connector.config = serde_json::json!({ "timeout_s": 20 });
        assert_eq!(opc_ua.call_timeout(), Duration::from_secs(21));
    }
}
