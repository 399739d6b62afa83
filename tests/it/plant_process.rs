//! Readings and histories of two tenants, through the database and the plant process, against the simulated plant and
//! sources that count, hang and fail.

use async_trait::async_trait;
use chrono::TimeDelta;
use data::testing::TestDb;
use data::{PgPlantAnswerListener, PgPlantQueue, PgStore, PgTenantDirectory, SealedSecrets};
use domain::ids::{ConnectorId, TagId, TenantId};
use domain::plant::{
    Aggregate, Connector, ConnectorCheck, ConnectorError, ConnectorKind, ConnectorSettings, HistoryOrigin,
    HistoryQuery, PlantMode, PlantModeState, Quality, Recording, Sample, Tag, TagAddress, TagHistory, TagMapping,
    TagReading, TagValue,
};
use domain::ports::{
    BrowsedTag, Clock, IdGen as _, NewTenant, PlantConnector, PlantConnectors, PlantReadError, PlantReader as _,
    PlantReaderScope, Store, TenantDirectory as _,
};
use domain::role::Classification;
use domain::scope::{Actor, TenantScope};
use domain::time::Timestamp;
use fakes::{eventually, store_contract};
use futures::future::join_all;
use plant_connectors::simulator::{Simulator, historical_sample, history_times, present_sample, simulated_tags};
use platform_server::system::{SystemClock, TimeOrderedIds};
use runtime::plant_process::{NoPlantObserver, PlantProcess, PlantProcessPorts, PlantProcessSettings};
use runtime::plant_reader::{DatabasePlantReader, PlantReaderPorts};
use serde_json::json;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A database with two tenants, and a reader.
struct Plant {
    db: TestDb,
    store: Arc<dyn Store>,
    reader: DatabasePlantReader,
    tenants: [TenantScope; 2],
}

/// A plant process. Dropping it stops the process as `kill -9` would.
struct Process(JoinHandle<()>);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A simulated plant that counts calls, and fails, hangs or keeps no history when told to.
#[derive(Default)]
struct Source {
    calls: AtomicUsize,
    fails: AtomicBool,
    hangs: AtomicBool,
    has_no_history: AtomicBool,
}

/// Opens connectors to one source.
struct SourceConnectors(Arc<Source>);

/// A connector to a source.
struct SourceConnector {
    source: Arc<Source>,
    plant: Simulator,
}

#[async_trait]
impl PlantConnectors for SourceConnectors {
    async fn open(&self, _: &ConnectorSettings) -> Result<Arc<dyn PlantConnector>, ConnectorError> {
        let plant = Simulator::new(Arc::new(SystemClock));
        Ok(Arc::new(SourceConnector { source: Arc::clone(&self.0), plant }))
    }
}

impl SourceConnector {
    async fn call(&self) -> Result<(), ConnectorError> {
        self.source.calls.fetch_add(1, Ordering::SeqCst);
        if self.source.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.source.fails.load(Ordering::SeqCst) {
            return Err(ConnectorError::Unreachable { detail: "connection refused".to_owned() });
        }
        Ok(())
    }
}

#[async_trait]
impl PlantConnector for SourceConnector {
    async fn check(&self, tag: Option<&TagMapping>) -> ConnectorCheck {
        self.plant.check(tag).await
    }

    async fn read(&self, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        self.call().await?;
        self.plant.read(tags).await
    }

    async fn history(
        &self,
        tag: &TagMapping,
        period: Range<Timestamp>,
        limit: usize,
    ) -> Result<Option<Vec<Sample>>, ConnectorError> {
        self.call().await?;
        match self.source.has_no_history.load(Ordering::SeqCst) {
            true => Ok(None),
            false => self.plant.history(tag, period, limit).await,
        }
    }

    async fn browse(&self, limit: usize) -> Result<Option<Vec<BrowsedTag>>, ConnectorError> {
        self.plant.browse(limit).await
    }
}

impl Plant {
    async fn new(timeout: Duration) -> Self {
        let db = TestDb::create().await.unwrap_or_else(|error| panic!("{error}"));
        let app = db.app_pool().expect("a pool");
        let directory = PgTenantDirectory::new(app.clone());
        let mut tenants = Vec::new();
        for slug in ["plant-a", "plant-b"] {
            let id = TenantId::from_uuid(TimeOrderedIds.uuid());
            let new = NewTenant { id, name: format!("Plant {slug}"), slug: slug.to_owned() };
            let tenant = directory.create_tenant(new).await.expect("a tenant");
            tenants.push(store_contract::scope(tenant.id, Actor::System));
        }
        let store: Arc<dyn Store> = Arc::new(PgStore::new(app.clone()));
        let ports = PlantReaderPorts {
            store: Arc::clone(&store),
            answer_listener: Arc::new(PgPlantAnswerListener::new(app)),
            clock: Arc::new(SystemClock),
            ids: Arc::new(TimeOrderedIds),
        };
        let reader = DatabasePlantReader::new(ports, timeout);
        let tenants = tenants.try_into().unwrap_or_else(|_| panic!("two tenants"));
        Self { db, store, reader, tenants }
    }

    /// Gives a tenant a simulated plant with its own tags.
    async fn connect(&self, tenant: &TenantScope, connector: Connector) {
        let tag = |new: domain::command::NewTag| Tag {
            id: TagId::from_uuid(TimeOrderedIds.uuid()),
            name: new.name.into_string(),
            mapping: new.mapping,
            unit: new.unit,
            description: new.description,
            equipment: new.equipment,
            limits: new.limits,
        };
        let tags: Vec<Tag> = simulated_tags().into_iter().map(tag).collect();
        let mut tx = self.store.begin(tenant).await.expect("a transaction");
        tx.connectors().insert(&connector).await.expect("inserted");
        tx.connectors().replace_tags(connector.id, &tags).await.expect("tags");
        tx.commit().await.expect("committed");
    }

    fn start(&self, source: &Arc<Source>, settings: PlantProcessSettings) -> Process {
        let ports = PlantProcessPorts {
            queue: Arc::new(PgPlantQueue::new(self.db.plant_pool().expect("a pool"))),
            connectors: Arc::new(SourceConnectors(Arc::clone(source))),
            secrets: Arc::new(SealedSecrets::new(b"0123456789abcdef")),
            clock: Arc::new(SystemClock),
            observer: Arc::new(NoPlantObserver),
        };
        let process = PlantProcess::new(ports, settings);
        Process(TaskTracker::new().spawn(process.run(CancellationToken::new())))
    }

    fn scope(&self, tenant: usize, clearance: Classification) -> PlantReaderScope {
        PlantReaderScope { tenant_scope: self.tenants[tenant].clone(), clearance }
    }

    async fn read(&self, tenant: usize, tags: &[&str]) -> Result<Vec<TagReading>, PlantReadError> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.reader.read(&self.scope(tenant, Classification::Internal), &tags).await
    }

    async fn history(&self, tag: &str, aggregate: Aggregate, period: Range<Timestamp>) -> TagHistory {
        let interval = Some(Duration::from_secs(600));
        let query = HistoryQuery { tag: tag.to_owned(), period, aggregate, interval };
        let scope = self.scope(0, Classification::Internal);
        self.reader.history(&scope, &query).await.expect("a history")
    }

    async fn set_mode(&self, tenant: usize, mode: PlantMode) {
        let mut tx = self.store.begin(&self.tenants[tenant]).await.expect("a transaction");
        let state = PlantModeState { mode, reason: "A test".to_owned(), changed_at: None };
        tx.plant_mode().set(&state, None).await.expect("set");
        tx.commit().await.expect("committed");
    }
}

fn connector(name: &str, classification: Classification) -> Connector {
    let now = SystemClock.now();
    Connector {
        id: ConnectorId::from_uuid(TimeOrderedIds.uuid()),
        name: name.to_owned(),
        kind: ConnectorKind::Simulator,
        endpoint: String::new(),
        config: json!({}),
        secret: None,
        classification,
        stale_after_s: 300,
        recording: None,
        is_enabled: true,
        trusted_certificate: None,
        revision: 1,
        created_at: now,
        updated_at: now,
    }
}

/// A plant of the first tenant at a source, with a process.
async fn plant(source: &Arc<Source>) -> (Plant, Process) {
    let plant = Plant::new(Duration::from_secs(10)).await;
    plant.connect(&plant.tenants[0], connector("sim", Classification::Internal)).await;
    let process = plant.start(source, PlantProcessSettings::default());
    (plant, process)
}

fn address(tag: &str) -> TagAddress {
    TagAddress(tag.to_owned())
}

#[tokio::test]
async fn a_reading_is_what_the_plant_says_and_no_other_tenants() {
    let (plant, _process) = plant(&Arc::default()).await;
    let readings = plant.read(0, &["VT-1023A", "pit1001", "PIT-1001"]).await.expect("readings");
    let names: Vec<_> = readings.iter().map(|reading| reading.tag.as_str()).collect();
    assert_eq!(names, ["VT-1023A", "PIT-1001", "PIT-1001"], "in the order of the question, in any spelling");
    let pressure = &readings[1];
    let at = pressure.source_timestamp.expect("a time");
    assert_eq!(pressure.value, present_sample(&address("PIT-1001"), at).value);
    assert_eq!((pressure.quality, pressure.stale), (Quality::Good, false));
    assert_eq!((pressure.unit.as_deref(), pressure.source.as_str()), (Some("bar g"), "simulator:sim"));
    assert!(pressure.age_s >= 0.0 && pressure.age_s < 10.0, "{}", pressure.age_s);
    let vibration = readings[0].value.as_ref().and_then(TagValue::as_number).expect("a number");
    assert!(readings[0].limits.normal_high.is_some_and(|high| vibration > high), "one is out of its range");

    let foreign = plant.read(1, &["PIT-1001"]).await;
    assert!(matches!(&foreign, Err(PlantReadError::UnknownTags { tags }) if tags == &["PIT-1001"]), "{foreign:?}");
    let unknown = plant.read(0, &["PIT-1001", "XX-9"]).await;
    assert!(matches!(&unknown, Err(PlantReadError::UnknownTags { tags }) if tags == &["XX-9"]), "{unknown:?}");
}

#[tokio::test]
async fn stale_and_bad_values_are_said_to_be_so() {
    let (plant, _process) = plant(&Arc::default()).await;
    let readings = plant.read(0, &["LIT-3002", "TT-3015B", "AT-2071"]).await.expect("readings");
    assert!(readings[0].stale && readings[0].age_s > 7_000.0, "{readings:?}");
    assert_eq!((readings[1].quality, readings[1].value.clone()), (Quality::Bad, None));
    assert_eq!((readings[2].quality, readings[2].stale), (Quality::Uncertain, false));
}

#[tokio::test]
async fn aggregates_are_those_of_the_plants_own_samples_without_the_bad_ones() {
    let (plant, _process) = plant(&Arc::default()).await;
    let now = SystemClock.now();
    let end = Timestamp::from_timestamp(now.timestamp() / 600 * 600, 0).expect("a time");
    let period = end - TimeDelta::hours(2)..end;
    let samples: Vec<Sample> = history_times(&period, now, 100_000)
        .filter_map(|at| historical_sample(&address("PIT-1001"), at, now))
        .collect();
    let bad = samples.iter().filter(|sample| sample.quality == Quality::Bad).count();
    let good = samples.iter().filter(|sample| sample.quality == Quality::Good).count();
    assert!(bad > 0 && good + bad < samples.len(), "the period has samples of each quality");
    for aggregate in [Aggregate::Min, Aggregate::Max, Aggregate::Avg] {
        let history = plant.history("PIT-1001", aggregate, period.clone()).await;
        assert_eq!((history.points.len(), history.interval_s), (12, Some(600)));
        assert_eq!((history.samples, history.origin, history.truncated), (720, HistoryOrigin::Source, false));
        let share = good as f64 / samples.len() as f64;
        assert!((history.good_share - share).abs() < 1e-9, "{} is not {share}", history.good_share);
        for (index, point) in history.points.iter().enumerate() {
            let start = period.start + TimeDelta::seconds(600 * i64::try_from(index).expect("small"));
            assert_eq!(point.at, start, "a point is at the start of its interval");
            let usable = samples.iter().filter(|sample| {
                let at = sample.source_timestamp.expect("a time");
                sample.quality != Quality::Bad && at >= start && at < start + TimeDelta::seconds(600)
            });
            let numbers: Vec<f64> = usable.filter_map(|s| s.value.as_ref().and_then(TagValue::as_number)).collect();
            let expected = match aggregate {
                Aggregate::Min => numbers.iter().copied().fold(f64::INFINITY, f64::min),
                Aggregate::Max => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                _ => numbers.iter().sum::<f64>() / numbers.len() as f64,
            };
            let found = point.value.as_ref().and_then(TagValue::as_number).expect("a number");
            assert!((found - expected).abs() < 1e-6, "{aggregate} at {start}: {found} is not {expected}");
        }
    }
    let raw = plant.history("PIT-1001", Aggregate::Raw, end - TimeDelta::minutes(30)..end).await;
    assert_eq!((raw.points.len(), raw.interval_s), (180, None));
    assert!(raw.points.iter().all(|point| (point.quality == Quality::Bad) == point.value.is_none()));
}

#[tokio::test]
async fn a_broken_sensor_has_no_points_and_a_share_of_zero() {
    let (plant, _process) = plant(&Arc::default()).await;
    let end = SystemClock.now();
    let history = plant.history("TT-3015B", Aggregate::Avg, end - TimeDelta::hours(1)..end).await;
    assert!(history.points.is_empty() && history.samples > 300, "{history:?}");
    assert!(history.good_share.abs() < f64::EPSILON);
}

#[tokio::test]
async fn tags_above_the_readers_clearance_are_as_if_they_did_not_exist() {
    let source = Arc::<Source>::default();
    let plant = Plant::new(Duration::from_secs(10)).await;
    plant.connect(&plant.tenants[0], connector("secret", Classification::Restricted)).await;
    let _process = plant.start(&source, PlantProcessSettings::default());
    let tags = ["PIT-1001".to_owned()];
    for clearance in [Classification::Public, Classification::Internal, Classification::Confidential] {
        let scope = plant.scope(0, clearance);
        let read = plant.reader.read(&scope, &tags).await;
        assert!(matches!(read, Err(PlantReadError::UnknownTags { .. })), "{read:?}");
        assert!(plant.reader.find_tags(&scope, "pressure", 10).await.expect("a search").is_empty());
    }
    assert_eq!(source.calls.load(Ordering::SeqCst), 0);
    let scope = plant.scope(0, Classification::Restricted);
    let readings = plant.reader.read(&scope, &tags).await.expect("a reading");
    assert_eq!(readings[0].classification, Classification::Restricted);
    let found = plant.reader.find_tags(&scope, "P101A bearing", 3).await.expect("a search");
    assert!(found[0].tag.starts_with("TE-102") && found[0].equipment.is_some(), "{found:?}");
}

#[tokio::test]
async fn the_plant_mode_off_ends_a_running_read_within_a_second() {
    let source = Arc::new(Source { hangs: AtomicBool::new(true), ..Source::default() });
    let plant = Plant::new(Duration::from_secs(20)).await;
    plant.connect(&plant.tenants[0], connector("sim", Classification::Internal)).await;
    plant.connect(&plant.tenants[1], connector("sim", Classification::Internal)).await;
    let settings = PlantProcessSettings { call_timeout: Duration::from_secs(15), ..PlantProcessSettings::default() };
    let _process = plant.start(&source, settings);
    let switch_off = async {
        eventually("the read is running", || async { (source.calls.load(Ordering::SeqCst) > 0).then_some(()) }).await;
        plant.set_mode(0, PlantMode::Off).await;
        Instant::now()
    };
    let read = async { (plant.read(0, &["PIT-1001"]).await, Instant::now()) };
    let (switched_off_at, (read, ended_at)) = tokio::join!(switch_off, read);
    assert!(matches!(read, Err(PlantReadError::PlantMode)), "{read:?}");
    let took = ended_at.duration_since(switched_off_at);
    assert!(took < Duration::from_secs(1), "{took:?}");

    let calls = source.calls.load(Ordering::SeqCst);
    assert!(matches!(plant.read(0, &["PIT-1001"]).await, Err(PlantReadError::PlantMode)));
    assert_eq!(source.calls.load(Ordering::SeqCst), calls, "nothing is read any more");
    source.hangs.store(false, Ordering::SeqCst);
    plant.read(1, &["PIT-1001"]).await.expect("the other tenant's plant is read");
    plant.set_mode(0, PlantMode::ReadOnly).await;
    plant.read(0, &["PIT-1001"]).await.expect("and so is this one again");
}

#[tokio::test]
async fn a_thousand_reads_cost_the_source_no_more_than_its_budget() {
    let source = Arc::<Source>::default();
    let plant = Plant::new(Duration::from_secs(20)).await;
    plant.connect(&plant.tenants[0], connector("sim", Classification::Internal)).await;
    let calls_per_s = 20.0;
    let settings = PlantProcessSettings {
        calls_per_s,
        tags_per_call: 5,
        max_age: Duration::from_millis(100),
        ..PlantProcessSettings::default()
    };
    let _process = plant.start(&source, settings);
    let start = Instant::now();
    let names = ["PIT-1001", "TI-1002", "LT-1004", "FIT-1010A", "TE-1021A", "TE-1022A", "VT-1023A", "II-1024A"];
    let plant = &plant;
    let reads = (0..20_usize).map(|reader| async move {
        let mut read = 0;
        for number in 0..50 {
            let tag = names[(reader + number) % names.len()];
            match plant.read(0, &[tag]).await {
                Ok(readings) => read += readings.len(),
                Err(PlantReadError::BudgetExhausted { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        read
    });
    let read: usize = join_all(reads).await.into_iter().sum();
    let allowed = calls_per_s * start.elapsed().as_secs_f64() + calls_per_s + 1.0;
    let calls = source.calls.load(Ordering::SeqCst);
    assert!((calls as f64) <= allowed, "{calls} calls, {allowed} allowed");
    assert!(read >= 900, "only {read} of a thousand reads had a value");
}

#[tokio::test]
async fn a_process_that_was_killed_is_missed_and_its_successor_has_what_it_knew() {
    let source = Arc::<Source>::default();
    let plant = Plant::new(Duration::from_secs(4)).await;
    plant.connect(&plant.tenants[0], connector("sim", Classification::Internal)).await;
    let first = plant.start(&source, PlantProcessSettings::default());
    let before = plant.read(0, &["PIT-1001"]).await.expect("a reading");
    drop(first);
    let alone = plant.read(0, &["PIT-1001"]).await;
    assert!(matches!(alone, Err(PlantReadError::NoPlantProcess)), "{alone:?}");

    source.fails.store(true, Ordering::SeqCst);
    let _second = plant.start(&source, PlantProcessSettings::default());
    let stale = plant.read(0, &["PIT-1001"]).await.expect("the older sample");
    assert!(stale[0].stale, "{stale:?}");
    assert_eq!((&stale[0].value, stale[0].source_timestamp), (&before[0].value, before[0].source_timestamp));
    let never_read = plant.read(0, &["LT-1004"]).await;
    assert!(matches!(never_read, Err(PlantReadError::Connector(_))), "{never_read:?}");
    source.fails.store(false, Ordering::SeqCst);
    eventually("the source is read again", || async { plant.read(0, &["LT-1004"]).await.is_ok().then_some(()) }).await;
}

#[tokio::test]
async fn what_the_source_does_not_keep_the_platform_records() {
    let source = Arc::new(Source { has_no_history: AtomicBool::new(true), ..Source::default() });
    let plant = Plant::new(Duration::from_secs(10)).await;
    let recording = Some(Recording { interval_s: 1, keep_days: 2 });
    plant.connect(&plant.tenants[0], Connector { recording, ..connector("sim", Classification::Internal) }).await;
    plant.connect(&plant.tenants[1], connector("sim", Classification::Internal)).await;
    let start = SystemClock.now() - TimeDelta::seconds(1);
    let _process = plant.start(&source, PlantProcessSettings { calls_per_s: 50.0, ..PlantProcessSettings::default() });
    let history = eventually("four samples are recorded", || async {
        let history = plant.history("PIT-1001", Aggregate::Raw, start..SystemClock.now()).await;
        (history.points.len() >= 4).then_some(history)
    })
    .await;
    assert_eq!(history.origin, HistoryOrigin::Recorded);
    assert!((history.good_share - 1.0).abs() < f64::EPSILON, "{history:?}");
    let times: Vec<i64> = history.points.iter().map(|point| point.at.timestamp_millis()).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1] && pair[1] % 1_000 == 0), "{times:?}");
    let bad = plant.history("TT-3015B", Aggregate::Avg, start..SystemClock.now()).await;
    assert!(bad.points.is_empty() && bad.samples > 0, "{bad:?}");
    let stuck = plant.history("LIT-3002", Aggregate::Avg, start..SystemClock.now()).await;
    assert!(stuck.points.is_empty() && stuck.samples > 0, "stale samples are never averaged: {stuck:?}");

    let query = HistoryQuery {
        tag: "PIT-1001".to_owned(),
        period: start..SystemClock.now(),
        aggregate: Aggregate::Avg,
        interval: None,
    };
    let scope = plant.scope(1, Classification::Internal);
    let none = plant.reader.history(&scope, &query).await;
    assert!(matches!(none, Err(PlantReadError::NoHistory { .. })), "{none:?}");
}

#[tokio::test]
async fn a_changed_connector_is_opened_anew_and_one_that_is_switched_off_is_not_read() {
    let (plant, _process) = plant(&Arc::default()).await;
    plant.read(0, &["PIT-1001"]).await.expect("a reading");
    let mut tx = plant.store.begin(&plant.tenants[0]).await.expect("a transaction");
    let known = tx.connectors().tags_by_name(&["PIT-1001".to_owned()], Classification::Internal).await.expect("tags");
    let details = tx.connectors().lock(known[0].connector).await.expect("read").expect("there");
    let kept: Vec<Tag> = details.tags.into_iter().filter(|tag| tag.name == "PIT-1001").collect();
    tx.connectors().replace_tags(details.connector.id, &kept).await.expect("replaced");
    let renamed = Connector { name: "renamed".to_owned(), ..details.connector };
    tx.connectors().update(&renamed).await.expect("updated");
    tx.commit().await.expect("committed");
    let readings = plant.read(0, &["PIT-1001"]).await.expect("a reading");
    assert_eq!(readings[0].source, "simulator:renamed");
    let gone = plant.read(0, &["LT-1004"]).await;
    assert!(matches!(gone, Err(PlantReadError::UnknownTags { .. })), "{gone:?}");

    let mut tx = plant.store.begin(&plant.tenants[0]).await.expect("a transaction");
    tx.connectors().update(&Connector { is_enabled: false, ..renamed }).await.expect("updated");
    tx.commit().await.expect("committed");
    let off = plant.read(0, &["PIT-1001"]).await;
    assert!(matches!(off, Err(PlantReadError::Connector(_))), "{off:?}");
}
