//! Answers one request: with the result, or with the reason for the failure.

use super::call::error_kind;
use super::history::{HistoryBuilder, HistoryPlan};
use super::pool::SourcePool;
use super::source::Source;
use super::states::{ConnectorKey, StateBoard};
use super::{PlantProcessPorts, PlantProcessSettings};
use chrono::TimeDelta;
use domain::ids::{TagId, TenantId};
use domain::plant::{
    AggregatedHistory, ClaimedRequest, ConnectorCheck, ConnectorError, HistoryOrigin, PlantAnswer, PlantFailure,
    PlantOperation, PlantRequest, RecordedSample, Tag,
};
use domain::time::Timestamp;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// The answer is stored at least this long before the caller stops waiting.
const ANSWER_MARGIN: Duration = Duration::from_millis(1_500);
/// Number of recorded samples that are read at a time.
const RECORDED_PAGE: u32 = 20_000;

/// Answers requests, each once.
pub(super) struct RequestHandler {
    ports: PlantProcessPorts,
    settings: PlantProcessSettings,
    board: Arc<StateBoard>,
    pool: Arc<SourcePool>,
    /// Semaphores of the tenants that have requests.
    places: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

impl RequestHandler {
    pub(super) fn new(
        ports: PlantProcessPorts,
        settings: PlantProcessSettings,
        board: Arc<StateBoard>,
        pool: Arc<SourcePool>,
    ) -> Self {
        Self { ports, settings, board, pool, places: Mutex::default() }
    }

    /// Closes the connectors that may no longer be used.
    pub(super) fn close_unusable(&self) {
        self.pool.close_unusable(&self.board.current());
    }

    /// Answers a request and stores the answer.
    pub(super) async fn handle(&self, claimed: ClaimedRequest) {
        let start = Instant::now();
        let ClaimedRequest { tenant, request } = claimed;
        let places = self.places(tenant);
        let place = timeout_at(self.deadline(&request), places.acquire()).await;
        if request.expires_at <= self.ports.clock.now() {
            return;
        }
        let key = ConnectorKey { tenant, connector: request.connector };
        let answer = match place {
            // The permit is held until there is an answer. The losing future is dropped, which cancels its call.
            Ok(Ok(_place)) => tokio::select! {
                biased;
                failure = self.board.until_unusable(key) => PlantAnswer::Failed(failure),
                answer = self.answer(key, &request) => answer.unwrap_or_else(PlantAnswer::Failed),
            },
            // Cannot happen: the semaphore is never closed.
            Ok(Err(_)) => return,
            // The tenant's other requests took all of the available time.
            Err(_) => PlantAnswer::Failed(PlantFailure::BudgetExhausted { retry_after_s: 1 }),
        };
        self.ports.observer.answered(request.operation.kind(), outcome(&answer), start.elapsed());
        self.store(tenant, &request, &answer).await;
    }

    /// Refuses a request if it is unknown whether its connector may be used now.
    pub(super) async fn refuse(&self, claimed: ClaimedRequest) {
        let ClaimedRequest { tenant, request } = claimed;
        let detail = "the platform's database does not answer".to_owned();
        let failure = PlantFailure::Connector { error: ConnectorError::Unreachable { detail } };
        self.store(tenant, &request, &PlantAnswer::Failed(failure)).await;
    }

    async fn store(&self, tenant: TenantId, request: &PlantRequest, answer: &PlantAnswer) {
        if let Err(error) = self.ports.queue.answer(tenant, request.id, answer).await {
            tracing::warn!(%error, "an answer of a plant system cannot be stored");
            // Answer with the failure, so that the caller does not wait until its deadline.
            let detail = "its answer cannot be stored".to_owned();
            let unusable = PlantFailure::Connector { error: ConnectorError::InvalidResponse { detail } };
            let _result = self.ports.queue.answer(tenant, request.id, &PlantAnswer::Failed(unusable)).await;
        }
    }

    async fn answer(&self, key: ConnectorKey, request: &PlantRequest) -> Result<PlantAnswer, PlantFailure> {
        let state = self.board.usable(key)?;
        let source = match self.pool.source(&state).await {
            Ok(source) => source,
            // A test reports why the connector cannot be opened.
            Err(PlantFailure::Connector { error }) if request.operation == PlantOperation::Check => {
                let detail = error.to_string();
                return Ok(PlantAnswer::Checked(ConnectorCheck { ok: false, detail, untrusted_certificate: None }));
            }
            Err(failure) => return Err(failure),
        };
        if source.details().connector.classification > request.clearance {
            return Err(PlantFailure::Unknown);
        }
        let deadline = self.deadline(request);
        Ok(match &request.operation {
            PlantOperation::Read { tags } => PlantAnswer::Samples { samples: source.read(tags, deadline).await? },
            PlantOperation::Check => PlantAnswer::Checked(source.check(deadline).await?),
            PlantOperation::Browse { limit } => PlantAnswer::Browsed { tags: source.browse(*limit, deadline).await? },
            PlantOperation::History { tag, from, to, aggregate, interval_s, max_points } => {
                let tag = source.tag(*tag).ok_or(PlantFailure::Unknown)?;
                let plan = HistoryPlan {
                    period: *from..*to,
                    aggregate: *aggregate,
                    interval_s: *interval_s,
                    max_points: *max_points,
                };
                PlantAnswer::History(self.history(key.tenant, &source, tag, plan, deadline).await?)
            }
        })
    }

    /// The source's own history, or else the recorded samples.
    async fn history(
        &self,
        tenant: TenantId,
        source: &Source,
        tag: &Tag,
        plan: HistoryPlan,
        deadline: Instant,
    ) -> Result<AggregatedHistory, PlantFailure> {
        let period = plan.period.clone();
        let mut builder = HistoryBuilder::new(plan);
        let read = source.history(&tag.mapping, period.clone(), deadline).await;
        if let Ok(Some(samples)) = &read {
            if samples.len() >= self.settings.max_history_samples {
                builder.set_truncated();
            }
            for sample in samples {
                // The age of a historical sample is irrelevant; only the source can mark it as stale.
                let is_stale = sample.is_stale(sample.source_timestamp.unwrap_or(sample.received_at), u32::MAX);
                builder.push(sample.source_timestamp.unwrap_or(sample.received_at), sample, is_stale);
            }
            return Ok(builder.finish(HistoryOrigin::Source));
        }
        let count = self.push_recorded(&mut builder, tenant, tag.id, period).await?;
        match read {
            // The platform's own records are available even if the source is not.
            Err(failure) if count == 0 => Err(failure),
            Ok(_) if count == 0 && source.details().connector.recording.is_none() => Err(PlantFailure::NoHistory),
            _ => Ok(builder.finish(HistoryOrigin::Recorded)),
        }
    }

    /// Reads what was recorded, page by page; returns the number of samples.
    async fn push_recorded(
        &self,
        builder: &mut HistoryBuilder,
        tenant: TenantId,
        tag: TagId,
        period: Range<Timestamp>,
    ) -> Result<usize, PlantFailure> {
        let (mut from, mut count) = (period.start, 0);
        loop {
            let page = self.ports.queue.recorded(tenant, tag, from..period.end, RECORDED_PAGE).await;
            let page = page.map_err(|error| {
                tracing::warn!(%error, "recorded samples cannot be read");
                let detail = "the platform's own record cannot be read".to_owned();
                PlantFailure::Connector { error: ConnectorError::Unreachable { detail } }
            })?;
            for RecordedSample { at, sample, is_stale, .. } in &page {
                builder.push(*at, sample, *is_stale);
            }
            count += page.len();
            match page.last() {
                Some(last) if page.len() == RECORDED_PAGE as usize => {
                    if count >= self.settings.max_history_samples * 10 {
                        builder.set_truncated();
                        return Ok(count);
                    }
                    from = last.at + TimeDelta::microseconds(1);
                }
                _ => return Ok(count),
            }
        }
    }

    /// Time by which the answer must be ready.
    fn deadline(&self, request: &PlantRequest) -> Instant {
        let left = request.expires_at.signed_duration_since(self.ports.clock.now()).to_std().unwrap_or_default();
        Instant::now() + left.saturating_sub(ANSWER_MARGIN)
    }

    fn places(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, places| places.strong_count() > 0);
        if let Some(places) = places.get(&tenant).and_then(Weak::upgrade) {
            return places;
        }
        let new = Arc::new(Semaphore::new(self.settings.requests_per_tenant));
        places.insert(tenant, Arc::downgrade(&new));
        new
    }
}

/// Outcome of a request, for metrics.
fn outcome(answer: &PlantAnswer) -> &'static str {
    match answer {
        PlantAnswer::Failed(failure) => match failure {
            PlantFailure::Unknown => "unknown",
            PlantFailure::PlantMode => "plant_mode",
            PlantFailure::BudgetExhausted { .. } => "budget",
            PlantFailure::NoHistory => "no_history",
            PlantFailure::Connector { error } => error_kind(error),
        },
        _ => "ok",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, FakePlant, FakeQueue, refused, tag_id};
    use super::*;
    use domain::ids::PlantRequestId;
    use domain::plant::{Aggregate, ConnectorKind, Quality, Sample, TagValue};
    use domain::role::Classification;
    use std::sync::atomic::Ordering;
    use uuid::Uuid;

    async fn handler(queue: &Arc<FakeQueue>, plant: &Arc<FakePlant>) -> RequestHandler {
        let ports = testing::ports(queue, plant);
        let settings = PlantProcessSettings { requests_per_tenant: 1, ..PlantProcessSettings::default() };
        let board = Arc::new(StateBoard::new(Arc::clone(&ports.queue)));
        board.refresh().await.expect("states");
        let pool = Arc::new(SourcePool::new(ports.clone(), settings));
        RequestHandler::new(ports, settings, board, pool)
    }

    fn request(handler: &RequestHandler, operation: PlantOperation) -> ClaimedRequest {
        let now = handler.ports.clock.now();
        let request = PlantRequest {
            id: PlantRequestId::from_uuid(Uuid::from_u128(7)),
            connector: testing::key().connector,
            clearance: Classification::Internal,
            operation,
            created_at: now,
            expires_at: now + TimeDelta::seconds(16),
        };
        ClaimedRequest { tenant: testing::key().tenant, request }
    }

    fn history_of(tag: TagId) -> PlantOperation {
        let at = |second| Timestamp::from_timestamp(second, 0).expect("a time");
        let aggregate = Aggregate::Raw;
        PlantOperation::History { tag, from: at(0), to: at(100), aggregate, interval_s: 0, max_points: 10 }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_recorded_is_read_while_the_source_fails() {
        let mut queue = FakeQueue::new(ConnectorKind::OpcUa);
        let at = Timestamp::from_timestamp(50, 0).expect("a time");
        let value = TagValue::number(4.5);
        let sample = Sample { value: value.clone(), quality: Quality::Good, ..Sample::without_value("", at) };
        queue.recorded.push(RecordedSample { tag: tag_id(0), at, sample, is_stale: false });
        let queue = Arc::new(queue);
        let plant = Arc::<FakePlant>::default();
        plant.fails.store(true, Ordering::Relaxed);
        let handler = handler(&queue, &plant).await;
        for tag in [tag_id(0), tag_id(1)] {
            handler.handle(request(&handler, history_of(tag))).await;
        }
        let answers = queue.answers();
        let PlantAnswer::History(history) = &answers[0] else { panic!("{answers:?}") };
        assert_eq!((history.origin, &history.points[0].value), (HistoryOrigin::Recorded, &value));
        assert_eq!(
            answers[1],
            PlantAnswer::Failed(PlantFailure::Connector { error: refused() }),
            "nothing is recorded"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_too_long_is_answered_before_it_expires() {
        let (queue, plant) = (Arc::new(FakeQueue::new(ConnectorKind::Simulator)), Arc::<FakePlant>::default());
        let handler = handler(&queue, &plant).await;
        let places = handler.places(testing::key().tenant);
        let _all = places.acquire().await.expect("a place");
        let start = Instant::now();
        handler.handle(request(&handler, PlantOperation::Read { tags: vec![tag_id(0)] })).await;
        assert_eq!(queue.answers(), [PlantAnswer::Failed(PlantFailure::BudgetExhausted { retry_after_s: 1 })]);
        assert!(start.elapsed() < Duration::from_secs(16), "{:?}", start.elapsed());
        assert_eq!(plant.call_count(), 0);
    }

    #[tokio::test]
    async fn a_request_is_refused_if_the_states_of_connectors_are_not_known() {
        let (queue, plant) = (Arc::new(FakeQueue::new(ConnectorKind::Simulator)), Arc::<FakePlant>::default());
        let handler = handler(&queue, &plant).await;
        handler.refuse(request(&handler, PlantOperation::Check)).await;
        let answers = queue.answers();
        assert!(matches!(answers[..], [PlantAnswer::Failed(PlantFailure::Connector { .. })]), "{answers:?}");
    }
}
