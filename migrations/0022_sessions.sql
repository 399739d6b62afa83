-- Where users are signed in, and the session in the audit log.
SET LOCAL ROLE platform_owner;

CREATE TABLE sessions (
    -- Derived by the application from the tokens of the session.
    id            uuid         NOT NULL,
    tenant_id     uuid         NOT NULL,
    user_id       uuid         NOT NULL,
    client        varchar(255),
    created_at    timestamptz  NOT NULL,
    last_seen_at  timestamptz  NOT NULL,
    -- The end of the last token that was seen.
    expires_at    timestamptz  NOT NULL,
    revoked_at    timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_sessions_user ON sessions (tenant_id, user_id, created_at DESC, id DESC);
CREATE INDEX idx_sessions_end ON sessions (expires_at);
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sessions TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (client, last_seen_at, expires_at, revoked_at) ON sessions TO platform_app;

-- Whether nothing can come of a session any more. An hour is left for clocks that differ. A revoked session is remembered
-- for as long as an identity provider may renew its tokens.
CREATE FUNCTION session_is_over(expires_at timestamptz, revoked_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE
RETURN expires_at < now() - interval '1 hour'
       AND (revoked_at IS NULL OR greatest(expires_at, revoked_at) < now() - interval '90 days');

-- FORCE binds the function's owner too; it sees nothing that is not over.
CREATE POLICY ended_read ON sessions FOR SELECT TO platform_owner USING (session_is_over(expires_at, revoked_at));
CREATE POLICY ended_sweep ON sessions FOR DELETE TO platform_owner USING (session_is_over(expires_at, revoked_at));

CREATE FUNCTION sweep_sessions() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH swept AS (DELETE FROM public.sessions
                   WHERE expires_at < now() - interval '1 hour' AND public.session_is_over(expires_at, revoked_at)
                   RETURNING 1)
    SELECT count(*) FROM swept
$$;
GRANT EXECUTE ON FUNCTION sweep_sessions() TO platform_worker;

-- The audit log. Rows of layout 1 have the conversation in session_id and are hashed as before; rows of layout 2 have the
-- session there, and the conversation in a column of its own. Who names no layout, as earlier versions, writes layout 1.
ALTER TABLE audit_logs
    ADD COLUMN layout smallint NOT NULL DEFAULT 1,
    ADD COLUMN conversation_id uuid;
ALTER TABLE audit_open
    ADD COLUMN layout smallint NOT NULL DEFAULT 1,
    ADD COLUMN conversation_id uuid;

-- As in migration 11. A conversation on a row of layout 1 can only be an edit, so it is hashed.
CREATE OR REPLACE FUNCTION audit_canonical(entry audit_logs) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN CASE WHEN entry.layout = 1 AND entry.conversation_id IS NULL THEN jsonb_build_array(
    1, entry.tenant_id, entry.id, entry.user_id, entry.session_id, entry.event_type, entry.resource_type,
    entry.resource_id, entry.model, entry.tools_used, entry.request_hash, entry.result_status, entry.latency_ms,
    entry.metadata, (extract(epoch FROM entry.created_at) * 1000000)::bigint, entry.correlation_id, entry.request_id,
    entry.phase)
ELSE jsonb_build_array(
    entry.layout, entry.tenant_id, entry.id, entry.user_id, entry.session_id, entry.conversation_id, entry.event_type,
    entry.resource_type, entry.resource_id, entry.model, entry.tools_used, entry.request_hash, entry.result_status,
    entry.latency_ms, entry.metadata, (extract(epoch FROM entry.created_at) * 1000000)::bigint, entry.correlation_id,
    entry.request_id, entry.phase)
END::text;

-- As in migration 11; an open intent also keeps its layout and its conversation.
CREATE OR REPLACE FUNCTION audit_appended() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM public.audit_chain c WHERE c.tenant_id = NEW.tenant_id AND c.audit_id = NEW.id) THEN
        RAISE EXCEPTION 'the id is taken' USING ERRCODE = 'unique_violation', CONSTRAINT = 'audit_logs_id';
    END IF;
    INSERT INTO public.audit_unsealed (tenant_id, audit_id, at, row_hash)
    VALUES (NEW.tenant_id, NEW.id, NEW.created_at, sha256(convert_to(public.audit_canonical(NEW), 'UTF8')));
    IF NEW.phase = 'intent' THEN
        INSERT INTO public.audit_open (tenant_id, intent_id, instance, at, user_id, session_id, event_type,
                                       resource_type, resource_id, request_id, layout, conversation_id)
        VALUES (NEW.tenant_id, NEW.id, public.app_instance(), NEW.created_at, NEW.user_id, NEW.session_id, NEW.event_type,
                NEW.resource_type, NEW.resource_id, NEW.request_id, NEW.layout, NEW.conversation_id);
    ELSIF NEW.phase = 'outcome' THEN
        DELETE FROM public.audit_open WHERE tenant_id = NEW.tenant_id AND intent_id = NEW.correlation_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the operation has its outcome, or never had an intent'
                USING ERRCODE = 'unique_violation', CONSTRAINT = 'audit_one_outcome';
        END IF;
    END IF;
    RETURN NULL;
END
$$;

-- As in migration 11, with layout and conversation.
CREATE OR REPLACE FUNCTION audit_recover(gone uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    recovered bigint;
BEGIN
    IF gone IS NOT NULL AND gone NOT IN (SELECT public.audit_absent_instances()) THEN
        RETURN 0;
    END IF;
    INSERT INTO public.audit_logs (tenant_id, user_id, session_id, event_type, resource_type, resource_id, result_status,
                                   metadata, created_at, correlation_id, request_id, phase, layout, conversation_id)
    SELECT o.tenant_id, o.user_id, o.session_id,
           CASE o.event_type WHEN 'chat.request' THEN 'chat.response' ELSE o.event_type END,
           o.resource_type, o.resource_id, 'unknown', '{"recovered": true}', clock_timestamp(), o.intent_id, o.request_id,
           'outcome', o.layout, o.conversation_id
    FROM public.audit_open o
    WHERE CASE WHEN gone IS NULL THEN o.at < clock_timestamp() - CASE WHEN o.instance IS NULL THEN interval '15 minutes'
                                                                      ELSE interval '1 day' END
               ELSE o.instance = gone END
    ORDER BY o.at LIMIT 1000
    FOR UPDATE SKIP LOCKED;
    GET DIAGNOSTICS recovered = ROW_COUNT;
    RETURN recovered;
END
$$;

RESET ROLE;
