-- The audit log. The application inserts and can do nothing else, not even read; the auditor reads; nobody updates.
SET LOCAL ROLE platform_owner;

CREATE TABLE audit_logs (
    -- Made by the application: a role that may only insert cannot read back what the database made (RETURNING).
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    -- No foreign keys: the log outlives tenants and users. The nil UUID is the platform's own stream.
    tenant_id       uuid         NOT NULL,
    -- Null: the worker, the system, a token that nobody could verify.
    user_id         uuid,
    session_id      uuid,
    event_type      varchar(128) NOT NULL,
    resource_type   varchar(128),
    resource_id     uuid,
    model           varchar(255),
    tools_used      text[]       NOT NULL DEFAULT '{}',
    -- HMAC-SHA-256 in hex; the key is not in the database.
    request_hash    varchar(64),
    result_status   varchar(32)
                    CHECK (result_status IN ('pending', 'success', 'error', 'denied', 'cancelled', 'unknown')),
    latency_ms      integer,
    metadata        jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    created_at      timestamptz  NOT NULL DEFAULT now(),
    -- The intent's id, on the intent and on its outcome.
    correlation_id  uuid         NOT NULL DEFAULT gen_random_uuid(),
    request_id      varchar(64),
    phase           varchar(16)  NOT NULL DEFAULT 'event' CHECK (phase IN ('intent', 'outcome', 'event')),
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX idx_audit_tenant ON audit_logs (tenant_id, created_at DESC, id DESC);
CREATE INDEX idx_audit_user ON audit_logs (tenant_id, user_id, created_at DESC, id DESC);
CREATE INDEX idx_audit_resource ON audit_logs (tenant_id, resource_id, created_at DESC, id DESC)
    WHERE resource_id IS NOT NULL;
ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_logs FORCE ROW LEVEL SECURITY;
CREATE POLICY append ON audit_logs FOR INSERT TO platform_app WITH CHECK (tenant_id = (SELECT app_tenant()));
CREATE POLICY review ON audit_logs FOR SELECT TO platform_auditor USING (tenant_id = (SELECT app_tenant()));
GRANT INSERT ON audit_logs TO platform_app;
GRANT SELECT ON audit_logs TO platform_auditor;

RESET ROLE;
