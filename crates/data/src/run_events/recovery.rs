//! Ends runs whose process died: readers get an `error` event, and the message keeps the text written so far.

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

/// Added to the sequence number of the newest stored event to number the closing `error` event. Clients of the dead
/// process may have received events that were never stored, and resume after the last of those. The gap makes sure that
/// they still get the `error` event.
const ERROR_EVENT_GAP: i64 = 1_000_000;

row! {
    /// A run that has not ended and whose process no longer holds its advisory lock
    /// ([`LivenessLock`](crate::audit::LivenessLock)).
    pub struct AbandonedRun, columns = abandoned_run_columns {
        tenant_id: Uuid,
        user_id: Uuid,
        run_id: Uuid,
        instance: Uuid,
        team_id: Option<Uuid>,
    }
}

statements! {
    ABANDONED: AbandonedRun = Statement::call(
        "abandoned_runs",
        "finding abandoned runs",
        concat!(
            "SELECT ",
            abandoned_run_columns!(),
            " FROM abandoned_runs() AS run, run_team(run.tenant_id, run.run_id) AS team_id"
        ),
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
    /// Appends the `error` event and stores the text so far in the message. Affects no rows if the run has ended in the
    /// meantime.
    CLOSE: Scalar<Uuid> = Statement::insert(
        "run_events",
        "ending an abandoned run",
        "WITH newest AS (
             SELECT * FROM run_events WHERE run_id = $1 ORDER BY first_seq DESC LIMIT 1
         ), ended AS (
             INSERT INTO run_events (tenant_id, user_id, run_id, conversation_id, message_id, instance, first_seq,
                                     last_seq, events, classification, sources, is_last)
             SELECT app_tenant(), user_id, run_id, conversation_id, message_id, instance, $2, $2, $3,
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
         ), notified AS (
             SELECT pg_notify('platform_runs', 'stored ' || $1::text) FROM ended
         )
         SELECT ended.message_id FROM ended, notified",
    );
}

impl AbandonedRun {
    /// Instance id of the process that executed the run.
    #[must_use]
    pub fn instance(&self) -> Uuid {
        self.instance
    }
}

/// Ends runs whose process died, and deletes the events of runs that ended a while ago.
#[derive(Clone, Debug)]
pub struct RunRecovery {
    app: Database,
    worker: Database,
}

impl RunRecovery {
    /// Creates a recovery from pools of both roles: `worker` finds abandoned runs of all tenants; `app` ends each one
    /// in the scope of its tenant and user.
    #[must_use]
    pub fn new(app: Database, worker: Database) -> Self {
        Self { app, worker }
    }

    /// Finds runs that have not ended and whose process does not hold its liveness lock. After a restart of the
    /// database, that includes every current run for about a second, until its process takes the lock again.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_abandoned(&self) -> Result<Vec<AbandonedRun>, StoreError> {
        let mut connection = self.worker.acquire("finding abandoned runs").await?;
        ABANDONED.query().fetch_all(&mut connection).await
    }

    /// Ends an abandoned run. Returns `false` if it has ended in the meantime.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn close(&self, run: &AbandonedRun) -> Result<bool, StoreError> {
        let scope = RowScope { tenant: Some(run.tenant_id), team: run.team_id, user: Some(run.user_id) };
        let mut transaction = self.app.begin(scope).await?;
        let last_seq: Option<i64> = LAST_SEQ.query().bind(run.run_id).optional_scalar(&mut transaction).await?;
        let Some(seq) = last_seq.map(|last_seq| last_seq.saturating_add(ERROR_EVENT_GAP)) else { return Ok(false) };
        let event = RunEvent::Failed(interrupted_problem());
        let event = StoredEvent::new(&NumberedEvent { seq: u64::try_from(seq).unwrap_or_default(), event });
        let close = CLOSE.query().bind(run.run_id).bind(seq).bind(Json(Vec::from_iter(event)));
        let closed = close.optional_scalar(&mut transaction).await?.is_some();
        transaction.commit().await.map_err(store_error("ending an abandoned run"))?;
        Ok(closed)
    }

    /// Deletes the events of runs that ended more than 15 minutes ago. Returns the number of deleted rows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let mut connection = self.worker.acquire("sweeping events of runs").await?;
        let swept: i64 = SWEEP.query().scalar(&mut connection).await?;
        Ok(u64::try_from(swept).unwrap_or_default())
    }
}

fn interrupted_problem() -> Problem {
    Problem {
        kind: ErrorKind::Unavailable,
        code: "interrupted",
        detail: Some("The server that was writing the answer stopped. The text written so far is kept.".to_owned()),
        decision_id: None,
    }
}
