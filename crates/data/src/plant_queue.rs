//! The plant process's access to the tables of all tenants. The process connects with its own role, which can access
//! nothing else.

use crate::connectors::{self, ConnectorRow, recording};
use crate::error::store_error;
use crate::plant_tags::{OF_CONNECTORS, TagRow};
use crate::pool::{Database, RowScope};
use crate::recorded_samples;
use crate::rows::{TextEnum, non_negative};
use crate::statement::{DbRole, Scalar, Statement, row, statements};
use async_trait::async_trait;
use domain::ids::{ConnectorId, PlantRequestId, TagId, TenantId};
use domain::plant::{
    ClaimedRequest, Connector, ConnectorDetails, ConnectorState, PlantAnswer, PlantOperation, PlantRequest,
    RecordedSample, Sample,
};
use domain::ports::{LatestSample, PlantQueue, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use serde::Serialize;
use sqlx::postgres::PgListener;
use sqlx::types::Json;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

/// The NOTIFY channel of new requests and changed connectors, which triggers send.
const CHANNEL: &str = "platform_plant";

row! {
    struct ClaimRow, columns = claim_columns {
        tenant_id: Uuid,
        request_id: Uuid,
    }
}

row! {
    struct RequestRow {
        id: Uuid,
        connector_id: Uuid,
        operation: Json<PlantOperation>,
        clearance: TextEnum<Classification>,
        created_at: Timestamp,
        expires_at: Timestamp,
    }
}

row! {
    struct StateRow, columns = state_columns {
        tenant_id: Uuid,
        connector_id: Uuid,
        revision: i64,
        usable: bool,
        is_off: bool,
        record_interval_s: Option<i32>,
        record_keep_days: Option<i32>,
    }
}

row! {
    struct LatestRow, columns = latest_columns {
        tag_id: Uuid,
        sample: Json<Sample>,
    }
}

statements! {
    CLAIM: ClaimRow = Statement::call(
        "claim_plant_requests",
        "claiming requests to plant systems",
        concat!("SELECT ", claim_columns!(), " FROM claim_plant_requests($1)"),
    )
    .run_by(DbRole::Plant);
    REQUESTS: RequestRow = Statement::select(
        "plant_requests",
        "reading claimed requests",
        "SELECT id, connector_id, question AS operation, clearance, created_at, expires_at
         FROM plant_requests WHERE id = ANY($1)",
    )
    .run_by(DbRole::Plant);
    /// The name of the channel is repeated in `plant_requests.rs`.
    ANSWER: () = Statement::update(
        "plant_requests",
        "storing an answer of a plant system",
        "WITH answered AS (UPDATE plant_requests SET answer = $2 WHERE id = $1 RETURNING id)
         SELECT pg_notify('platform_plant_answers', id::text) FROM answered",
    )
    .run_by(DbRole::Plant);
    STATES: StateRow = Statement::call(
        "plant_connector_states",
        "reading the states of connectors",
        concat!("SELECT ", state_columns!(), " FROM plant_connector_states()"),
    )
    .run_by(DbRole::Plant);
    CONNECTOR: ConnectorRow = connectors::GET.run_by(DbRole::Plant);
    TAGS: TagRow = OF_CONNECTORS.run_by(DbRole::Plant);
    LATEST: LatestRow = Statement::select(
        "tag_samples",
        "reading the newest samples",
        concat!("SELECT ", latest_columns!(), " FROM tag_samples WHERE tag_id = ANY($1)"),
    )
    .run_by(DbRole::Plant);
    STORE_LATEST: () = Statement::insert(
        "tag_samples",
        "storing the newest samples",
        "INSERT INTO tag_samples AS known (tenant_id, tag_id, sample, received_at)
         SELECT app_tenant(), s.tag_id, s.sample, s.received_at
         FROM jsonb_to_recordset($1) AS s (tag_id uuid, sample jsonb, received_at timestamptz)
         JOIN tags AS t ON t.id = s.tag_id
         ON CONFLICT (tenant_id, tag_id) DO UPDATE
         SET sample = excluded.sample, received_at = excluded.received_at
         WHERE known.received_at < excluded.received_at",
    )
    .run_by(DbRole::Plant);
    PREPARE_PARTITIONS: () = Statement::call(
        "plant_prepare_partitions",
        "making the partitions of the next days",
        "SELECT plant_prepare_partitions()",
    )
    .run_by(DbRole::Plant);
    DROP_PARTITIONS: Scalar<i64> = Statement::call(
        "plant_drop_partitions",
        "dropping days of samples",
        "SELECT plant_drop_partitions()",
    )
    .run_by(DbRole::Plant);
    DELETE_EXPIRED: Scalar<i64> = Statement::call(
        "plant_delete_expired_samples",
        "deleting expired samples",
        "SELECT plant_delete_expired_samples()",
    )
    .run_by(DbRole::Plant);
    SWEEP: Scalar<i64> = Statement::call(
        "sweep_plant_requests",
        "sweeping requests to plant systems",
        "SELECT sweep_plant_requests()",
    )
    .run_by(DbRole::Plant);
}

/// The [`PlantQueue`] implementation for PostgreSQL. Connects as the role `platform_plant`.
pub struct PgPlantQueue {
    database: Database,
    listener: Mutex<Option<PgListener>>,
}

impl PgPlantQueue {
    /// Creates the queue from a connection pool of the role. One more connection listens for requests.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, listener: Mutex::default() }
    }

    async fn next_notification(&self) -> Result<(), sqlx::Error> {
        let mut listener = self.listener.lock().await;
        match listener.as_mut() {
            // A request may have been stored before listening started, so return at once.
            None => *listener = Some(self.database.listen(CHANNEL).await?),
            Some(open_listener) => drop(open_listener.try_recv().await?),
        }
        Ok(())
    }

    async fn requests(&self, tenant: Uuid, ids: &[Uuid]) -> Result<Vec<ClaimedRequest>, StoreError> {
        let mut transaction = self.database.begin(RowScope::tenant(tenant)).await?;
        let rows: Vec<PlantRequest> = REQUESTS.query().bind(ids).fetch_all(&mut transaction).await?;
        Ok(rows.into_iter().map(|request| ClaimedRequest { tenant: tenant.into(), request }).collect())
    }
}

impl PgPlantQueue {
    /// The requests that can be read. They are already claimed, so one that cannot be read must not make the others
    /// fail.
    async fn readable_requests(&self, tenant: Uuid, ids: &[Uuid]) -> Vec<ClaimedRequest> {
        if let Ok(requests) = self.requests(tenant, ids).await {
            return requests;
        }
        let mut readable = Vec::new();
        for id in ids {
            match self.requests(tenant, std::slice::from_ref(id)).await {
                Ok(requests) => readable.extend(requests),
                Err(error) => tracing::warn!(%error, "a request to a plant system cannot be read, and is dropped"),
            }
        }
        readable
    }
}

#[async_trait]
impl PlantQueue for PgPlantQueue {
    async fn claim(&self, limit: u32) -> Result<Vec<ClaimedRequest>, StoreError> {
        let rows: Vec<ClaimRow> = {
            let mut connection = self.database.acquire("claiming requests to plant systems").await?;
            CLAIM.query().bind(i32::try_from(limit).unwrap_or(i32::MAX)).fetch_all(&mut connection).await?
        };
        let mut by_tenant: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for row in rows {
            by_tenant.entry(row.tenant_id).or_default().push(row.request_id);
        }
        let mut claimed = Vec::new();
        for (tenant, ids) in by_tenant {
            claimed.extend(self.readable_requests(tenant, &ids).await);
        }
        Ok(claimed)
    }

    async fn answer(&self, tenant: TenantId, id: PlantRequestId, answer: &PlantAnswer) -> Result<(), StoreError> {
        let mut transaction = self.database.begin(RowScope::tenant(tenant.as_uuid())).await?;
        ANSWER.query().bind(id.as_uuid()).bind(Json(answer)).execute(&mut transaction).await?;
        transaction.commit().await.map_err(store_error("committing an answer of a plant system"))
    }

    async fn wait(&self, max_wait: Duration) {
        let deadline = Instant::now() + max_wait;
        if let Ok(Err(error)) = timeout_at(deadline, self.next_notification()).await {
            tracing::warn!(%error, "cannot listen for requests to plant systems, polling instead");
            self.listener.lock().await.take();
            sleep_until(deadline).await;
        }
    }

    async fn states(&self) -> Result<Vec<ConnectorState>, StoreError> {
        let mut connection = self.database.acquire("reading the states of connectors").await?;
        STATES.query().fetch_all(&mut connection).await
    }

    async fn connector(&self, tenant: TenantId, id: ConnectorId) -> Result<Option<ConnectorDetails>, StoreError> {
        let mut transaction = self.database.begin(RowScope::tenant(tenant.as_uuid())).await?;
        let connector: Option<Connector> =
            CONNECTOR.query().bind(id.as_uuid()).fetch_optional(&mut transaction).await?;
        let Some(connector) = connector else { return Ok(None) };
        let tags = TAGS.query().bind(vec![id.as_uuid()]).fetch_all(&mut transaction).await?;
        Ok(Some(ConnectorDetails { connector, tags }))
    }

    async fn latest(&self, tenant: TenantId, tags: &[TagId]) -> Result<Vec<LatestSample>, StoreError> {
        let mut transaction = self.database.begin(RowScope::tenant(tenant.as_uuid())).await?;
        let ids: Vec<Uuid> = tags.iter().map(TagId::as_uuid).collect();
        LATEST.query().bind(ids).fetch_all(&mut transaction).await
    }

    async fn store_latest(&self, tenant: TenantId, samples: &[LatestSample]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin(RowScope::tenant(tenant.as_uuid())).await?;
        let rows: Vec<StoredLatest<'_>> = samples.iter().map(StoredLatest::from).collect();
        STORE_LATEST.query().bind(Json(rows)).execute(&mut transaction).await?;
        transaction.commit().await.map_err(store_error("committing the newest samples"))
    }

    async fn record(&self, tenant: TenantId, samples: &[RecordedSample]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin(RowScope::tenant(tenant.as_uuid())).await?;
        recorded_samples::insert(&mut transaction, samples).await?;
        transaction.commit().await.map_err(store_error("committing recorded samples"))
    }

    async fn recorded(
        &self,
        tenant: TenantId,
        tag: TagId,
        period: Range<Timestamp>,
        limit: u32,
    ) -> Result<Vec<RecordedSample>, StoreError> {
        let mut transaction = self.database.begin(RowScope::tenant(tenant.as_uuid())).await?;
        recorded_samples::read(&mut transaction, tag, period, limit).await
    }

    async fn maintain(&self) -> Result<u64, StoreError> {
        let mut connection = self.database.acquire("keeping the plant's tables in order").await?;
        PREPARE_PARTITIONS.query().execute(&mut connection).await?;
        let days: i64 = DROP_PARTITIONS.query().scalar(&mut connection).await?;
        let requests: i64 = SWEEP.query().scalar(&mut connection).await?;
        let samples: i64 = DELETE_EXPIRED.query().scalar(&mut connection).await?;
        Ok(non_negative(days) + non_negative(requests) + non_negative(samples))
    }
}

/// A sample as `jsonb_to_recordset` reads it.
#[derive(Serialize)]
struct StoredLatest<'a> {
    tag_id: TagId,
    sample: &'a Sample,
    received_at: Timestamp,
}

impl<'a> From<&'a LatestSample> for StoredLatest<'a> {
    fn from(latest: &'a LatestSample) -> Self {
        Self { tag_id: latest.tag, sample: &latest.sample, received_at: latest.sample.received_at }
    }
}

impl From<RequestRow> for PlantRequest {
    fn from(row: RequestRow) -> Self {
        Self {
            id: row.id.into(),
            connector: row.connector_id.into(),
            clearance: row.clearance.0,
            operation: row.operation.0,
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

impl From<StateRow> for ConnectorState {
    fn from(row: StateRow) -> Self {
        Self {
            tenant: row.tenant_id.into(),
            connector: row.connector_id.into(),
            revision: row.revision,
            is_usable: row.usable,
            is_off: row.is_off,
            recording: recording(row.record_interval_s, row.record_keep_days),
        }
    }
}

impl From<LatestRow> for LatestSample {
    fn from(row: LatestRow) -> Self {
        Self { tag: row.tag_id.into(), sample: row.sample.0 }
    }
}
