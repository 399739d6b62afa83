-- The content of a deleted team goes some days later. The worker finds such teams; it deletes in their spaces.
SET LOCAL ROLE platform_owner;

-- FORCE binds the function's owner too; it sees nothing of a team that is not marked for deletion.
CREATE POLICY expired ON teams FOR SELECT TO platform_owner USING (deleted_at IS NOT NULL);

-- Teams that were deleted longer ago than their tenant's setting says, seven days unless it says so; ids only.
CREATE FUNCTION expired_teams() RETURNS TABLE (tenant_id uuid, team_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT t.tenant_id, t.id
    FROM public.teams AS t JOIN public.tenants AS n ON n.id = t.tenant_id
    WHERE t.deleted_at <= now() - make_interval(days =>
              CASE WHEN jsonb_typeof(n.config -> 'teams' -> 'delete_after_days') = 'number'
                   THEN (n.config -> 'teams' ->> 'delete_after_days')::numeric::integer ELSE 7 END)
    ORDER BY t.deleted_at LIMIT 20
$$;
GRANT EXECUTE ON FUNCTION expired_teams() TO platform_worker;

RESET ROLE;
