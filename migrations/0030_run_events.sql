-- Events of runs in progress and of those that ended lately, so that every process can read a run that another one does
-- (ADR 60). Rows are inserted in batches, never changed, and go after a quarter of an hour or with their conversation.
SET LOCAL ROLE platform_owner;

CREATE TABLE run_events (
    tenant_id       uuid         NOT NULL,
    run_id          uuid         NOT NULL,
    user_id         uuid         NOT NULL,
    conversation_id uuid         NOT NULL,
    -- The answer's message.
    message_id      uuid         NOT NULL,
    -- The process that does the run.
    instance        uuid         NOT NULL DEFAULT nullif(current_setting('app.instance', true), '')::uuid,
    first_seq       bigint       NOT NULL CHECK (first_seq > 0),
    last_seq        bigint       NOT NULL CHECK (last_seq >= first_seq),
    events          jsonb        NOT NULL CHECK (jsonb_typeof(events) = 'array'),
    -- What the events add to the answer's text.
    content         text         NOT NULL DEFAULT '',
    -- Class and sources of the answer up to here.
    classification  varchar(32)  NOT NULL CHECK (classification IN ('public', 'internal', 'confidential', 'restricted')),
    sources         jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(sources) = 'object'),
    is_last         boolean      NOT NULL DEFAULT false,
    created_at      timestamptz  NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, run_id, first_seq),
    FOREIGN KEY (tenant_id, conversation_id, user_id) REFERENCES conversations (tenant_id, id, user_id)
        ON DELETE CASCADE
);
CREATE INDEX idx_run_events_created ON run_events (created_at);
CREATE INDEX idx_run_events_conversation ON run_events (tenant_id, conversation_id);
ALTER TABLE run_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE run_events FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON run_events TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()));
GRANT SELECT, INSERT ON run_events TO platform_app;

-- FORCE binds the functions' owner too.
CREATE POLICY recovery ON run_events FOR SELECT TO platform_owner USING (true);
CREATE POLICY sweep ON run_events FOR DELETE TO platform_owner USING (created_at < now() - interval '15 minutes');

-- Runs without a last event whose process does not hold its lock (see audit_absent_instances). Ids only.
CREATE FUNCTION abandoned_runs() RETURNS TABLE (tenant_id uuid, user_id uuid, run_id uuid, instance uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT e.tenant_id, e.user_id, e.run_id, e.instance
    FROM (SELECT DISTINCT ON (r.tenant_id, r.run_id) r.* FROM public.run_events r
          ORDER BY r.tenant_id, r.run_id, r.first_seq DESC) AS e
    WHERE NOT e.is_last
      AND NOT EXISTS (SELECT FROM pg_locks l
                      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                        AND l.classid = x'696e7374'::integer::oid
                        AND l.objid = public.audit_instance_key(e.instance)::oid)
$$;

-- Removes what nobody reads any more, of runs that have ended; returns how many rows that were.
CREATE FUNCTION sweep_run_events() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH swept AS (
        DELETE FROM public.run_events r
        WHERE r.created_at < now() - interval '15 minutes'
          AND EXISTS (SELECT FROM public.run_events e
                      WHERE e.tenant_id = r.tenant_id AND e.run_id = r.run_id AND e.is_last
                        AND e.created_at < now() - interval '15 minutes')
        RETURNING 1)
    SELECT count(*) FROM swept
$$;
GRANT EXECUTE ON FUNCTION abandoned_runs(), sweep_run_events() TO platform_worker;

RESET ROLE;
