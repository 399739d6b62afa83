-- The audit log as evidence: partitions by month, a hash chain per tenant, signed checkpoints, and what is still open.
--
-- An append stays a plain insert. A trigger notes the row's hash in audit_unsealed and, for an intent, that it is open;
-- once a second audit_seal gives the noted rows their place in the tenant's chain (ADR 30). Nobody who logs in can write
-- any of these tables: numbers and hashes are made here.
SET LOCAL ROLE platform_owner;

-- The process that writes, or null: set on every connection of the application.
CREATE FUNCTION app_instance() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN current_setting('app.instance', true) ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
    THEN current_setting('app.instance', true)::uuid
END;
GRANT EXECUTE ON FUNCTION app_instance() TO platform_app;

-- 1. The log, partitioned.

ALTER TABLE audit_logs RENAME TO audit_logs_before_partitions;
-- FORCE binds the owner too, who copies the rows below.
ALTER TABLE audit_logs_before_partitions DISABLE ROW LEVEL SECURITY;
ALTER TABLE audit_logs_before_partitions RENAME CONSTRAINT audit_logs_pkey TO audit_logs_before_partitions_pkey;
DROP INDEX idx_audit_tenant, idx_audit_user, idx_audit_resource;

CREATE TABLE audit_logs (
    LIKE audit_logs_before_partitions INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    PRIMARY KEY (tenant_id, id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX idx_audit_tenant ON audit_logs (tenant_id, created_at DESC, id DESC);
CREATE INDEX idx_audit_user ON audit_logs (tenant_id, user_id, created_at DESC, id DESC);
CREATE INDEX idx_audit_resource ON audit_logs (tenant_id, resource_id, created_at DESC, id DESC)
    WHERE resource_id IS NOT NULL;
CREATE INDEX idx_audit_correlation ON audit_logs (tenant_id, correlation_id);
ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_logs FORCE ROW LEVEL SECURITY;
CREATE POLICY append ON audit_logs FOR INSERT TO platform_app WITH CHECK (tenant_id = (SELECT app_tenant()));
CREATE POLICY review ON audit_logs FOR SELECT TO platform_auditor USING (tenant_id = (SELECT app_tenant()));
-- For audit_recover, which writes, and audit_streams, which reads tenant ids.
CREATE POLICY recovery ON audit_logs FOR INSERT TO platform_owner WITH CHECK (true);
CREATE POLICY streams ON audit_logs FOR SELECT TO platform_owner USING (true);
GRANT INSERT ON audit_logs TO platform_app;
GRANT SELECT ON audit_logs TO platform_auditor;

-- The partition of a month (UTC), made if it is not there. Like passages, it is reached through its parent only.
CREATE FUNCTION make_audit_partition(month date) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    name text := 'audit_logs_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.audit_logs FOR VALUES FROM (%L) TO (%L)', name,
                   to_char(month, 'YYYY-MM-01') || ' 00:00:00+00',
                   to_char(month + interval '1 month', 'YYYY-MM-01') || ' 00:00:00+00');
    PERFORM close_audit_partition(name);
END
$$;

CREATE FUNCTION close_audit_partition(name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON public.%I TO platform_app, platform_auditor
                        USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()))', name);
END
$$;

-- An append never fails for want of a partition.
CREATE TABLE audit_logs_other PARTITION OF audit_logs DEFAULT;
SELECT close_audit_partition('audit_logs_other');
-- For the owner who retires rows: of a month that has a partition, the partition goes; of another, the rows do.
CREATE POLICY retirement ON audit_logs_other TO platform_owner USING (true);

DO $$
DECLARE
    month date;
BEGIN
    FOR month IN
        SELECT generate_series(least(date_trunc('month', coalesce(min(created_at), now()), 'UTC'), date_trunc('month', now(), 'UTC'))
                                   AT TIME ZONE 'UTC',
                               date_trunc('month', now(), 'UTC') AT TIME ZONE 'UTC' + interval '2 months',
                               interval '1 month')::date
        FROM audit_logs_before_partitions
    LOOP
        PERFORM make_audit_partition(month);
    END LOOP;
END
$$;

-- 2. The chain and what belongs to it.

-- Rows that have no place in the chain yet, with their hash at the moment of the insert.
CREATE TABLE audit_unsealed (
    tenant_id  uuid        NOT NULL,
    audit_id   uuid        NOT NULL,
    at         timestamptz NOT NULL,
    row_hash   bytea       NOT NULL CHECK (length(row_hash) = 32),
    PRIMARY KEY (tenant_id, audit_id)
);

-- chain_hash = sha256(chain_hash of seq - 1 || seq || at in microseconds || row_hash), big-endian; before seq 1 stands
-- sha256('platform-audit-chain/1' || tenant_id).
CREATE TABLE audit_chain (
    tenant_id  uuid        NOT NULL,
    seq        bigint      NOT NULL CHECK (seq > 0),
    audit_id   uuid        NOT NULL,
    at         timestamptz NOT NULL,
    row_hash   bytea       NOT NULL CHECK (length(row_hash) = 32),
    chain_hash bytea       NOT NULL CHECK (length(chain_hash) = 32),
    PRIMARY KEY (tenant_id, seq),
    UNIQUE (tenant_id, audit_id)
);

-- What a process of the platform signed: at this moment the chain had this hash at this place.
CREATE TABLE audit_checkpoints (
    tenant_id  uuid        NOT NULL,
    seq        bigint      NOT NULL,
    chain_hash bytea       NOT NULL CHECK (length(chain_hash) = 32),
    at         timestamptz NOT NULL,
    key_id     varchar(64) NOT NULL,
    signature  bytea       NOT NULL CHECK (length(signature) = 64),
    PRIMARY KEY (tenant_id, seq, signature)
);

-- What was taken out when its time was over: rows before a day, with the place where the chain goes on.
CREATE TABLE audit_retirements (
    tenant_id   uuid        NOT NULL,
    through_seq bigint      NOT NULL,
    chain_hash  bytea       NOT NULL CHECK (length(chain_hash) = 32),
    before      timestamptz NOT NULL,
    rows        bigint      NOT NULL,
    at          timestamptz NOT NULL,
    key_id      varchar(64) NOT NULL,
    signature   bytea       NOT NULL CHECK (length(signature) = 64),
    PRIMARY KEY (tenant_id, before, at)
);

-- Intents without an outcome, with what the outcome repeats of them and the process that wrote them.
CREATE TABLE audit_open (
    tenant_id     uuid         NOT NULL,
    intent_id     uuid         NOT NULL,
    instance      uuid,
    at            timestamptz  NOT NULL,
    user_id       uuid,
    session_id    uuid,
    event_type    varchar(128) NOT NULL,
    resource_type varchar(128),
    resource_id   uuid,
    request_id    varchar(64),
    PRIMARY KEY (tenant_id, intent_id)
);
CREATE INDEX idx_audit_open_instance ON audit_open (instance, at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['audit_unsealed', 'audit_chain', 'audit_checkpoints', 'audit_retirements', 'audit_open'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        -- FORCE binds the functions' owner too.
        EXECUTE format('CREATE POLICY keeping ON %I TO platform_owner USING (true) WITH CHECK (true)', name);
        CONTINUE WHEN name = 'audit_open';
        EXECUTE format('CREATE POLICY review ON %I FOR SELECT TO platform_auditor USING (tenant_id = (SELECT app_tenant()))', name);
        EXECUTE format('GRANT SELECT ON %I TO platform_auditor', name);
    END LOOP;
END
$$;

-- 3. Appending.

-- A row as the text that is hashed: a JSON array as jsonb prints it, so that neither the order of keys nor the session's
-- time zone matters. `domain::audit::sealed` writes the same text; a test compares the two.
CREATE FUNCTION audit_canonical(entry audit_logs) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
RETURN jsonb_build_array(
    1, entry.tenant_id, entry.id, entry.user_id, entry.session_id, entry.event_type, entry.resource_type,
    entry.resource_id, entry.model, entry.tools_used, entry.request_hash, entry.result_status, entry.latency_ms,
    entry.metadata, (extract(epoch FROM entry.created_at) * 1000000)::bigint, entry.correlation_id, entry.request_id,
    entry.phase)::text;

-- Notes a new row for sealing. An intent is open from here on; an outcome closes it, and there is no second one: who
-- comes too late fails together with the effect in the same transaction.
CREATE FUNCTION audit_appended() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- The partitioned key holds the moment too, so it does not make the id unique; a second row of a sealed id would find
    -- no place in the chain.
    IF EXISTS (SELECT FROM public.audit_chain c WHERE c.tenant_id = NEW.tenant_id AND c.audit_id = NEW.id) THEN
        RAISE EXCEPTION 'the id is taken' USING ERRCODE = 'unique_violation', CONSTRAINT = 'audit_logs_id';
    END IF;
    INSERT INTO public.audit_unsealed (tenant_id, audit_id, at, row_hash)
    VALUES (NEW.tenant_id, NEW.id, NEW.created_at, sha256(convert_to(public.audit_canonical(NEW), 'UTF8')));
    IF NEW.phase = 'intent' THEN
        INSERT INTO public.audit_open (tenant_id, intent_id, instance, at, user_id, session_id, event_type,
                                       resource_type, resource_id, request_id)
        VALUES (NEW.tenant_id, NEW.id, public.app_instance(), NEW.created_at, NEW.user_id, NEW.session_id, NEW.event_type,
                NEW.resource_type, NEW.resource_id, NEW.request_id);
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

-- The rows from before: noted like new ones; an intent without an outcome is open.
INSERT INTO audit_logs SELECT * FROM audit_logs_before_partitions;
INSERT INTO audit_unsealed (tenant_id, audit_id, at, row_hash)
SELECT l.tenant_id, l.id, l.created_at, sha256(convert_to(audit_canonical(l), 'UTF8')) FROM audit_logs l;
INSERT INTO audit_open (tenant_id, intent_id, at, user_id, session_id, event_type, resource_type, resource_id, request_id)
SELECT tenant_id, id, created_at, user_id, session_id, event_type, resource_type, resource_id, request_id
FROM audit_logs AS intent
WHERE phase = 'intent'
  AND NOT EXISTS (SELECT FROM audit_logs AS outcome
                  WHERE outcome.tenant_id = intent.tenant_id AND outcome.correlation_id = intent.id
                    AND outcome.phase = 'outcome');
DROP TABLE audit_logs_before_partitions;

CREATE TRIGGER appended AFTER INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION audit_appended();

-- 4. Keeping: what a process of the platform does once a second, as the application's role.

-- Seals up to at_most rows, by id within each tenant (ids are in order of time); returns the new end of each chain that grew. One caller at
-- a time; another gets nothing.
CREATE FUNCTION audit_seal(at_most integer) RETURNS TABLE (tenant uuid, seq bigint, chain_hash bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    entry    record;
    stream   uuid;
    number   bigint;
    head     bytea;
    tenants  uuid[] := '{}';
    numbers  bigint[] := '{}';
    ids      uuid[] := '{}';
    moments  timestamptz[] := '{}';
    hashes   bytea[] := '{}';
    heads    bytea[] := '{}';
BEGIN
    IF NOT pg_try_advisory_xact_lock(x'61756469'::integer, 0) THEN
        RETURN;
    END IF;
    FOR entry IN
        SELECT u.tenant_id, u.audit_id, u.at, u.row_hash FROM public.audit_unsealed u
        ORDER BY u.tenant_id, u.audit_id LIMIT at_most
    LOOP
        IF entry.tenant_id IS DISTINCT FROM stream THEN
            stream := entry.tenant_id;
            SELECT c.seq, c.chain_hash INTO number, head FROM public.audit_chain c
            WHERE c.tenant_id = stream ORDER BY c.seq DESC LIMIT 1;
            IF NOT FOUND THEN
                number := 0;
                head := sha256(convert_to('platform-audit-chain/1', 'UTF8') || uuid_send(stream));
            END IF;
        END IF;
        number := number + 1;
        head := sha256(head || int8send(number) || int8send((extract(epoch FROM entry.at) * 1000000)::bigint)
                       || entry.row_hash);
        tenants := tenants || stream;
        numbers := numbers || number;
        ids := ids || entry.audit_id;
        moments := moments || entry.at;
        hashes := hashes || entry.row_hash;
        heads := heads || head;
    END LOOP;
    INSERT INTO public.audit_chain (tenant_id, seq, audit_id, at, row_hash, chain_hash)
    SELECT * FROM unnest(tenants, numbers, ids, moments, hashes, heads);
    DELETE FROM public.audit_unsealed u USING unnest(tenants, ids) AS sealed (tenant_id, audit_id)
    WHERE u.tenant_id = sealed.tenant_id AND u.audit_id = sealed.audit_id;
    RETURN QUERY
        SELECT DISTINCT ON (sealed.t) sealed.t, sealed.n, sealed.h
        FROM unnest(tenants, numbers, heads) AS sealed (t, n, h) ORDER BY sealed.t, sealed.n DESC;
END
$$;

-- The ends of chains that no checkpoint covers yet.
CREATE FUNCTION audit_unproven_heads() RETURNS TABLE (tenant uuid, seq bigint, chain_hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT stream.id, head.seq, head.chain_hash
    FROM (SELECT id FROM public.tenants UNION ALL VALUES ('00000000-0000-0000-0000-000000000000'::uuid)) AS stream
    CROSS JOIN LATERAL (SELECT c.seq, c.chain_hash FROM public.audit_chain c
                        WHERE c.tenant_id = stream.id ORDER BY c.seq DESC LIMIT 1) AS head
    WHERE head.seq > (SELECT coalesce(max(p.seq), 0) FROM public.audit_checkpoints p WHERE p.tenant_id = stream.id)
$$;

-- Keeps a signed checkpoint of a place that the chain has. One of a place that it has no more is not kept here: nobody who
-- logs in writes places or hashes of their own. The copy outside the database tells of it.
CREATE FUNCTION audit_keep_checkpoint(tenant uuid, place bigint, hash bytea, moment timestamptz, key varchar, seal bytea)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    INSERT INTO public.audit_checkpoints (tenant_id, seq, chain_hash, at, key_id, signature)
    SELECT tenant, place, hash, moment, key, seal
    WHERE EXISTS (SELECT FROM public.audit_chain c WHERE c.tenant_id = tenant AND c.seq = place AND c.chain_hash = hash)
    ON CONFLICT DO NOTHING
$$;

-- Whether a process is there: it holds the advisory lock of its id on a connection of its own.
CREATE FUNCTION audit_instance_key(instance uuid) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('x' || right(instance::text, 8))::bit(32)::integer;

CREATE FUNCTION audit_absent_instances() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT o.instance FROM (SELECT DISTINCT instance FROM public.audit_open WHERE instance IS NOT NULL) AS o
    WHERE NOT EXISTS (SELECT FROM pg_locks l
                      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                        AND l.classid = x'696e7374'::integer::oid
                        AND l.objid = public.audit_instance_key(o.instance)::oid)
$$;

-- Closes what a process left open that is gone: with the outcome unknown. Null: what no process is known for and is older
-- than a quarter of an hour, and what is older than a day whoever wrote it. Returns how many.
CREATE FUNCTION audit_recover(gone uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    recovered bigint;
BEGIN
    IF gone IS NOT NULL AND gone NOT IN (SELECT public.audit_absent_instances()) THEN
        RETURN 0;
    END IF;
    INSERT INTO public.audit_logs (tenant_id, user_id, session_id, event_type, resource_type, resource_id, result_status,
                                   metadata, created_at, correlation_id, request_id, phase)
    SELECT o.tenant_id, o.user_id, o.session_id,
           CASE o.event_type WHEN 'chat.request' THEN 'chat.response' ELSE o.event_type END,
           o.resource_type, o.resource_id, 'unknown', '{"recovered": true}', clock_timestamp(), o.intent_id, o.request_id,
           'outcome'
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

-- This month's partition and those of the next two. A month whose rows are in audit_logs_other already stays there.
CREATE FUNCTION audit_prepare_partitions() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    ahead integer;
BEGIN
    PERFORM pg_advisory_xact_lock(x'61756469'::integer, 1);
    FOR ahead IN 0..2 LOOP
        BEGIN
            PERFORM make_audit_partition((date_trunc('month', now(), 'UTC') AT TIME ZONE 'UTC'
                                          + make_interval(months => ahead))::date);
        EXCEPTION WHEN check_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

GRANT EXECUTE ON FUNCTION audit_seal(integer),
                          audit_unproven_heads(),
                          audit_keep_checkpoint(uuid, bigint, bytea, timestamptz, varchar, bytea),
                          audit_absent_instances(),
                          audit_recover(uuid),
                          audit_prepare_partitions()
    TO platform_app;

-- 5. Reviewing.

-- Every tenant id that the log or its chain knows, also one that never was a tenant.
CREATE FUNCTION audit_streams() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT DISTINCT tenant_id FROM public.audit_logs
    UNION SELECT DISTINCT tenant_id FROM public.audit_chain
    UNION SELECT DISTINCT tenant_id FROM public.audit_unsealed
    UNION SELECT DISTINCT tenant_id FROM public.audit_checkpoints
    UNION SELECT DISTINCT tenant_id FROM public.audit_retirements
$$;
GRANT EXECUTE ON FUNCTION audit_streams() TO platform_auditor;

RESET ROLE;
