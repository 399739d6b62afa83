-- The few cross-tenant reads and writes of the application: the tenant behind a token's claim, and the administration
-- of tenants. Each is a function of its own; there is no way to read the table of tenants as such.
SET LOCAL ROLE platform_owner;

-- FORCE binds the functions' owner too.
CREATE POLICY directory_read ON tenants FOR SELECT TO platform_owner USING (true);
CREATE POLICY directory_create ON tenants FOR INSERT TO platform_owner WITH CHECK (true);
CREATE POLICY directory_update ON tenants FOR UPDATE TO platform_owner USING (true) WITH CHECK (true);

-- The tenant with this id or slug: one row or none.
CREATE FUNCTION directory_tenant(id_or_slug text) RETURNS SETOF tenants
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT * FROM public.tenants
    WHERE slug = id_or_slug
       OR id = CASE WHEN id_or_slug ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN id_or_slug::uuid END
    LIMIT 1
$$;

-- Tenants newest first, those after (after_at, after_id) if given.
CREATE FUNCTION directory_list(after_at timestamptz, after_id uuid, at_most bigint) RETURNS SETOF tenants
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT * FROM public.tenants
    WHERE after_at IS NULL OR (created_at, id) < (after_at, after_id)
    ORDER BY created_at DESC, id DESC
    LIMIT at_most
$$;

CREATE FUNCTION directory_create(new_id uuid, new_name text, new_slug text) RETURNS SETOF tenants
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    INSERT INTO public.tenants (id, name, slug) VALUES (new_id, new_name, new_slug) RETURNING *
$$;

-- Null leaves a value as it is.
CREATE FUNCTION directory_update(tenant uuid, new_name text, active boolean) RETURNS SETOF tenants
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE public.tenants
    SET name = coalesce(new_name, name), is_active = coalesce(active, is_active), updated_at = now()
    WHERE id = tenant
    RETURNING *
$$;

GRANT EXECUTE ON FUNCTION directory_tenant(text),
                          directory_list(timestamptz, uuid, bigint),
                          directory_create(uuid, text, text),
                          directory_update(uuid, text, boolean)
    TO platform_app;

RESET ROLE;
