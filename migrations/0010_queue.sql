-- A fair queue with kinds of work, small documents first, and dead letters (docs/adr/0019).
SET LOCAL ROLE platform_owner;

ALTER TABLE jobs
    DROP CONSTRAINT jobs_kind_check,
    ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('ingestion', 'vector_index', 'reindex')),
    -- Null for work on the whole tenant.
    ALTER COLUMN document_id DROP NOT NULL,
    ADD CONSTRAINT jobs_document_of_ingestion CHECK ((kind = 'ingestion') = (document_id IS NOT NULL)),
    -- One job per document and kind, and one of each kind that has no document.
    DROP CONSTRAINT jobs_tenant_id_document_id_kind_key,
    ADD CONSTRAINT jobs_one_of_a_kind UNIQUE NULLS NOT DISTINCT (tenant_id, document_id, kind),
    -- Work on a whole tenant has no document whose key would tie it to one.
    ADD CONSTRAINT jobs_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    -- The document's size.
    ADD COLUMN size_bytes bigint NOT NULL DEFAULT 0 CHECK (size_bytes >= 0),
    -- Its place among its tenant's jobs: when it was queued, and what its size adds (job_handicap).
    ADD COLUMN turn_at timestamptz NOT NULL DEFAULT now(),
    -- In a worker's hands, until due_at.
    ADD COLUMN leased boolean NOT NULL DEFAULT false,
    -- How often it was put back with a reason.
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    -- Given up; it stays for a person to look at until it is queued again or its document is deleted.
    ADD COLUMN dead_at timestamptz,
    -- Why it was put back or given up the last time; no content.
    ADD COLUMN last_error varchar(500);

-- How much later a document of this size is served than a small one: a second for each 64 KiB, at most ten minutes. So
-- a large document gives way to small ones, but never to those that come more than ten minutes after it.
CREATE FUNCTION job_handicap(size_bytes bigint) RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN make_interval(secs => least(size_bytes / 65536, 600));

-- What is queued already: FORCE binds the owner too, so this needs a policy of its own for a moment.
CREATE POLICY migrating ON documents FOR SELECT TO platform_owner USING (true);
UPDATE jobs
SET size_bytes = document.file_size_bytes, turn_at = jobs.created_at + job_handicap(document.file_size_bytes),
    -- Perhaps only waiting for another try; then it counts as in hand until that is due.
    leased = jobs.due_at > now()
FROM documents AS document
WHERE document.tenant_id = jobs.tenant_id AND document.id = jobs.document_id;
DROP POLICY migrating ON documents;

DROP INDEX idx_jobs_due;
-- A tenant's jobs in the order in which they are served, and through its first column the tenants that have any.
CREATE INDEX idx_jobs_turn ON jobs (tenant_id, turn_at) WHERE dead_at IS NULL;
CREATE INDEX idx_jobs_leased ON jobs (tenant_id) WHERE leased;

-- The application queues again what is dead, and gives jobs up; whose they are it cannot change.
GRANT UPDATE (size_bytes, turn_at, due_at, attempts, failures, leased, lease_token, dead_at, last_error) ON jobs
    TO platform_app;

-- When a tenant was served last. The queue's functions alone read and write it.
CREATE TABLE job_turns (
    tenant_id       uuid         PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    served_at       timestamptz  NOT NULL
);
ALTER TABLE job_turns ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_turns FORCE ROW LEVEL SECURITY;
CREATE POLICY queue ON job_turns TO platform_owner USING (true) WITH CHECK (true);

CREATE POLICY queue_fill ON jobs FOR INSERT TO platform_owner WITH CHECK (true);
-- requeue_documents_of_other_models looks for published documents by the model of their vectors. The policy opens
-- those rows to the functions' owner, who cannot log in; the function returns a count.
CREATE POLICY queue_models ON documents FOR SELECT TO platform_owner USING (status = 'ready');

-- Claims the next due job. Of the tenants that have one, it serves the tenant with the fewest jobs in hand, and among
-- equals the one served longest ago; within the tenant the job whose turn is first. Skips what others are finishing,
-- takes over expired leases, leaves tenants alone that are switched off.
CREATE FUNCTION claim_job(lease interval, kinds text[], largest bigint)
RETURNS TABLE (job_id uuid, tenant_id uuid, kind text, document_id uuid, lease_token bigint, attempt integer,
               max_attempts integer, failures integer)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    candidate uuid;
BEGIN
    -- One claim at a time: two at once would count the same jobs in hand and serve the same tenant twice. A claim
    -- takes a few milliseconds, the work it leads to seconds.
    PERFORM pg_advisory_xact_lock(hashtextextended('platform_jobs.claim', 0));
    FOR candidate IN
        WITH RECURSIVE queued (tenant_id) AS (
            (SELECT j.tenant_id FROM public.jobs AS j WHERE j.dead_at IS NULL ORDER BY j.tenant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT j.tenant_id FROM public.jobs AS j
                    WHERE j.dead_at IS NULL AND j.tenant_id > queued.tenant_id
                    ORDER BY j.tenant_id LIMIT 1)
            FROM queued WHERE queued.tenant_id IS NOT NULL)
        SELECT tenant.id
        FROM queued
        JOIN public.tenants AS tenant ON tenant.id = queued.tenant_id AND tenant.is_active
        LEFT JOIN public.job_turns AS turn ON turn.tenant_id = tenant.id
        ORDER BY (SELECT count(*) FROM public.jobs AS held
                  WHERE held.tenant_id = tenant.id AND held.leased AND held.due_at > clock_timestamp()),
                 turn.served_at NULLS FIRST, tenant.id
    LOOP
        RETURN QUERY
            -- Materialized: as a part of the join, the choice could be made anew for each row that is looked at.
            WITH next AS MATERIALIZED (
                SELECT j.id FROM public.jobs AS j
                WHERE j.tenant_id = candidate AND j.dead_at IS NULL AND j.due_at <= clock_timestamp()
                  AND j.kind = ANY(kinds) AND (largest IS NULL OR j.size_bytes <= largest)
                ORDER BY j.turn_at
                LIMIT 1
                FOR UPDATE SKIP LOCKED)
            UPDATE public.jobs AS job
            SET due_at = clock_timestamp() + lease, leased = true, attempts = job.attempts + 1,
                lease_token = job.lease_token + 1
            FROM next
            WHERE job.tenant_id = candidate AND job.id = next.id
            RETURNING job.id, job.tenant_id, job.kind::text, job.document_id, job.lease_token, job.attempts,
                      job.max_attempts, job.failures;
        IF FOUND THEN
            INSERT INTO public.job_turns AS turn VALUES (candidate, clock_timestamp())
            ON CONFLICT (tenant_id) DO UPDATE SET served_at = excluded.served_at;
            RETURN;
        END IF;
    END LOOP;
END
$$;

-- For programs from before this migration, which know ingestion only.
CREATE OR REPLACE FUNCTION claim_job(lease interval)
RETURNS TABLE (job_id uuid, tenant_id uuid, document_id uuid, lease_token bigint, attempt integer, max_attempts integer)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT job_id, tenant_id, document_id, lease_token, attempt, max_attempts
    FROM public.claim_job(lease, ARRAY ['ingestion'], NULL)
$$;

-- Extends a lease; false where it is lost or its tenant was switched off. Does not wait for the transaction that is
-- just finishing the job: the lease is good until that transaction ends.
CREATE OR REPLACE FUNCTION heartbeat_job(job uuid, token bigint, lease interval) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH extended AS (
        UPDATE public.jobs SET due_at = clock_timestamp() + lease
        WHERE id IN (SELECT id FROM public.jobs WHERE id = job AND lease_token = token AND leased
                     FOR UPDATE SKIP LOCKED)
        RETURNING 1)
    SELECT EXISTS (SELECT FROM public.jobs AS held JOIN public.tenants AS tenant ON tenant.id = held.tenant_id
                   WHERE held.id = job AND held.lease_token = token AND held.leased AND tenant.is_active)
$$;

-- Gives a lease back, to be tried again after a delay; an attempt that does not count is not used up. Where there is
-- no delay, workers are told.
CREATE FUNCTION put_back_job(job uuid, token bigint, delay interval, counts boolean, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE public.jobs
    SET due_at = clock_timestamp() + delay, turn_at = turn_at + delay, leased = false, lease_token = lease_token + 1,
        attempts = attempts - CASE WHEN counts THEN 0 ELSE 1 END,
        failures = failures + CASE WHEN reason IS NULL THEN 0 ELSE 1 END,
        last_error = coalesce(left(reason, 500), last_error),
        -- A document's job is given up by whoever marks the document as failed.
        dead_at = CASE WHEN counts AND attempts >= max_attempts AND document_id IS NULL THEN clock_timestamp() END
    WHERE id = job AND lease_token = token AND leased;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF delay <= interval '0' THEN
        PERFORM pg_notify('platform_jobs', '');
    END IF;
    RETURN true;
END
$$;

-- For programs from before this migration.
CREATE OR REPLACE FUNCTION put_back_job(job uuid, token bigint, delay interval, counts boolean) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT public.put_back_job(job, token, delay, counts, NULL)
$$;

-- Removes the job of an index that is built, in the transaction that built it.
CREATE POLICY queue_finish ON jobs FOR DELETE TO platform_owner USING (kind = 'vector_index');
CREATE FUNCTION finish_vector_index(job uuid, token bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    DELETE FROM public.jobs WHERE id = job AND lease_token = token AND kind = 'vector_index';
    RETURN FOUND;
END
$$;

-- How much is queued, of all tenants together: counts and nothing else.
CREATE FUNCTION job_queue_depth() RETURNS TABLE (due bigint, leased bigint, dead bigint, oldest_due_s bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH job AS (
        SELECT dead_at IS NOT NULL AS is_dead, due_at > clock_timestamp() AS is_later, leased AS is_leased, due_at
        FROM public.jobs)
    SELECT count(*) FILTER (WHERE NOT is_dead AND NOT is_later),
           count(*) FILTER (WHERE NOT is_dead AND is_later AND is_leased),
           count(*) FILTER (WHERE is_dead),
           coalesce(floor(extract(epoch FROM clock_timestamp()
               - min(due_at) FILTER (WHERE NOT is_dead AND NOT is_later))), 0)::bigint
    FROM job
$$;

-- How many jobs of a kind are to be done, and how many were given up.
CREATE FUNCTION jobs_left(wanted text) RETURNS TABLE (pending bigint, dead bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT count(*) FILTER (WHERE dead_at IS NULL), count(dead_at) FROM public.jobs WHERE kind = wanted
$$;

-- Queues the embedding anew of each active tenant's documents.
CREATE FUNCTION enqueue_reindex() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH queued AS (
        INSERT INTO public.jobs AS job (tenant_id, kind)
        SELECT id, 'reindex' FROM public.tenants WHERE is_active
        ON CONFLICT (tenant_id, document_id, kind) DO UPDATE
        SET dead_at = NULL, attempts = 0, failures = 0, leased = false, lease_token = job.lease_token + 1,
            due_at = now(), turn_at = now()
        WHERE job.dead_at IS NOT NULL
        RETURNING 1),
    told AS (SELECT pg_notify('platform_jobs', ''))
    SELECT count(*) FROM queued, told
$$;

-- Queues the ingestion of published documents whose vectors are of none of these models.
CREATE FUNCTION requeue_documents_of_other_models(configured text[]) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH queued AS (
        INSERT INTO public.jobs AS job (tenant_id, kind, document_id, size_bytes, turn_at)
        SELECT document.tenant_id, 'ingestion', document.id, document.file_size_bytes,
               now() + public.job_handicap(document.file_size_bytes)
        FROM public.documents AS document
        JOIN public.tenants AS tenant ON tenant.id = document.tenant_id AND tenant.is_active
        WHERE document.status = 'ready' AND document.embedding_model <> ALL (configured)
        ON CONFLICT (tenant_id, document_id, kind) DO UPDATE
        SET dead_at = NULL, attempts = 0, failures = 0, leased = false, lease_token = job.lease_token + 1,
            due_at = now(), turn_at = excluded.turn_at
        WHERE job.dead_at IS NOT NULL
        RETURNING 1),
    told AS (SELECT pg_notify('platform_jobs', ''))
    SELECT count(*) FROM queued, told
$$;

GRANT EXECUTE ON FUNCTION job_handicap(bigint) TO platform_app;
GRANT EXECUTE ON FUNCTION claim_job(interval, text[], bigint),
                          put_back_job(uuid, bigint, interval, boolean, text),
                          finish_vector_index(uuid, bigint),
                          job_queue_depth(),
                          jobs_left(text),
                          enqueue_reindex(),
                          requeue_documents_of_other_models(text[])
    TO platform_worker;

RESET ROLE;
