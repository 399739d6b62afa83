-- Channels that people are told of approvals by, and the outbox of messages to them (ADR 83).
SET LOCAL ROLE platform_owner;

CREATE TABLE channels (
    id          uuid         NOT NULL,
    tenant_id   uuid         NOT NULL REFERENCES tenants (id),
    name        varchar(128) NOT NULL,
    kind        varchar(16)  NOT NULL CHECK (kind IN ('email', 'teams', 'webhook')),
    config      jsonb        NOT NULL CHECK (jsonb_typeof(config) = 'object'),
    -- Encrypted with a key that is not in the database.
    sealed      bytea,
    created_by  uuid,
    created_at  timestamptz  NOT NULL,
    updated_at  timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT channels_name UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, created_by) REFERENCES users (tenant_id, id)
);
CREATE INDEX idx_channels_created ON channels (tenant_id, created_at DESC, id DESC);
CREATE INDEX idx_channels_created_by ON channels (tenant_id, created_by) WHERE created_by IS NOT NULL;
ALTER TABLE channels ENABLE ROW LEVEL SECURITY;
ALTER TABLE channels FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON channels TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE, UPDATE (name, config, sealed, updated_at) ON channels TO platform_app;

CREATE TABLE channel_deliveries (
    -- Also the id of the message, which is the same in every attempt.
    id                 uuid         NOT NULL,
    tenant_id          uuid         NOT NULL,
    channel_id         uuid         NOT NULL,
    approval_id        uuid,
    event              varchar(64)  NOT NULL,
    -- What the message says: names, states and times, never what somebody wrote.
    facts              jsonb        NOT NULL CHECK (jsonb_typeof(facts) = 'object'),
    status             varchar(16)  NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts           integer      NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- While an attempt is under way: when it counts as abandoned.
    next_attempt_at    timestamptz,
    last_error_code    varchar(64),
    last_error_detail  text,
    created_at         timestamptz  NOT NULL,
    finished_at        timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, channel_id) REFERENCES channels (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, approval_id) REFERENCES approvals (tenant_id, id),
    CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((status = 'pending') = (finished_at IS NULL))
);
CREATE INDEX idx_channel_deliveries_created ON channel_deliveries (tenant_id, channel_id, created_at DESC, id DESC);
CREATE INDEX idx_channel_deliveries_approval ON channel_deliveries (tenant_id, approval_id)
    WHERE approval_id IS NOT NULL;
CREATE INDEX idx_channel_deliveries_due ON channel_deliveries (tenant_id, next_attempt_at) WHERE status = 'pending';
ALTER TABLE channel_deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE channel_deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON channel_deliveries TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
-- What was to be said never changes.
GRANT SELECT, INSERT, DELETE,
    UPDATE (status, attempts, next_attempt_at, last_error_code, last_error_detail, finished_at) ON channel_deliveries
    TO platform_app;

ALTER TABLE jobs
    DROP CONSTRAINT jobs_kind_check,
    ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('ingestion', 'vector_index', 'reindex', 'approvals', 'deliveries'));

-- The functions' owner finds the tenants with messages to send. FORCE binds it too.
CREATE POLICY due ON channel_deliveries FOR SELECT TO platform_owner USING (status = 'pending');

-- Queues the delivery of messages for the active tenants that have any to send; returns how many. A job that is queued
-- or leased stays as it is.
CREATE FUNCTION enqueue_due_deliveries() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    queued bigint;
BEGIN
    INSERT INTO public.jobs AS job (tenant_id, kind)
    SELECT DISTINCT d.tenant_id, 'deliveries'
    FROM public.channel_deliveries d
    JOIN public.tenants t ON t.id = d.tenant_id AND t.is_active
    WHERE d.status = 'pending' AND d.next_attempt_at <= clock_timestamp()
    ON CONFLICT (tenant_id, document_id, kind) DO UPDATE
    SET dead_at = NULL, attempts = 0, failures = 0, leased = false, lease_token = job.lease_token + 1,
        due_at = now(), turn_at = now()
    WHERE job.dead_at IS NOT NULL;
    GET DIAGNOSTICS queued = ROW_COUNT;
    IF queued > 0 THEN
        PERFORM pg_notify('platform_jobs', '');
    END IF;
    RETURN queued;
END
$$;
GRANT EXECUTE ON FUNCTION enqueue_due_deliveries() TO platform_worker;

-- Size of the outbox over all tenants: messages that are not delivered, and since when the longest-waiting one could be
-- tried.
CREATE FUNCTION delivery_backlog() RETURNS TABLE (pending bigint, oldest_due_s bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT count(*),
           greatest(0, coalesce(extract(epoch FROM clock_timestamp() - min(d.next_attempt_at)), 0))::bigint
    FROM public.channel_deliveries d
    JOIN public.tenants t ON t.id = d.tenant_id AND t.is_active
    WHERE d.status = 'pending'
$$;
GRANT EXECUTE ON FUNCTION delivery_backlog() TO platform_worker;

RESET ROLE;
