//! Reads plant systems for tools and administrators: sends requests to the plant process through the database. It holds
//! no connection while it waits for an answer.

use crate::plant_process::history::choose_interval;
use async_trait::async_trait;
use domain::ids::{ConnectorId, PlantRequestId, TagId};
use domain::plant::{
    Aggregate, AggregatedHistory, CatalogTag, ConnectorCheck, ConnectorError, HistoryQuery, KnownTag, OfferedTag,
    PlantAnswer, PlantFailure, PlantMode, PlantOperation, PlantRequest, ReadSample, Sample, TagHistory, TagQuery,
    TagReading, is_spelling_of,
};
use domain::ports::{Clock, IdGen, PlantAnswerListener, PlantReadError, PlantReader, PlantReaderScope, Store};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Maximum number of points of a history.
const MAX_POINTS: usize = 500;
/// Longest wait for a notification before the database is polled anyway.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// A request is kept for this much longer than its caller waits, so that an answer at the last moment can still be
/// stored.
const EXPIRY_MARGIN: Duration = Duration::from_secs(1);

/// Ports of the reader.
pub struct PlantReaderPorts {
    /// Transactions of tenants.
    pub store: Arc<dyn Store>,
    /// Notifies of answers.
    pub answer_listener: Arc<dyn PlantAnswerListener>,
    /// Clock for requests, ages and staleness.
    pub clock: Arc<dyn Clock>,
    /// Source of UUIDv7 ids for requests.
    pub ids: Arc<dyn IdGen>,
}

/// The [`PlantReader`] that goes through the database.
pub struct DatabasePlantReader {
    ports: PlantReaderPorts,
    timeout: Duration,
}

/// An operation to request of one connector.
struct Asked {
    connector: ConnectorId,
    operation: PlantOperation,
}

impl DatabasePlantReader {
    /// Creates the reader. Nobody waits longer than `timeout` for an answer.
    #[must_use]
    pub fn new(ports: PlantReaderPorts, timeout: Duration) -> Self {
        Self { ports, timeout }
    }

    /// Tries a connector's connection.
    ///
    /// # Errors
    /// If no plant process answers, the plant mode is off, or the database fails.
    pub async fn check(&self, scope: &TenantScope, id: ConnectorId) -> Result<ConnectorCheck, PlantReadError> {
        match self.ask_one(scope, id, PlantOperation::Check).await? {
            PlantAnswer::Checked(check) => Ok(check),
            other => Err(unexpected(other)),
        }
    }

    /// The tags that a connector's source offers; `None` if its protocol cannot list them.
    ///
    /// # Errors
    /// If the source cannot be read, no plant process answers, the plant mode is off, or the database fails.
    pub async fn browse(
        &self,
        scope: &TenantScope,
        id: ConnectorId,
        limit: u32,
    ) -> Result<Option<Vec<OfferedTag>>, PlantReadError> {
        match self.ask_one(scope, id, PlantOperation::Browse { limit: limit as usize }).await? {
            PlantAnswer::Browsed { tags } => Ok(tags),
            other => Err(unexpected(other)),
        }
    }

    /// Requests an operation for an administrator, whose clearance has no limit.
    async fn ask_one(
        &self,
        scope: &TenantScope,
        connector: ConnectorId,
        operation: PlantOperation,
    ) -> Result<PlantAnswer, PlantReadError> {
        let reader = PlantReaderScope { tenant_scope: scope.clone(), clearance: Classification::Restricted };
        let answers = self.ask(&reader, vec![Asked { connector, operation }]).await?;
        answers.into_iter().next().ok_or(PlantReadError::NoPlantProcess)
    }

    /// Requests operations of several connectors at once; the answers are in the order of the operations.
    async fn ask(&self, reader: &PlantReaderScope, asked: Vec<Asked>) -> Result<Vec<PlantAnswer>, PlantReadError> {
        let requests = self.requests(reader.clearance, asked);
        let ids: Vec<PlantRequestId> = requests.iter().map(|request| request.id).collect();
        let mut tx = self.ports.store.begin(&reader.tenant_scope).await?;
        if tx.plant_mode().get().await?.mode == PlantMode::Off {
            return Err(PlantReadError::PlantMode);
        }
        tx.plant_requests().insert(&requests).await?;
        tx.commit().await?;
        let mut answers = self.wait_for_answers(&reader.tenant_scope, &ids).await?;
        let in_order = ids.iter().map(|id| answers.remove(id));
        in_order.collect::<Option<Vec<_>>>().ok_or(PlantReadError::NoPlantProcess)
    }

    fn requests(&self, clearance: Classification, asked: Vec<Asked>) -> Vec<PlantRequest> {
        let now = self.ports.clock.now();
        let expires_at = now + self.timeout + EXPIRY_MARGIN;
        let request = |Asked { connector, operation }| PlantRequest {
            id: PlantRequestId::from_uuid(self.ports.ids.uuid()),
            connector,
            clearance,
            operation,
            created_at: now,
            expires_at,
        };
        asked.into_iter().map(request).collect()
    }

    /// Waits until all requests are answered or the time is up; deletes the answered ones.
    async fn wait_for_answers(
        &self,
        scope: &TenantScope,
        ids: &[PlantRequestId],
    ) -> Result<HashMap<PlantRequestId, PlantAnswer>, PlantReadError> {
        let deadline = Instant::now() + self.timeout;
        let mut answers = HashMap::new();
        loop {
            let missing: Vec<_> = ids.iter().copied().filter(|id| !answers.contains_key(id)).collect();
            let time_left = deadline.saturating_duration_since(Instant::now());
            let Some(first) = missing.first().filter(|_| !time_left.is_zero()) else { return Ok(answers) };
            self.ports.answer_listener.wait_for_answer(*first, time_left.min(POLL_INTERVAL)).await;
            let mut tx = self.ports.store.begin(scope).await?;
            let found = tx.plant_requests().answers(&missing).await?;
            if !found.is_empty() {
                let found_ids: Vec<_> = found.iter().map(|answered| answered.id).collect();
                tx.plant_requests().delete(&found_ids).await?;
                tx.commit().await?;
            }
            answers.extend(found.into_iter().map(|answered| (answered.id, answered.answer)));
        }
    }

    /// The catalogue's tags for the names, in their order. A name that no tag has exactly may be another spelling of
    /// one. Tags above the clearance are read, too: a name of one of them must not lead to its neighbour.
    async fn resolve(&self, reader: &PlantReaderScope, names: &[String]) -> Result<Vec<KnownTag>, PlantReadError> {
        let mut tx = self.ports.store.begin(&reader.tenant_scope).await?;
        let known = tx.connectors().tags_by_name(names, Classification::Restricted).await?;
        drop(tx);
        let find = |name: &String| find_tag(&known, name, reader.clearance);
        let unknown: Vec<String> = names.iter().filter(|name| find(name).is_none()).cloned().collect();
        if !unknown.is_empty() {
            return Err(PlantReadError::UnknownTags { tags: unknown });
        }
        let found: Vec<KnownTag> = names.iter().filter_map(find).cloned().collect();
        match found.iter().find(|known| !known.is_enabled) {
            Some(known) => Err(PlantReadError::Connector(switched_off(&known.source))),
            None => Ok(found),
        }
    }
}

/// The tag with exactly this name, if the clearance covers it; or, if no tag has it, the only covered one of which it
/// is a spelling.
fn find_tag<'a>(tags: &'a [KnownTag], name: &str, clearance: Classification) -> Option<&'a KnownTag> {
    let mut covered = tags.iter().filter(|known| known.classification <= clearance);
    if tags.iter().any(|known| known.tag.name == name) {
        return covered.find(|known| known.tag.name == name);
    }
    let mut spelled = covered.filter(|known| is_spelling_of(name, &known.tag.name));
    spelled.next().filter(|_| spelled.next().is_none())
}

#[async_trait]
impl PlantReader for DatabasePlantReader {
    async fn find_tags(
        &self,
        reader: &PlantReaderScope,
        query: &str,
        limit: usize,
    ) -> Result<Vec<CatalogTag>, PlantReadError> {
        let mut tx = self.ports.store.begin(&reader.tenant_scope).await?;
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let found = tx.connectors().search_tags(&TagQuery::parse(query), reader.clearance, limit).await?;
        let catalog_tag = |known: KnownTag| CatalogTag {
            tag: known.tag.name,
            unit: known.tag.unit,
            description: known.tag.description,
            equipment: known.tag.equipment,
            classification: known.classification,
        };
        Ok(found.into_iter().map(catalog_tag).collect())
    }

    async fn read(&self, reader: &PlantReaderScope, tags: &[String]) -> Result<Vec<TagReading>, PlantReadError> {
        let known = self.resolve(reader, tags).await?;
        let mut by_connector: BTreeMap<ConnectorId, Vec<TagId>> = BTreeMap::new();
        for tag in &known {
            let ids = by_connector.entry(tag.connector).or_default();
            if !ids.contains(&tag.tag.id) {
                ids.push(tag.tag.id);
            }
        }
        let asked = by_connector.iter().map(|(connector, tags)| Asked {
            connector: *connector,
            operation: PlantOperation::Read { tags: tags.clone() },
        });
        let answers = self.ask(reader, asked.collect()).await?;
        let now = self.ports.clock.now();
        let samples = samples_by_tag(by_connector.into_values().zip(answers), tags, now)?;
        let reading = |known: KnownTag| {
            let read = samples.get(&known.tag.id).cloned().unwrap_or_else(|| ReadSample {
                sample: Sample::without_value("no_answer", now),
                is_out_of_reach: true,
            });
            to_reading(known, read, now)
        };
        Ok(known.into_iter().map(reading).collect())
    }

    async fn history(&self, reader: &PlantReaderScope, query: &HistoryQuery) -> Result<TagHistory, PlantReadError> {
        let known = self.resolve(reader, std::slice::from_ref(&query.tag)).await?;
        let unknown = || PlantReadError::UnknownTags { tags: vec![query.tag.clone()] };
        let known = known.into_iter().next().ok_or_else(unknown)?;
        let interval_s = match query.aggregate {
            Aggregate::Raw => 0,
            _ => choose_interval(&query.period, query.interval.map(|interval| interval.as_secs()), MAX_POINTS),
        };
        let operation = PlantOperation::History {
            tag: known.tag.id,
            from: query.period.start,
            to: query.period.end,
            aggregate: query.aggregate,
            interval_s,
            max_points: MAX_POINTS,
        };
        let answers = self.ask(reader, vec![Asked { connector: known.connector, operation }]).await?;
        match answers.into_iter().next() {
            Some(PlantAnswer::History(history)) => Ok(to_history(known, query.aggregate, history)),
            Some(PlantAnswer::Failed(failure)) => Err(to_error(failure, &[known.tag.name])),
            Some(other) => Err(unexpected(other)),
            None => Err(PlantReadError::NoPlantProcess),
        }
    }
}

/// The samples of all connectors. If one of several fails, its tags get bad samples that say why; if all fail, it is an
/// error.
fn samples_by_tag(
    answers: impl Iterator<Item = (Vec<TagId>, PlantAnswer)>,
    names: &[String],
    now: Timestamp,
) -> Result<HashMap<TagId, ReadSample>, PlantReadError> {
    let (mut samples, mut failed, mut has_answer) = (HashMap::new(), Vec::new(), false);
    for (tags, answer) in answers {
        match answer {
            PlantAnswer::Samples { samples: read } => {
                has_answer = true;
                samples.extend(tags.into_iter().zip(read));
            }
            PlantAnswer::Failed(failure @ (PlantFailure::PlantMode | PlantFailure::Unknown)) => {
                return Err(to_error(failure, names));
            }
            PlantAnswer::Failed(failure) => {
                let sample = Sample::without_value(&to_error(failure.clone(), names).to_string(), now);
                let unread = ReadSample { sample, is_out_of_reach: true };
                samples.extend(tags.into_iter().map(|tag| (tag, unread.clone())));
                failed.push(failure);
            }
            other => return Err(unexpected(other)),
        }
    }
    match failed.into_iter().next() {
        Some(failure) if !has_answer => Err(to_error(failure, names)),
        _ => Ok(samples),
    }
}

fn to_reading(known: KnownTag, read: ReadSample, now: Timestamp) -> TagReading {
    let ReadSample { sample, is_out_of_reach } = read;
    let (age_s, is_stale) = (sample.age_s(now), sample.is_stale(now, known.stale_after_s));
    TagReading {
        tag: known.tag.name,
        description: known.tag.description,
        value: sample.value,
        unit: known.tag.unit.or(sample.unit),
        quality: sample.quality,
        quality_code: sample.quality_code,
        source_timestamp: sample.source_timestamp,
        age_s,
        stale: is_out_of_reach || is_stale,
        limits: known.tag.limits,
        source: known.source,
        classification: known.classification,
    }
}

fn to_history(known: KnownTag, aggregate: Aggregate, history: AggregatedHistory) -> TagHistory {
    TagHistory {
        tag: known.tag.name,
        unit: known.tag.unit,
        aggregate,
        interval_s: history.interval_s,
        points: history.points,
        good_share: history.good_share,
        samples: history.samples,
        truncated: history.truncated,
        origin: history.origin,
        limits: known.tag.limits,
        source: known.source,
        classification: known.classification,
    }
}

fn to_error(failure: PlantFailure, names: &[String]) -> PlantReadError {
    match failure {
        PlantFailure::Unknown => PlantReadError::UnknownTags { tags: names.to_vec() },
        PlantFailure::PlantMode => PlantReadError::PlantMode,
        PlantFailure::BudgetExhausted { retry_after_s } => PlantReadError::BudgetExhausted { retry_after_s },
        PlantFailure::NoHistory => PlantReadError::NoHistory { tag: names.first().cloned().unwrap_or_default() },
        PlantFailure::Connector { error } => PlantReadError::Connector(error),
    }
}

/// The error for an answer that does not fit the requested operation.
fn unexpected(answer: PlantAnswer) -> PlantReadError {
    match answer {
        PlantAnswer::Failed(failure) => to_error(failure, &[]),
        _ => {
            let detail = "the plant process answered another operation".to_owned();
            PlantReadError::Connector(ConnectorError::InvalidResponse { detail })
        }
    }
}

fn switched_off(source: &str) -> ConnectorError {
    ConnectorError::Configuration { detail: format!("{source} is switched off") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::{Tag, TagAddress, TagLimits, TagMapping};
    use uuid::Uuid;

    fn known(name: &str, classification: Classification) -> KnownTag {
        let mapping = TagMapping { address: TagAddress(name.to_owned()), data_type: None, scale: None };
        KnownTag {
            tag: Tag {
                id: TagId::from_uuid(Uuid::nil()),
                name: name.to_owned(),
                mapping,
                unit: None,
                description: None,
                equipment: None,
                limits: TagLimits::default(),
            },
            connector: ConnectorId::from_uuid(Uuid::nil()),
            source: "simulator:demo".to_owned(),
            classification,
            stale_after_s: 60,
            is_enabled: true,
        }
    }

    fn found<'a>(tags: &'a [KnownTag], name: &str) -> Option<&'a str> {
        find_tag(tags, name, Classification::Internal).map(|known| known.tag.name.as_str())
    }

    #[test]
    fn a_set_point_is_never_answered_with_the_measurement() {
        let tags = [known("PIT-1001", Classification::Internal)];
        assert_eq!(found(&tags, "PIT-1001.SP"), None);
        assert_eq!(found(&tags, "pit1001"), Some("PIT-1001"));
        let both = [known("PIT-1001", Classification::Internal), known("PIT-1001.SP", Classification::Internal)];
        assert_eq!(found(&both, "PIT-1001.SP"), Some("PIT-1001.SP"));
        assert_eq!(found(&both, "pit1001"), Some("PIT-1001"));
    }

    #[test]
    fn a_tag_above_the_clearance_has_no_substitute() {
        let tags = [known("P-101A", Classification::Restricted), known("10-P-101A", Classification::Internal)];
        assert_eq!(found(&tags, "P-101A"), None);
        assert_eq!(found(&tags, "P101A"), Some("10-P-101A"), "as if the other one did not exist");
        let twice = [known("P-101A", Classification::Internal), known("10-P-101A", Classification::Internal)];
        assert_eq!(found(&twice, "P101A"), None, "it may mean either");
    }
}
