-- A job names the request that queued it, so that the trace of its attempts links to that request's (docs/adr/0092).
SET LOCAL ROLE platform_owner;

ALTER TABLE jobs
    -- The request's span as a W3C traceparent; null if the request was not traced, or no request queued the job.
    ADD COLUMN traceparent varchar(55) CHECK (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');
GRANT UPDATE (traceparent) ON jobs TO platform_app;

-- The traceparent of a claimed job. A function of its own: the previous release calls claim_job, whose columns cannot
-- change. Volatile, so that it sees a job that was committed while claim_job waited for its turn.
CREATE FUNCTION job_traceparent(job uuid) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT traceparent FROM public.jobs WHERE id = job
$$;
GRANT EXECUTE ON FUNCTION job_traceparent(uuid) TO platform_worker;

RESET ROLE;
