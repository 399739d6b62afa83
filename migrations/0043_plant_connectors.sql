-- Connectors to plant systems, the catalogue of their tags, and the requests to the process that is connected to them
-- (ADR 85).
--
-- That process logs in as a role of its own. Roles belong to the whole cluster: see migration 1.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'platform_plant') THEN
        BEGIN
            CREATE ROLE platform_plant LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO platform_plant', current_database());
END
$$;

GRANT USAGE ON SCHEMA public TO platform_plant;

SET LOCAL ROLE platform_owner;

GRANT EXECUTE ON FUNCTION app_tenant() TO platform_plant;

CREATE TABLE connectors (
    id                  uuid         NOT NULL,
    tenant_id           uuid         NOT NULL REFERENCES tenants (id),
    name                varchar(128) NOT NULL,
    kind                varchar(32)  NOT NULL
                        CHECK (kind IN ('opcua', 'mqtt', 'sparkplug', 'modbus', 'pi_web_api', 'simulator')),
    endpoint            text         NOT NULL,
    config              jsonb        NOT NULL CHECK (jsonb_typeof(config) = 'object'),
    -- Encrypted with a key outside the database.
    sealed_secret       bytea,
    classification      varchar(32)  NOT NULL
                        CHECK (classification IN ('public', 'internal', 'confidential', 'restricted')),
    stale_after_s       integer      NOT NULL CHECK (stale_after_s > 0),
    record_interval_s   integer      CHECK (record_interval_s > 0),
    record_keep_days    integer      CHECK (record_keep_days > 0),
    enabled             boolean      NOT NULL,
    -- SHA-256 of the server's certificate, if an administrator trusts it.
    trusted_thumbprint  varchar(64)  CHECK (trusted_thumbprint ~ '^[0-9a-f]{64}$'),
    -- One more with each change of the connector or its tags.
    revision            bigint       NOT NULL CHECK (revision > 0),
    created_at          timestamptz  NOT NULL,
    updated_at          timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT connectors_name UNIQUE (tenant_id, name),
    CHECK ((record_interval_s IS NULL) = (record_keep_days IS NULL))
);
CREATE INDEX idx_connectors_created ON connectors (tenant_id, created_at DESC, id DESC);
ALTER TABLE connectors ENABLE ROW LEVEL SECURITY;
ALTER TABLE connectors FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON connectors TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
CREATE POLICY plant ON connectors FOR SELECT TO platform_plant USING (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE,
      UPDATE (name, endpoint, config, sealed_secret, classification, stale_after_s, record_interval_s, record_keep_days,
              enabled, trusted_thumbprint, revision, updated_at)
    ON connectors TO platform_app;
GRANT SELECT ON connectors TO platform_plant;

CREATE TABLE tags (
    id              uuid         NOT NULL,
    tenant_id       uuid         NOT NULL,
    connector_id    uuid         NOT NULL,
    name            varchar(128) NOT NULL,
    -- The name in the form in which all of its spellings are equal.
    normalized_name text         NOT NULL,
    address         text         NOT NULL,
    data_type       varchar(16)  CHECK (data_type IN ('int16', 'uint16', 'int32', 'uint32', 'float32', 'bool')),
    scale           double precision,
    unit            text,
    description     text,
    equipment       text,
    limits          jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object'),
    -- Identifiers in name, description and equipment; and their words.
    terms           text[]       NOT NULL,
    search_text     text         NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT tags_of_connector UNIQUE (tenant_id, connector_id, name),
    CONSTRAINT tags_name UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, connector_id) REFERENCES connectors (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_tags_normalized_name ON tags (tenant_id, normalized_name);
ALTER TABLE tags ENABLE ROW LEVEL SECURITY;
ALTER TABLE tags FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tags TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
CREATE POLICY plant ON tags FOR SELECT TO platform_plant USING (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE,
      UPDATE (name, normalized_name, address, data_type, scale, unit, description, equipment, limits, terms,
              search_text)
    ON tags TO platform_app;
GRANT SELECT ON tags TO platform_plant;

-- Requests live for seconds: whoever asked deletes them, and what expired is swept.
CREATE TABLE plant_requests (
    id              uuid         NOT NULL,
    tenant_id       uuid         NOT NULL,
    connector_id    uuid         NOT NULL,
    kind            varchar(16)  NOT NULL CHECK (kind IN ('read', 'history', 'check', 'browse')),
    question        jsonb        NOT NULL CHECK (jsonb_typeof(question) = 'object'),
    -- Highest classification that the reader may see.
    clearance       varchar(32)  NOT NULL
                    CHECK (clearance IN ('public', 'internal', 'confidential', 'restricted')),
    answer          jsonb        CHECK (jsonb_typeof(answer) = 'object'),
    created_at      timestamptz  NOT NULL,
    claimed_at      timestamptz,
    expires_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, connector_id) REFERENCES connectors (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_plant_requests_waiting ON plant_requests (tenant_id, created_at) WHERE claimed_at IS NULL;
CREATE INDEX idx_plant_requests_connector ON plant_requests (tenant_id, connector_id);
CREATE INDEX idx_plant_requests_expiry ON plant_requests (expires_at);
ALTER TABLE plant_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE plant_requests FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON plant_requests TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
CREATE POLICY plant ON plant_requests TO platform_plant
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE ON plant_requests TO platform_app;
GRANT SELECT, UPDATE (answer) ON plant_requests TO platform_plant;

-- The newest sample of each tag that was read, for a reader who comes while its source is out of reach.
CREATE TABLE tag_samples (
    tenant_id       uuid         NOT NULL,
    tag_id          uuid         NOT NULL,
    sample          jsonb        NOT NULL CHECK (jsonb_typeof(sample) = 'object'),
    received_at     timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, tag_id),
    FOREIGN KEY (tenant_id, tag_id) REFERENCES tags (tenant_id, id) ON DELETE CASCADE
);
ALTER TABLE tag_samples ENABLE ROW LEVEL SECURITY;
ALTER TABLE tag_samples FORCE ROW LEVEL SECURITY;
CREATE POLICY plant ON tag_samples TO platform_plant
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (sample, received_at) ON tag_samples TO platform_plant;

-- Functions run as the owner, whom FORCE binds too: each policy gives it the rows that one function needs.
CREATE POLICY claiming ON plant_requests TO platform_owner USING (true) WITH CHECK (true);
CREATE POLICY overview ON connectors FOR SELECT TO platform_owner USING (true);

-- Takes on waiting requests for the caller, at most `wanted`: the oldest of each tenant, then each one's second, and so
-- on. Returns ids only; everything else is read in the tenant's own transaction.
CREATE FUNCTION claim_plant_requests(wanted integer) RETURNS TABLE (tenant_id uuid, request_id uuid)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH waiting AS (
        SELECT r.tenant_id, r.id,
               row_number() OVER (PARTITION BY r.tenant_id ORDER BY r.created_at, r.id) AS turn, r.created_at
        FROM public.plant_requests r
        WHERE r.claimed_at IS NULL AND r.expires_at > clock_timestamp()
    ), chosen AS (
        SELECT w.tenant_id, w.id FROM waiting w ORDER BY w.turn, w.created_at, w.id LIMIT least(wanted, 1000)
    ), locked AS (
        SELECT r.tenant_id, r.id FROM public.plant_requests r
        JOIN chosen c ON c.tenant_id = r.tenant_id AND c.id = r.id
        WHERE r.claimed_at IS NULL
        FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE public.plant_requests r SET claimed_at = clock_timestamp()
    FROM locked l WHERE r.tenant_id = l.tenant_id AND r.id = l.id
    RETURNING r.tenant_id, r.id
$$;

-- The connectors of active tenants, without any of their texts.
CREATE FUNCTION plant_connector_states()
    RETURNS TABLE (tenant_id uuid, connector_id uuid, revision bigint, usable boolean, is_off boolean,
                   record_interval_s integer, record_keep_days integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT c.tenant_id, c.id, c.revision, c.enabled AND coalesce(m.mode, 'normal') <> 'off',
           coalesce(m.mode, 'normal') = 'off', c.record_interval_s, c.record_keep_days
    FROM public.connectors c
    JOIN public.tenants t ON t.id = c.tenant_id AND t.is_active
    LEFT JOIN public.plant_mode m ON m.tenant_id = c.tenant_id
$$;

-- Deletes requests that nobody waits for any more; returns how many.
CREATE FUNCTION sweep_plant_requests() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH swept AS (DELETE FROM public.plant_requests r WHERE r.expires_at < now() - interval '1 minute' RETURNING 1)
    SELECT count(*) FROM swept
$$;
GRANT EXECUTE ON FUNCTION claim_plant_requests(integer), plant_connector_states(), sweep_plant_requests()
    TO platform_plant;

-- Wakes the process: a change of the plant mode is in force within a second, running reads included.
CREATE FUNCTION notify_plant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('platform_plant', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER plant_changed AFTER INSERT OR UPDATE ON plant_mode FOR EACH STATEMENT EXECUTE FUNCTION notify_plant();
CREATE TRIGGER plant_changed AFTER INSERT OR UPDATE OR DELETE ON connectors
    FOR EACH STATEMENT EXECUTE FUNCTION notify_plant();
CREATE TRIGGER plant_asked AFTER INSERT ON plant_requests FOR EACH STATEMENT EXECUTE FUNCTION notify_plant();

RESET ROLE;
