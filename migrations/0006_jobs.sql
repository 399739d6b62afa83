-- The job queue. The application queues and removes jobs of its tenant; the worker claims across tenants through three
-- functions that return ids and no content.
SET LOCAL ROLE platform_owner;

CREATE TABLE jobs (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL,
    kind            varchar(32)  NOT NULL DEFAULT 'ingestion' CHECK (kind IN ('ingestion')),
    document_id     uuid         NOT NULL,
    -- When it may be claimed: from the start, at the end of its lease, after the delay it was put back with.
    due_at          timestamptz  NOT NULL DEFAULT now(),
    attempts        integer      NOT NULL DEFAULT 0,
    max_attempts    integer      NOT NULL DEFAULT 5,
    -- Changes with every claim and put-back, so that a worker that lost its lease can finish nothing (fencing).
    lease_token     bigint       NOT NULL DEFAULT 0,
    created_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    -- One job per document and kind.
    UNIQUE (tenant_id, document_id, kind),
    FOREIGN KEY (tenant_id, document_id) REFERENCES documents (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_jobs_due ON jobs (due_at);
CREATE INDEX idx_jobs_id ON jobs (id);
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON jobs TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE ON jobs TO platform_app;
-- FORCE binds the functions' owner too.
CREATE POLICY queue_read ON jobs FOR SELECT TO platform_owner USING (true);
CREATE POLICY queue_lease ON jobs FOR UPDATE TO platform_owner USING (true) WITH CHECK (true);

-- Claims the job that has been due longest: skips what others are claiming, takes over expired leases.
CREATE FUNCTION claim_job(lease interval)
RETURNS TABLE (job_id uuid, tenant_id uuid, document_id uuid, lease_token bigint, attempt integer, max_attempts integer)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE public.jobs AS job
    SET due_at = clock_timestamp() + lease, attempts = job.attempts + 1, lease_token = job.lease_token + 1
    FROM (SELECT j.tenant_id, j.id FROM public.jobs AS j
          WHERE j.due_at <= clock_timestamp()
          ORDER BY j.due_at
          LIMIT 1
          FOR UPDATE SKIP LOCKED) AS next
    WHERE job.tenant_id = next.tenant_id AND job.id = next.id
    RETURNING job.id, job.tenant_id, job.document_id, job.lease_token, job.attempts, job.max_attempts
$$;

-- Extends a lease; false where it is lost.
CREATE FUNCTION heartbeat_job(job uuid, token bigint, lease interval) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH extended AS (
        UPDATE public.jobs SET due_at = clock_timestamp() + lease
        WHERE id = job AND lease_token = token
        RETURNING 1)
    SELECT EXISTS (SELECT FROM extended)
$$;

-- Gives a lease back, to be tried again after a delay; an attempt that does not count is not used up.
CREATE FUNCTION put_back_job(job uuid, token bigint, delay interval, counts boolean) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH returned AS (
        UPDATE public.jobs
        SET due_at = clock_timestamp() + delay, lease_token = lease_token + 1,
            attempts = attempts - CASE WHEN counts THEN 0 ELSE 1 END
        WHERE id = job AND lease_token = token
        RETURNING 1)
    SELECT EXISTS (SELECT FROM returned)
$$;

GRANT EXECUTE ON FUNCTION claim_job(interval),
                          heartbeat_job(uuid, bigint, interval),
                          put_back_job(uuid, bigint, interval, boolean)
    TO platform_worker;

RESET ROLE;
