//! Ends runs whose process died: their readers get an `error`, and their message keeps what was written.

use super::wire::StoredEvent;
use crate::error::store_error;
use crate::pool::{Database, RowScope};
use crate::statement::DbRole;
use crate::statement::{Scalar, Statement, row, statements};
use domain::error::{ErrorKind, Problem};
use domain::ports::StoreError;
use domain::run::{NumberedEvent, RunEvent};
use sqlx::types::Json;
use uuid::Uuid;

/// Distance of the last event's number from that of the newest stored event. Readers at the dead process may have seen
/// events that were not stored yet, and ask for what comes after those.
const LAST_EVENT_DISTANCE: i64 = 1_000_000;

row! {
    /// A run without an end whose process does not hold its lock.
    pub struct AbandonedRun, columns = abandoned_run_columns {
        tenant_id: Uuid,
        user_id: Uuid,
        run_id: Uuid,
        instance: Uuid,
    }
}

statements! {
    ABANDONED: AbandonedRun = Statement::call(
        "abandoned_runs",
        "finding abandoned runs",
        concat!("SELECT ", abandoned_run_columns!(), " FROM abandoned_runs()"),
    )
    .run_by(DbRole::Worker);
    SWEEP: Scalar<i64> = Statement::call(
        "sweep_run_events",
        "sweeping events of runs",
        "SELECT sweep_run_events()",
    )
    .run_by(DbRole::Worker);
    LAST_SEQ: Scalar<i64> = Statement::select(
        "run_events",
        "reading the number of a run's last event",
        "SELECT last_seq FROM run_events WHERE run_id = $1 ORDER BY first_seq DESC LIMIT 1",
    );
    /// Writes the last event, and the text so far into the message. Affects nothing if the run has ended meanwhile.
    CLOSE: Scalar<Uuid> = Statement::insert(
        "run_events",
        "ending an abandoned run",
        "WITH newest AS (
             SELECT * FROM run_events WHERE run_id = $1 ORDER BY first_seq DESC LIMIT 1
         ), ended AS (
             INSERT INTO run_events (tenant_id, user_id, run_id, conversation_id, message_id, instance, first_seq,
                                     last_seq, events, classification, sources, is_last)
             SELECT app_tenant(), app_user(), run_id, conversation_id, message_id, instance, $2, $2, $3,
                    classification, sources, true
             FROM newest WHERE NOT is_last AND last_seq < $2
             ON CONFLICT DO NOTHING
             RETURNING message_id, classification, sources
         ), closed AS (
             UPDATE messages AS m
             SET content = (SELECT coalesce(string_agg(content, '' ORDER BY first_seq), '')
                            FROM run_events WHERE run_id = $1),
                 status = 'error', classification = ended.classification, sources = ended.sources
             FROM ended WHERE m.id = ended.message_id AND m.status = 'streaming'
             RETURNING m.tenant_id, m.conversation_id, m.classification
         ), raised AS (
             UPDATE conversations AS c
             SET classification = higher_classification(c.classification, closed.classification)
             FROM closed WHERE c.tenant_id = closed.tenant_id AND c.id = closed.conversation_id
         ), told AS (
             SELECT pg_notify('platform_runs', 'stored ' || $1::text) FROM ended
         )
         SELECT ended.message_id FROM ended, told",
    );
}

impl AbandonedRun {
    /// Id of the process that did the run.
    #[must_use]
    pub fn instance(&self) -> Uuid {
        self.instance
    }
}

/// Ends runs whose process died, and removes events that nobody reads any more.
#[derive(Clone, Debug)]
pub struct RunRecovery {
    app: Database,
    worker: Database,
}

impl RunRecovery {
    /// Works with the pools of both roles: the worker's finds runs of all tenants, by id, and the application's ends
    /// them, each as its user.
    #[must_use]
    pub fn new(app: Database, worker: Database) -> Self {
        Self { app, worker }
    }

    /// Finds runs without an end whose process does not hold its lock. After a restart of the database, that is true
    /// of every run for about a second.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_abandoned(&self) -> Result<Vec<AbandonedRun>, StoreError> {
        let mut connection = self.worker.acquire("finding abandoned runs").await?;
        ABANDONED.query().fetch_all(&mut connection).await
    }

    /// Ends a run; returns whether it had no end.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn close(&self, run: &AbandonedRun) -> Result<bool, StoreError> {
        let scope = RowScope { tenant: Some(run.tenant_id), user: Some(run.user_id) };
        let mut transaction = self.app.begin(scope).await?;
        let last_seq: Option<i64> = LAST_SEQ.query().bind(run.run_id).optional_scalar(&mut transaction).await?;
        let Some(seq) = last_seq.map(|last_seq| last_seq.saturating_add(LAST_EVENT_DISTANCE)) else { return Ok(false) };
        let event = RunEvent::Failed(interrupted());
        let event = StoredEvent::new(&NumberedEvent { seq: u64::try_from(seq).unwrap_or_default(), event });
        let close = CLOSE.query().bind(run.run_id).bind(seq).bind(Json(Vec::from_iter(event)));
        let closed = close.optional_scalar(&mut transaction).await?.is_some();
        transaction.commit().await.map_err(store_error("ending an abandoned run"))?;
        Ok(closed)
    }

    /// Removes events of runs that ended more than a quarter of an hour ago; returns how many rows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let mut connection = self.worker.acquire("sweeping events of runs").await?;
        let swept: i64 = SWEEP.query().scalar(&mut connection).await?;
        Ok(u64::try_from(swept).unwrap_or_default())
    }
}

fn interrupted() -> Problem {
    Problem {
        kind: ErrorKind::Unavailable,
        code: "interrupted",
        detail: Some("The server that wrote the answer stopped; what it had written is kept.".to_owned()),
        decision_id: None,
    }
}
