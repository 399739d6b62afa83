//! The requesting side of the plant request queue: stores requests and waits for notification of answers.

use crate::pool::Database;
use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::{ConnectorId, PlantRequestId};
use domain::plant::{PlantAnswer, PlantOperation, PlantRequest};
use domain::ports::{AnsweredRequest, PlantAnswerListener, PlantRequestRepo, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use serde::Serialize;
use sqlx::postgres::PgListener;
use sqlx::types::Json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

/// The NOTIFY channel of answers; the payload is the request's id. The name is repeated in `plant_queue.rs`.
const CHANNEL: &str = "platform_plant_answers";

row! {
    struct AnswerRow {
        id: Uuid,
        answer: Json<PlantAnswer>,
    }
}

statements! {
    /// On commit, a trigger notifies the plant process.
    INSERT: () = Statement::insert(
        "plant_requests",
        "storing requests to plant systems",
        "INSERT INTO plant_requests (id, tenant_id, connector_id, kind, question, clearance, created_at, expires_at)
         SELECT r.id, app_tenant(), r.connector_id, r.kind, r.operation, r.clearance, r.created_at, r.expires_at
         FROM jsonb_to_recordset($1) AS r
             (id uuid, connector_id uuid, kind text, operation jsonb, clearance text, created_at timestamptz,
              expires_at timestamptz)",
    );
    ANSWERS: AnswerRow = Statement::select(
        "plant_requests",
        "reading answers of plant systems",
        "SELECT id, answer FROM plant_requests WHERE id = ANY($1) AND answer IS NOT NULL",
    );
    DELETE: () = Statement::delete(
        "plant_requests",
        "deleting requests to plant systems",
        "DELETE FROM plant_requests WHERE id = ANY($1)",
    );
}

/// A request as `jsonb_to_recordset` reads it.
#[derive(Serialize)]
struct StoredRequest<'a> {
    id: PlantRequestId,
    connector_id: ConnectorId,
    kind: &'static str,
    operation: &'a PlantOperation,
    clearance: Classification,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl<'a> From<&'a PlantRequest> for StoredRequest<'a> {
    fn from(request: &'a PlantRequest) -> Self {
        Self {
            id: request.id,
            connector_id: request.connector,
            kind: request.operation.kind(),
            operation: &request.operation,
            clearance: request.clearance,
            created_at: request.created_at,
            expires_at: request.expires_at,
        }
    }
}

#[async_trait]
impl PlantRequestRepo for PgTenantTx {
    async fn insert(&mut self, requests: &[PlantRequest]) -> Result<(), StoreError> {
        let stored: Vec<StoredRequest<'_>> = requests.iter().map(StoredRequest::from).collect();
        INSERT.query().bind(Json(stored)).execute(self.connection()).await
    }

    async fn answers(&mut self, ids: &[PlantRequestId]) -> Result<Vec<AnsweredRequest>, StoreError> {
        ANSWERS.query().bind(uuids(ids)).fetch_all(self.connection()).await
    }

    async fn delete(&mut self, ids: &[PlantRequestId]) -> Result<(), StoreError> {
        DELETE.query().bind(uuids(ids)).execute(self.connection()).await
    }
}

fn uuids(ids: &[PlantRequestId]) -> Vec<Uuid> {
    ids.iter().map(PlantRequestId::as_uuid).collect()
}

impl From<AnswerRow> for AnsweredRequest {
    fn from(row: AnswerRow) -> Self {
        Self { id: row.id.into(), answer: row.answer.0 }
    }
}

/// The [`PlantAnswerListener`] implementation for PostgreSQL. Connects as the application's role; a single connection
/// listens on behalf of all waiters.
pub struct PgPlantAnswerListener {
    database: Database,
    listener: Mutex<Option<PgListener>>,
    waiting: StdMutex<HashMap<Uuid, Arc<Notify>>>,
}

impl PgPlantAnswerListener {
    /// Creates the listener from a connection pool of the application's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, listener: Mutex::default(), waiting: StdMutex::default() }
    }

    /// Returns the listening connection to its pool. Call on shutdown, once there are no waiters; otherwise the pool
    /// cannot close.
    pub fn stop_listening(&self) {
        if let Ok(mut listener) = self.listener.try_lock() {
            *listener = None;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Notify>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the waiter for this request, or all waiters if `None`, because notifications may have been lost.
    fn wake(&self, request: Option<Uuid>) {
        let waiting = self.waiting();
        match request {
            Some(request) => waiting.get(&request).into_iter().for_each(|notify| notify.notify_one()),
            None => waiting.values().for_each(|notify| notify.notify_one()),
        }
    }

    /// Receives notifications on behalf of all waiters. The first call starts listening and wakes all of them, because
    /// an answer may have been stored before that.
    async fn receive(&self) -> Result<(), sqlx::Error> {
        let mut listener = self.listener.lock().await;
        match listener.as_mut() {
            None => {
                *listener = Some(self.database.listen(CHANNEL).await?);
                self.wake(None);
            }
            // `try_recv` returns `None` after a lost connection.
            Some(open_listener) => {
                let notification = open_listener.try_recv().await?;
                let request = notification.as_ref().and_then(|notification| notification.payload().parse().ok());
                self.wake(request);
            }
        }
        Ok(())
    }

    /// Receives notifications until `deadline`. If listening fails, sleeps until then, so that the caller polls.
    async fn listen_until(&self, deadline: Instant) {
        loop {
            match timeout_at(deadline, self.receive()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "cannot listen for answers of plant systems, polling instead");
                    self.listener.lock().await.take();
                    sleep_until(deadline).await;
                    return;
                }
                Err(_elapsed) => return,
            }
        }
    }
}

#[async_trait]
impl PlantAnswerListener for PgPlantAnswerListener {
    async fn wait_for_answer(&self, request: PlantRequestId, max_wait: Duration) {
        let waiter = Waiter::new(self, request.as_uuid());
        tokio::select! {
            () = waiter.notify.notified() => {}
            () = self.listen_until(Instant::now() + max_wait) => {}
        }
    }
}

/// A registered waiter; deregisters on drop.
struct Waiter<'a> {
    listener: &'a PgPlantAnswerListener,
    request: Uuid,
    notify: Arc<Notify>,
}

impl<'a> Waiter<'a> {
    fn new(listener: &'a PgPlantAnswerListener, request: Uuid) -> Self {
        let notify = Arc::clone(listener.waiting().entry(request).or_default());
        Self { listener, request, notify }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.listener.waiting().remove(&self.request);
    }
}
