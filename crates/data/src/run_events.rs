//! Stores the events of runs, so that every process can read them, and ends runs whose process died.

mod recovery;
mod wire;

pub use recovery::RunRecovery;
#[cfg(feature = "testing")]
pub(crate) use recovery::STATEMENTS as RECOVERY_STATEMENTS;

use crate::error::store_error;
use crate::pool::Database;
use crate::rows::TextEnum;
use crate::statement::{Statement, row, statements};
use async_trait::async_trait;
use domain::conversation::Sources;
use domain::ids::RunId;
use domain::ports::{RunEventBatch, RunEventStore, RunSignal, StoreError, StoredRun};
use domain::role::Classification;
use domain::run::{NumberedEvent, RunEvent};
use domain::scope::TenantScope;
use sqlx::postgres::PgListener;
use sqlx::types::Json;
use tokio::sync::Mutex;
use uuid::Uuid;
use wire::StoredEvent;

/// The NOTIFY channel of [`RunSignal`]s.
const CHANNEL: &str = "platform_runs";

row! {
    struct StoredRunRow {
        classification: TextEnum<Classification>,
        sources: Json<Sources>,
        last_seq: i64,
        is_last: bool,
        started_by: Uuid,
    }
}

row! {
    struct EventsRow, columns = events_columns {
        events: Json<Vec<StoredEvent>>,
    }
}

statements! {
    /// Commits without waiting for the disk: the events are a copy of those in the process's memory, and the finished
    /// answer is stored durably.
    APPEND: () = Statement::insert(
        "run_events",
        "storing events of a run",
        "INSERT INTO run_events (tenant_id, user_id, run_id, conversation_id, message_id, first_seq, last_seq, events,
                                 content, classification, sources, is_last)
         SELECT app_tenant(),
                CASE WHEN app_team() IS NULL THEN app_user()
                     ELSE (SELECT c.user_id FROM conversations AS c WHERE c.id = $2) END,
                $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
         FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed",
    );
    FIND: StoredRunRow = Statement::select(
        "run_events",
        "finding a run",
        "SELECT e.classification, e.sources, e.last_seq, e.is_last, coalesce(m.author_id, e.user_id) AS started_by
         FROM run_events AS e
         LEFT JOIN messages AS m ON m.tenant_id = e.tenant_id AND m.id = e.message_id
         WHERE e.run_id = $1 ORDER BY e.first_seq DESC LIMIT 1",
    );
    READ: EventsRow = Statement::select(
        "run_events",
        "reading events of a run",
        concat!(
            "SELECT ",
            events_columns!(),
            " FROM run_events WHERE run_id = $1 AND last_seq > $2 ORDER BY first_seq"
        ),
    );
    SEND: () = Statement::call("pg_notify", "sending a signal", "SELECT pg_notify('platform_runs', $1)");
}

/// The [`RunEventStore`] implementation for PostgreSQL. Connects as the application's role; one more connection listens
/// for signals.
pub struct PgRunEventStore {
    database: Database,
    listener: Mutex<Option<PgListener>>,
}

impl PgRunEventStore {
    /// Creates the store from a connection pool of the application's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, listener: Mutex::default() }
    }
}

#[async_trait]
impl RunEventStore for PgRunEventStore {
    async fn append(&self, scope: &TenantScope, batch: &RunEventBatch) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (batch.events.first(), batch.events.last()) else { return Ok(()) };
        let mut transaction = self.database.begin(scope.into()).await?;
        APPEND
            .query()
            .bind(batch.run.as_uuid())
            .bind(batch.conversation.as_uuid())
            .bind(batch.message.as_uuid())
            .bind(to_bigint(first.seq))
            .bind(to_bigint(last.seq))
            .bind(Json(batch.events.iter().filter_map(StoredEvent::new).collect::<Vec<_>>()))
            .bind(batch.events.iter().filter_map(delta_text).collect::<String>())
            .bind(batch.classification.as_str())
            .bind(Json(&batch.sources))
            .bind(last.event.is_last())
            .execute(&mut transaction)
            .await?;
        transaction.commit().await.map_err(store_error("committing events of a run"))
    }

    async fn find(&self, scope: &TenantScope, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        let mut transaction = self.database.begin(scope.into()).await?;
        let row: Option<StoredRunRow> = FIND.query().bind(run.as_uuid()).fetch_optional(&mut transaction).await?;
        Ok(row.map(|row| StoredRun {
            classification: row.classification.0,
            sources: row.sources.0,
            started_by: row.started_by.into(),
            last_seq: u64::try_from(row.last_seq).unwrap_or_default(),
            has_ended: row.is_last,
        }))
    }

    async fn read(&self, scope: &TenantScope, run: RunId, after: u64) -> Result<Vec<NumberedEvent>, StoreError> {
        let mut transaction = self.database.begin(scope.into()).await?;
        let read = READ.query().bind(run.as_uuid()).bind(to_bigint(after));
        let batches = read.fetch_all::<EventsRow>(&mut transaction).await?;
        let events = batches.into_iter().flat_map(|batch| batch.events.0).filter_map(StoredEvent::into_event);
        Ok(events.filter(|event| event.seq > after).collect())
    }

    async fn send(&self, signal: RunSignal) -> Result<(), StoreError> {
        let mut connection = self.database.acquire("sending a signal").await?;
        SEND.query().bind(to_payload(signal)).execute(&mut connection).await
    }

    async fn next_signal(&self) -> Result<Option<RunSignal>, StoreError> {
        let to_store_error = store_error("waiting for signals");
        let mut listener = self.listener.lock().await;
        if let Some(open_listener) = listener.as_mut() {
            let notification = open_listener.try_recv().await.map_err(to_store_error)?;
            return Ok(notification.and_then(|notification| parse_signal(notification.payload())));
        }
        *listener = Some(self.database.listen(CHANNEL).await.map_err(to_store_error)?);
        Ok(None)
    }

    fn stop_listening(&self) {
        // If the listener is locked, `next_signal` is waiting on it; that call keeps listening.
        if let Ok(mut listener) = self.listener.try_lock() {
            *listener = None;
        }
    }
}

fn to_bigint(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn delta_text(numbered: &NumberedEvent) -> Option<&str> {
    match &numbered.event {
        RunEvent::Delta { text } => Some(text),
        _ => None,
    }
}

fn to_payload(signal: RunSignal) -> String {
    match signal {
        RunSignal::EventsStored(run) => format!("stored {}", run.as_uuid()),
        RunSignal::ReaderActive(run) => format!("read {}", run.as_uuid()),
        RunSignal::Cancel(run) => format!("cancel {}", run.as_uuid()),
    }
}

fn parse_signal(payload: &str) -> Option<RunSignal> {
    let (word, id) = payload.split_once(' ')?;
    let run = RunId::from_uuid(id.parse().ok()?);
    match word {
        "stored" => Some(RunSignal::EventsStored(run)),
        "read" => Some(RunSignal::ReaderActive(run)),
        "cancel" => Some(RunSignal::Cancel(run)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_signal_survives_the_round_trip_through_its_payload() {
        let run = RunId::from_uuid(Uuid::from_u128(7));
        for signal in [RunSignal::EventsStored(run), RunSignal::ReaderActive(run), RunSignal::Cancel(run)] {
            assert_eq!(parse_signal(&to_payload(signal)), Some(signal));
        }
        assert_eq!(parse_signal("cancel nonsense"), None);
        assert_eq!(parse_signal(""), None);
    }
}
