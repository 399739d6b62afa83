-- Making a tenant's partition locks the parent alone. `LOCK TABLE` of a partitioned table locks every partition unless
-- it says ONLY: at 1,000 tenants, the next one took 1,039 locks, and waited for every tenant's index being built.
SET LOCAL ROLE platform_owner;

CREATE OR REPLACE FUNCTION make_passage_partition(tenant uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    name text := public.passage_partition(tenant);
BEGIN
    IF to_regclass(format('public.%I', name)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- What attaching takes anyway. One at a time: two that are made at once may choose one name for their indexes.
    LOCK TABLE ONLY public.document_chunks IN SHARE UPDATE EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.document_chunks INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON public.%I TO platform_app
                    USING (tenant_id = (SELECT public.app_tenant()))
                    WITH CHECK (tenant_id = (SELECT public.app_tenant()))', name);
    EXECUTE format('ALTER TABLE public.document_chunks ATTACH PARTITION public.%I FOR VALUES IN (%L)', name, tenant);
END
$$;

RESET ROLE;
