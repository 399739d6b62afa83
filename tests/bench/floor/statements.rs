//! The floor's SQL statements. The callers pipeline the statements of a transaction.

use tokio_postgres::{Client, Error, Statement};

/// Prepared statements of a connection.
pub struct Statements {
    pub set_tenant: Statement,
    pub set_scope: Statement,
    pub identify_user: Statement,
    pub insert_audit_row: Statement,
    pub newest_messages: Statement,
    pub memories: Statement,
    pub append_message: Statement,
    pub insert_answer: Statement,
    pub insert_ledger_row: Statement,
    pub nearest_passages: Statement,
}

const SET_TENANT: &str = "SELECT set_config('app.current_tenant_id', $1, true)";
const SET_SCOPE: &str =
    "SELECT set_config('app.current_tenant_id', $1, true), set_config('app.current_user_id', $2, true)";
/// The user and whether user and tenant are active; also sets the user for the row policies.
const IDENTIFY_USER: &str = "
    SELECT u.id, u.role, u.is_active AND t.is_active AS active, u.email, u.display_name, t.name AS tenant,
           set_config('app.current_user_id', u.id::text, true)
    FROM users u JOIN tenants t ON t.id = u.tenant_id
    WHERE u.tenant_id = $1 AND u.issuer = $2 AND u.external_id = $3";
const INSERT_AUDIT_ROW: &str = "
    INSERT INTO audit_logs (id, tenant_id, user_id, session_id, event_type, resource_type, resource_id, result_status,
                            latency_ms, metadata, created_at, correlation_id, request_id, phase)
    VALUES ($1, app_tenant(), app_user(), $2, $3, $4, $2, $5, $6, '{}', clock_timestamp(), $7, $8, $9)";
const NEWEST_MESSAGES: &str = "
    SELECT role, content FROM messages WHERE tenant_id = $1 AND conversation_id = $2 ORDER BY seq DESC LIMIT 50";
const MEMORIES: &str = "
    SELECT content FROM memories
    WHERE tenant_id = $1 AND user_id = app_user() AND (expires_at IS NULL OR expires_at > now())
    ORDER BY importance DESC, created_at DESC, id DESC LIMIT 10";
const APPEND_MESSAGE: &str = "
    WITH taken AS (
        UPDATE conversations SET next_seq = next_seq + 2, updated_at = now()
        WHERE tenant_id = $1 AND id = $2 RETURNING next_seq - 2 AS seq)
    INSERT INTO messages (id, tenant_id, conversation_id, user_id, seq, role, content, classification)
    SELECT $3, $1, $2, app_user(), seq, 'user', $4, 'internal' FROM taken
    RETURNING seq";
const INSERT_ANSWER: &str = "
    INSERT INTO messages (id, tenant_id, conversation_id, user_id, seq, role, content, token_count, model,
                          classification)
    VALUES ($1, app_tenant(), $2, app_user(), $3, 'assistant', $4, $5, 'm', 'internal')";
const INSERT_LEDGER_ROW: &str = "
    INSERT INTO model_calls (id, tenant_id, user_id, conversation_id, request_id, operation, tier, backend,
                             requested_model, model, fallback, status, finish_reason, input_tokens, output_tokens,
                             estimated, metered, cost_micros, took_ms, created_at)
    VALUES ($1, app_tenant(), app_user(), $2, $3, 'chat', 'fast', 'b', 'm', 'm', false, 'ok', 'stop', 900, $4,
            false, true, 0, $5, clock_timestamp())";
/// The five nearest passages with their texts. Uses the tenant's vector index if there is one.
const NEAREST_PASSAGES: &str = "
    SELECT near.id, near.document_id, d.title, near.page, near.section, near.content, near.score
    FROM (SELECT c.id, c.document_id, c.page, c.section, c.content,
                 1 - (c.embedding::halfvec(768) <=> $2::real[]::halfvec(768)) AS score
          FROM document_chunks c
          WHERE c.tenant_id = $1 AND c.embedding_model = 'embed-768'
            AND c.classification IN ('public', 'internal')
          ORDER BY c.embedding::halfvec(768) <=> $2::real[]::halfvec(768)
          LIMIT 5) AS near
    JOIN documents d ON d.tenant_id = $1 AND d.id = near.document_id
    ORDER BY near.score DESC";

impl Statements {
    /// Prepares all statements.
    pub async fn prepare(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            set_tenant: client.prepare(SET_TENANT).await?,
            set_scope: client.prepare(SET_SCOPE).await?,
            identify_user: client.prepare(IDENTIFY_USER).await?,
            insert_audit_row: client.prepare(INSERT_AUDIT_ROW).await?,
            newest_messages: client.prepare(NEWEST_MESSAGES).await?,
            memories: client.prepare(MEMORIES).await?,
            append_message: client.prepare(APPEND_MESSAGE).await?,
            insert_answer: client.prepare(INSERT_ANSWER).await?,
            insert_ledger_row: client.prepare(INSERT_LEDGER_ROW).await?,
            nearest_passages: client.prepare(NEAREST_PASSAGES).await?,
        })
    }
}
