-- A tenant's settings in versions, what conversations have touched, what tenants use, and grants that admins give.
SET LOCAL ROLE platform_owner;

-- Settings ---------------------------------------------------------------------------------------------------------

ALTER TABLE tenants
    -- Counts the changes of config, whoever makes them.
    ADD COLUMN config_version bigint NOT NULL DEFAULT 1;

-- Each state that a tenant's settings had. The directory's functions alone read and write it.
CREATE TABLE tenant_settings_versions (
    tenant_id       uuid         NOT NULL REFERENCES tenants (id),
    version         bigint       NOT NULL,
    config          jsonb        NOT NULL,
    -- Null: made with the tenant, or changed in the database. No key: a platform_admin is another tenant's user.
    changed_by      uuid,
    changed_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version)
);
ALTER TABLE tenant_settings_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_settings_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY directory ON tenant_settings_versions TO platform_owner USING (true) WITH CHECK (true);
INSERT INTO tenant_settings_versions (tenant_id, version, config, changed_at)
SELECT id, config_version, config, updated_at FROM tenants;

CREATE FUNCTION number_settings() RETURNS trigger
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.config_version := OLD.config_version + CASE WHEN NEW.config IS DISTINCT FROM OLD.config THEN 1 ELSE 0 END;
    RETURN NEW;
END
$$;
CREATE TRIGGER settings_number BEFORE UPDATE ON tenants FOR EACH ROW EXECUTE FUNCTION number_settings();

CREATE FUNCTION keep_settings() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO public.tenant_settings_versions (tenant_id, version, config)
    VALUES (NEW.id, NEW.config_version, NEW.config)
    ON CONFLICT (tenant_id, version) DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER settings_kept AFTER INSERT OR UPDATE ON tenants FOR EACH ROW EXECUTE FUNCTION keep_settings();

-- Puts `settings` in the place of the keys in `known`, and leaves all others as they are. No row where there is no such
-- tenant, or its settings are at another version by now.
CREATE FUNCTION directory_configure(tenant uuid, known text[], settings jsonb, expected bigint, changer uuid)
RETURNS SETOF tenants
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE public.tenants AS t SET config = (t.config - known) || settings, updated_at = now()
    WHERE t.id = tenant AND t.config_version = expected;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE public.tenant_settings_versions AS v SET changed_by = changer
    WHERE v.tenant_id = tenant AND v.version = expected + 1;
    RETURN QUERY SELECT * FROM public.tenants AS t WHERE t.id = tenant;
END
$$;

-- Newest first, those before `older_than` if given.
CREATE FUNCTION directory_settings_versions(tenant uuid, older_than bigint, at_most bigint)
RETURNS SETOF tenant_settings_versions
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT * FROM public.tenant_settings_versions
    WHERE tenant_id = tenant AND (older_than IS NULL OR version < older_than)
    ORDER BY version DESC
    LIMIT at_most
$$;
GRANT EXECUTE ON FUNCTION directory_configure(uuid, text[], jsonb, bigint, uuid),
                          directory_settings_versions(uuid, bigint, bigint)
    TO platform_app;

-- Grants -----------------------------------------------------------------------------------------------------------

GRANT UPDATE (grants) ON users TO platform_app;

-- Classification ---------------------------------------------------------------------------------------------------

-- The highest classification of what an answer was made from, and of all that a conversation has touched. What a user
-- writes is the user's own.
ALTER TABLE messages ADD COLUMN classification varchar(32) NOT NULL DEFAULT 'public'
    CHECK (classification IN ('public', 'internal', 'confidential', 'restricted'));
ALTER TABLE conversations ADD COLUMN classification varchar(32) NOT NULL DEFAULT 'public'
    CHECK (classification IN ('public', 'internal', 'confidential', 'restricted'));
GRANT UPDATE (classification) ON messages, conversations TO platform_app;

CREATE FUNCTION higher_classification(one text, other text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (ARRAY ['public', 'internal', 'confidential', 'restricted'])[
    greatest(array_position(ARRAY ['public', 'internal', 'confidential', 'restricted'], one),
             array_position(ARRAY ['public', 'internal', 'confidential', 'restricted'], other))];
GRANT EXECUTE ON FUNCTION higher_classification(text, text) TO platform_app;

-- Earlier answers, by what they cite: a document that is gone may have been anything. FORCE binds the owner too.
ALTER TABLE messages NO FORCE ROW LEVEL SECURITY;
ALTER TABLE conversations NO FORCE ROW LEVEL SECURITY;
ALTER TABLE documents NO FORCE ROW LEVEL SECURITY;
UPDATE messages AS m
SET classification = CASE (
        SELECT max(CASE d.classification WHEN 'public' THEN 1 WHEN 'internal' THEN 2 WHEN 'confidential' THEN 3 ELSE 4 END)
        FROM jsonb_array_elements(m.citations) AS cited
        LEFT JOIN documents AS d ON d.tenant_id = m.tenant_id AND d.id = (cited ->> 'document_id')::uuid)
    WHEN 1 THEN 'public' WHEN 3 THEN 'confidential' WHEN 4 THEN 'restricted' ELSE 'internal' END
WHERE role <> 'user';
UPDATE conversations AS c
SET classification = coalesce((
        SELECT (ARRAY ['public', 'internal', 'confidential', 'restricted'])[max(
            array_position(ARRAY ['public', 'internal', 'confidential', 'restricted'], m.classification::text))]
        FROM messages AS m WHERE m.tenant_id = c.tenant_id AND m.conversation_id = c.id), 'public');
ALTER TABLE messages FORCE ROW LEVEL SECURITY;
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;
ALTER TABLE documents FORCE ROW LEVEL SECURITY;

ALTER TABLE documents
    -- A person has given the title: ingestion leaves it as it is.
    ADD COLUMN title_given boolean NOT NULL DEFAULT false;
GRANT UPDATE (title_given) ON documents TO platform_app;

-- Usage ------------------------------------------------------------------------------------------------------------

-- What a tenant keeps. Counted by the database in the transaction that changes it, so that a quota can be held to it:
-- two uploads at once wait for each other on this row.
CREATE TABLE tenant_usage (
    tenant_id       uuid         PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    documents       bigint       NOT NULL DEFAULT 0,
    bytes           bigint       NOT NULL DEFAULT 0
);
ALTER TABLE tenant_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tenant_usage FOR SELECT TO platform_app USING (tenant_id = (SELECT app_tenant()));
CREATE POLICY counting ON tenant_usage TO platform_owner USING (true) WITH CHECK (true);
GRANT SELECT ON tenant_usage TO platform_app;
ALTER TABLE documents NO FORCE ROW LEVEL SECURITY;
INSERT INTO tenant_usage SELECT tenant_id, count(*), sum(file_size_bytes) FROM documents GROUP BY tenant_id;
ALTER TABLE documents FORCE ROW LEVEL SECURITY;

CREATE FUNCTION count_documents() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE public.tenant_usage SET documents = documents - 1, bytes = bytes - OLD.file_size_bytes
        WHERE tenant_id = OLD.tenant_id;
    ELSE
        INSERT INTO public.tenant_usage AS used VALUES (NEW.tenant_id, 1, NEW.file_size_bytes)
        ON CONFLICT (tenant_id) DO UPDATE
        SET documents = used.documents + 1, bytes = used.bytes + excluded.bytes;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER usage AFTER INSERT OR DELETE ON documents FOR EACH ROW EXECUTE FUNCTION count_documents();

-- Tokens of a tenant's chat turns, per day (UTC).
CREATE TABLE tenant_token_usage (
    tenant_id       uuid         NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    day             date         NOT NULL,
    input_tokens    bigint       NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),
    output_tokens   bigint       NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
    PRIMARY KEY (tenant_id, day)
);
ALTER TABLE tenant_token_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_token_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tenant_token_usage TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (input_tokens, output_tokens) ON tenant_token_usage TO platform_app;

RESET ROLE;
