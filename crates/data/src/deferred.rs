//! Rows of the audit log and of the ledger of model calls. A transaction collects them and inserts them with one
//! statement when it commits, or earlier if it reads the ledger (`PgTenantTx::insert_deferred`).
//!
//! Other transactions see no changes before the commit, so the rows can be inserted last. If the insertion fails, the
//! commit fails, too (ADR 70).

use crate::statement::{Statement, statements};
use domain::ports::StoreError;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

/// The `INSERT` into the audit log. `$1` is an array of [`NewAuditRow`]s, `$2` the user, `$3` the session and `$4` the
/// request.
macro_rules! insert_audit_rows {
    () => {
        "INSERT INTO audit_logs
             (id, tenant_id, user_id, session_id, event_type, resource_type, resource_id, model, tools_used,
              request_hash, result_status, latency_ms, metadata, created_at, correlation_id, request_id, phase,
              conversation_id, layout)
         SELECT id, app_tenant(), $2, $3, event_type, resource_type, resource_id, model, tools_used,
                request_hash, result_status, latency_ms, metadata, created_at, correlation_id, $4, phase,
                conversation_id, 2
         FROM jsonb_to_recordset($1) AS entry
             (id uuid, event_type text, resource_type text, resource_id uuid, model text, tools_used text[],
              request_hash text, result_status text, latency_ms integer, metadata jsonb, created_at timestamptz,
              correlation_id uuid, phase text, conversation_id uuid)"
    };
}

statements! {
    APPEND: () = Statement::insert("audit_logs", "appending to the audit log", insert_audit_rows!());
    /// Like [`APPEND`]. `$5` is an array of [`NewCallRow`]s for the ledger.
    APPEND_WITH_CALLS: () = Statement::insert(
        "audit_logs",
        "appending to the audit log and recording model calls",
        concat!(
            "WITH recorded AS (
                 INSERT INTO model_calls
                     (tenant_id, user_id, id, conversation_id, run_id, request_id, operation, tier, backend,
                      requested_model, model, fallback, failed, status, error, finish_reason, input_tokens,
                      output_tokens, estimated, metered, cost_micros, took_ms, first_token_ms, created_at)
                 SELECT app_tenant(), app_user(), id, conversation_id, run_id, $4, operation, tier, backend,
                        requested_model, model, fallback, failed, status, error, finish_reason, input_tokens,
                        output_tokens, estimated, counts_towards_budget, cost_micros, took_ms, first_token_ms,
                        created_at
                 FROM jsonb_to_recordset($5) AS call
                     (id uuid, conversation_id uuid, run_id uuid, operation text, tier text, backend text,
                      requested_model text, model text, fallback boolean, failed jsonb, status text, error text,
                      finish_reason text, input_tokens bigint, output_tokens bigint, estimated boolean,
                      counts_towards_budget boolean, cost_micros bigint, took_ms bigint,
                      first_token_ms bigint, created_at timestamptz)
                 ON CONFLICT (tenant_id, id) DO NOTHING
             ) ",
            insert_audit_rows!()
        ),
    );
}

/// A new row of the audit log, without the columns that all rows of the transaction share.
#[derive(Serialize)]
pub(crate) struct NewAuditRow {
    pub(crate) id: Uuid,
    pub(crate) event_type: &'static str,
    pub(crate) resource_type: Option<&'static str>,
    pub(crate) resource_id: Option<Uuid>,
    pub(crate) model: Option<String>,
    pub(crate) tools_used: Vec<String>,
    pub(crate) request_hash: Option<String>,
    pub(crate) result_status: &'static str,
    pub(crate) latency_ms: Option<i32>,
    pub(crate) metadata: Value,
    pub(crate) created_at: Timestamp,
    pub(crate) correlation_id: Uuid,
    pub(crate) phase: &'static str,
    pub(crate) conversation_id: Option<Uuid>,
}

/// A new row of the ledger, without the columns that all rows of the transaction share.
#[derive(Serialize)]
pub(crate) struct NewCallRow {
    pub(crate) id: Uuid,
    pub(crate) conversation_id: Option<Uuid>,
    pub(crate) run_id: Option<Uuid>,
    pub(crate) operation: &'static str,
    pub(crate) tier: Option<&'static str>,
    pub(crate) backend: String,
    pub(crate) requested_model: String,
    pub(crate) model: String,
    pub(crate) fallback: bool,
    pub(crate) failed: Value,
    pub(crate) status: &'static str,
    pub(crate) error: Option<String>,
    pub(crate) finish_reason: Option<&'static str>,
    pub(crate) input_tokens: u32,
    pub(crate) output_tokens: u32,
    pub(crate) estimated: bool,
    /// Stored in the column `metered`.
    pub(crate) counts_towards_budget: bool,
    pub(crate) cost_micros: i64,
    pub(crate) took_ms: i64,
    pub(crate) first_token_ms: Option<i64>,
    pub(crate) created_at: Timestamp,
}

/// The rows that a transaction has collected so far.
#[derive(Default)]
pub(crate) struct DeferredRows {
    audit: Vec<NewAuditRow>,
    calls: Vec<NewCallRow>,
}

impl DeferredRows {
    pub(crate) fn push_audit(&mut self, row: NewAuditRow) {
        self.audit.push(row);
    }

    pub(crate) fn push_call(&mut self, row: NewCallRow) {
        self.calls.push(row);
    }

    pub(crate) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Inserts all collected rows in the order in which they were added, with the user, session and request of `scope`.
    /// Runs no statement if there are none.
    pub(crate) async fn insert(self, connection: &mut PgConnection, scope: &TenantScope) -> Result<(), StoreError> {
        let Self { audit, calls } = self;
        if audit.is_empty() && calls.is_empty() {
            return Ok(());
        }
        let statement = if calls.is_empty() { APPEND } else { APPEND_WITH_CALLS };
        let query = statement
            .query()
            .bind(Json(audit))
            .bind(scope.user().map(|id| id.as_uuid()))
            .bind(scope.session().map(|id| id.as_uuid()))
            .bind(scope.request().as_str().to_owned());
        let query = if calls.is_empty() { query } else { query.bind(Json(calls)) };
        query.execute(connection).await
    }
}
