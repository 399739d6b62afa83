-- Answers to requests that came with an Idempotency-Key, so that a repeated request has its effect once.
SET LOCAL ROLE platform_owner;

CREATE TABLE idempotency_keys (
    tenant_id       uuid         NOT NULL,
    user_id         uuid         NOT NULL,
    -- Keyed hashes: of the client's key; of method, address and body. The latter is null while an upload is being read.
    key_hash        varchar(64)  NOT NULL,
    fingerprint     varchar(64),
    -- running: the first request is at work, or died in the middle. done: its answer is kept. spent: it succeeded, and its
    -- answer is not kept, because it showed a secret.
    state           varchar(16)  NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'spent')),
    status          smallint,
    headers         jsonb        NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(headers) = 'array'),
    body            bytea,
    created_at      timestamptz  NOT NULL,
    expires_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, user_id, key_hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CHECK (state <> 'done' OR (status IS NOT NULL AND body IS NOT NULL)),
    CHECK (state = 'running' OR fingerprint IS NOT NULL)
);
CREATE INDEX idx_idempotency_keys_expired ON idempotency_keys (expires_at);
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON idempotency_keys TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()));
GRANT SELECT, INSERT, DELETE, UPDATE (fingerprint, state, status, headers, body, created_at, expires_at)
    ON idempotency_keys TO platform_app;

-- FORCE binds the function's owner too; it sees nothing that has not expired.
CREATE POLICY expired_read ON idempotency_keys FOR SELECT TO platform_owner USING (expires_at <= now());
CREATE POLICY expired_sweep ON idempotency_keys FOR DELETE TO platform_owner USING (expires_at <= now());

-- Removes what has expired, of all tenants; returns how many rows that were.
CREATE FUNCTION sweep_idempotency_keys() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH swept AS (DELETE FROM public.idempotency_keys WHERE expires_at <= now() RETURNING 1)
    SELECT count(*) FROM swept
$$;
GRANT EXECUTE ON FUNCTION sweep_idempotency_keys() TO platform_worker;

RESET ROLE;
