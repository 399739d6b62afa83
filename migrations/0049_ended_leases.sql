-- Workers hear of approvals whose job is due although nobody announced it: the lease of a worker that died has ended, or
-- the delay of another attempt (ADR 82).
SET LOCAL ROLE platform_owner;

-- Queues the processing of approvals for the active tenants that have any to expire, to escalate, to execute or to
-- report; returns how many. A job that is queued or leased stays as it is, and workers are woken if it may be claimed.
CREATE OR REPLACE FUNCTION enqueue_due_approvals() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    queued bigint;
BEGIN
    INSERT INTO public.jobs AS job (tenant_id, kind)
    SELECT DISTINCT a.tenant_id, 'approvals'
    FROM public.approvals a
    JOIN public.tenants t ON t.id = a.tenant_id AND t.is_active
    LEFT JOIN public.plant_mode m ON m.tenant_id = a.tenant_id
    WHERE a.notice_due OR a.status = 'executing'
       OR (a.status IN ('pending', 'approved') AND a.expires_at <= clock_timestamp())
       OR (a.status = 'approved' AND coalesce(m.mode, 'normal') = 'normal')
    ON CONFLICT (tenant_id, document_id, kind) DO UPDATE
    SET dead_at = NULL, attempts = 0, failures = 0, leased = false, lease_token = job.lease_token + 1,
        due_at = now(), turn_at = now()
    WHERE job.dead_at IS NOT NULL;
    GET DIAGNOSTICS queued = ROW_COUNT;
    IF queued > 0 OR EXISTS (
        SELECT FROM public.jobs j
        JOIN public.tenants t ON t.id = j.tenant_id AND t.is_active
        WHERE j.kind = 'approvals' AND j.dead_at IS NULL AND j.due_at <= clock_timestamp())
    THEN
        PERFORM pg_notify('platform_jobs', '');
    END IF;
    RETURN queued;
END
$$;

RESET ROLE;
