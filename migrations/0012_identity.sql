-- Personal access tokens, the claims that stand for tenants, and whether a user's role came with a token.
SET LOCAL ROLE platform_owner;

-- A role that a token gave is lost with the next token that gives none; one that an admin gave stays.
ALTER TABLE users ADD COLUMN role_from_token boolean NOT NULL DEFAULT false;
GRANT UPDATE (role_from_token) ON users TO platform_app;

CREATE TABLE access_tokens (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL,
    user_id         uuid         NOT NULL,
    name            varchar(128) NOT NULL,
    -- HMAC of the secret, with a key that is not in the database.
    token_hash      varchar(64)  NOT NULL,
    scopes          text[]       NOT NULL CHECK (cardinality(scopes) > 0),
    created_at      timestamptz  NOT NULL DEFAULT now(),
    expires_at      timestamptz  NOT NULL,
    last_used_at    timestamptz,
    revoked_at      timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT access_tokens_hash UNIQUE (tenant_id, token_hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_access_tokens_user ON access_tokens (tenant_id, user_id, created_at DESC, id DESC);
CREATE INDEX idx_access_tokens_hash ON access_tokens (token_hash);
ALTER TABLE access_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE access_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON access_tokens TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (last_used_at, revoked_at) ON access_tokens TO platform_app;

-- The token behind a hash, before the tenant is known: one row or none.
CREATE POLICY directory_token ON access_tokens FOR SELECT TO platform_owner USING (true);
CREATE FUNCTION directory_access_token(hash text) RETURNS SETOF access_tokens
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT * FROM public.access_tokens WHERE token_hash = hash LIMIT 1
$$;

-- Which claim of which issuer stands for which tenant. Read and written through the functions below only.
CREATE TABLE tenant_mappings (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL REFERENCES tenants (id),
    issuer          varchar(255) NOT NULL,
    claim_value     varchar(255) NOT NULL,
    created_by      uuid,
    created_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    -- A claim stands for one tenant in the whole platform. Not a UNIQUE: those contain the tenant, so that no tenant
    -- learns of another's rows by a clash; here only those who run the platform write.
    CONSTRAINT tenant_mappings_claim EXCLUDE (issuer WITH =, claim_value WITH =)
);
ALTER TABLE tenant_mappings ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_mappings FORCE ROW LEVEL SECURITY;
CREATE POLICY directory_read ON tenant_mappings FOR SELECT TO platform_owner USING (true);
CREATE POLICY directory_create ON tenant_mappings FOR INSERT TO platform_owner WITH CHECK (true);
CREATE POLICY directory_delete ON tenant_mappings FOR DELETE TO platform_owner USING (true);

-- The tenant that a claim stands for: one row or none.
CREATE FUNCTION directory_mapped_tenant(of_issuer text, claim text) RETURNS SETOF tenants
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT t.* FROM public.tenant_mappings m JOIN public.tenants t ON t.id = m.tenant_id
    WHERE m.issuer = of_issuer AND m.claim_value = claim
$$;

CREATE FUNCTION directory_list_mappings(tenant uuid, after_at timestamptz, after_id uuid, at_most bigint)
    RETURNS SETOF tenant_mappings
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT * FROM public.tenant_mappings
    WHERE tenant_id = tenant AND (after_at IS NULL OR (created_at, id) < (after_at, after_id))
    ORDER BY created_at DESC, id DESC
    LIMIT at_most
$$;

-- No row where there is no such tenant.
CREATE FUNCTION directory_create_mapping(new_id uuid, tenant uuid, of_issuer text, claim text, creator uuid)
    RETURNS SETOF tenant_mappings
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    INSERT INTO public.tenant_mappings (id, tenant_id, issuer, claim_value, created_by)
    SELECT new_id, t.id, of_issuer, claim, creator FROM public.tenants t WHERE t.id = tenant
    RETURNING *
$$;

CREATE FUNCTION directory_delete_mapping(tenant uuid, mapping uuid) RETURNS SETOF tenant_mappings
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    DELETE FROM public.tenant_mappings WHERE tenant_id = tenant AND id = mapping RETURNING *
$$;

GRANT EXECUTE ON FUNCTION directory_access_token(text),
                          directory_mapped_tenant(text, text),
                          directory_list_mappings(uuid, timestamptz, uuid, bigint),
                          directory_create_mapping(uuid, uuid, text, text, uuid),
                          directory_delete_mapping(uuid, uuid)
    TO platform_app;

RESET ROLE;
