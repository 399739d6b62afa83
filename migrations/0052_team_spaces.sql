-- Spaces: what belongs to a team is kept apart from what belongs to its tenant. A transaction acts in the home space of
-- its tenant, or in one team. Each policy is narrowed to that space; none sees more than before. Why: ADR 94.
SET LOCAL ROLE platform_owner;

-- The team of the transaction; null in the home space: nothing set, or set to ''. What is no UUID becomes the nil UUID,
-- which no team has, so that a mistake shows nothing instead of the home space.
CREATE FUNCTION app_team() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN coalesce(current_setting('app.team', true), '') = '' THEN NULL
    WHEN current_setting('app.team', true) ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
    THEN current_setting('app.team', true)::uuid
    ELSE '00000000-0000-0000-0000-000000000000'::uuid
END;
GRANT EXECUTE ON FUNCTION app_team() TO platform_app, platform_auditor, platform_worker, platform_plant;

-- Teams and members ------------------------------------------------------------------------------------------------

ALTER TABLE teams
    ADD CONSTRAINT teams_id_is_not_nil CHECK (id <> '00000000-0000-0000-0000-000000000000'),
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    -- When the team was marked for deletion; its content goes later. Until then it can be restored.
    ADD COLUMN deleted_at timestamptz;
GRANT UPDATE (updated_at, deleted_at) ON teams TO platform_app;

ALTER TABLE team_memberships
    -- When the user left or was removed. The row stays, so that messages keep their authors' names.
    ADD COLUMN left_at timestamptz;
GRANT UPDATE (joined_at, left_at) ON team_memberships TO platform_app;

ALTER TABLE users
    -- The tenant of a guest: a user of another tenant who is or was a member of a team here, under the same id. Null for
    -- the tenant's own users. Nobody signs in as a guest's row.
    ADD COLUMN home_tenant_id uuid;

-- Invitations as the hosting tenant keeps them.
CREATE TABLE team_invitations (
    id              uuid         NOT NULL,
    tenant_id       uuid         NOT NULL,
    team_id         uuid         NOT NULL,
    invited_by      uuid         NOT NULL,
    -- As the owner gave them. They find the user once; afterwards only guest_id counts.
    guest_tenant    varchar(64)  NOT NULL,
    email           varchar(255) NOT NULL,
    -- Where it was delivered; null if there is no such tenant, or it does not let its users join others' teams.
    guest_tenant_id uuid,
    -- The user that was found; null until there is one.
    guest_id        uuid,
    status          varchar(16)  NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'accepted', 'declined', 'voided')),
    created_at      timestamptz  NOT NULL,
    expires_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, team_id) REFERENCES teams (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_team_invitations_team ON team_invitations (tenant_id, team_id, created_at DESC, id DESC);
ALTER TABLE team_invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE team_invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON team_invitations TO platform_app
    USING (tenant_id = (SELECT app_tenant())
           AND ((SELECT app_team()) IS NULL OR team_id = (SELECT app_team())))
    WITH CHECK (tenant_id = (SELECT app_tenant())
           AND ((SELECT app_team()) IS NULL OR team_id = (SELECT app_team())));
GRANT SELECT, INSERT, UPDATE (guest_tenant_id, guest_id, status) ON team_invitations TO platform_app;

-- The same invitations as the guest's tenant keeps them, and from them the teams elsewhere that its users belong to.
CREATE TABLE team_links (
    invitation_id   uuid         NOT NULL,
    tenant_id       uuid         NOT NULL,
    -- Null while nobody with this address has listed invitations; afterwards only the id counts.
    user_id         uuid,
    email           varchar(255) NOT NULL,
    host_tenant_id  uuid         NOT NULL,
    team_id         uuid         NOT NULL,
    team_name       varchar(255) NOT NULL,
    status          varchar(16)  NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'accepted', 'declined', 'voided')),
    created_at      timestamptz  NOT NULL,
    expires_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, invitation_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_team_links_user ON team_links (tenant_id, user_id, created_at DESC, invitation_id DESC);
ALTER TABLE team_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE team_links FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON team_links TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND (SELECT app_team()) IS NULL)
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND (SELECT app_team()) IS NULL);
GRANT SELECT, INSERT, UPDATE (status, user_id) ON team_links TO platform_app;

-- In a team's space its own row, its members and their names are visible.
ALTER POLICY tenant ON teams
    USING (tenant_id = (SELECT app_tenant()) AND ((SELECT app_team()) IS NULL OR id = (SELECT app_team())))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND ((SELECT app_team()) IS NULL OR id = (SELECT app_team())));
ALTER POLICY tenant ON team_memberships
    USING (tenant_id = (SELECT app_tenant()) AND ((SELECT app_team()) IS NULL OR team_id = (SELECT app_team())))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND ((SELECT app_team()) IS NULL OR team_id = (SELECT app_team())));
ALTER POLICY tenant ON users
    USING (tenant_id = (SELECT app_tenant())
           AND CASE WHEN (SELECT app_team()) IS NULL THEN home_tenant_id IS NULL
                    ELSE EXISTS (SELECT FROM team_memberships AS m
                                 WHERE m.tenant_id = users.tenant_id AND m.team_id = (SELECT app_team())
                                   AND m.user_id = users.id) END)
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND ((SELECT app_team()) IS NULL) = (home_tenant_id IS NULL));

-- Content ----------------------------------------------------------------------------------------------------------

-- The default is the space of the inserting transaction; no statement names another, and no role may change it.
ALTER TABLE documents ADD COLUMN team_id uuid DEFAULT app_team(),
    ADD CONSTRAINT documents_team FOREIGN KEY (tenant_id, team_id) REFERENCES teams (tenant_id, id);
ALTER TABLE document_chunks ADD COLUMN team_id uuid DEFAULT app_team();
ALTER TABLE document_terms ADD COLUMN team_id uuid DEFAULT app_team();
ALTER TABLE document_tombstones ADD COLUMN team_id uuid DEFAULT app_team();
ALTER TABLE jobs ADD COLUMN team_id uuid DEFAULT app_team();
ALTER TABLE conversations ADD COLUMN team_id uuid DEFAULT app_team(),
    ADD CONSTRAINT conversations_team FOREIGN KEY (tenant_id, team_id) REFERENCES teams (tenant_id, id);
ALTER TABLE messages ADD COLUMN team_id uuid DEFAULT app_team(),
    -- Who wrote the message, or asked for the answer. In a team's conversation user_id stays that of its creator.
    ADD COLUMN author_id uuid DEFAULT app_user();
ALTER TABLE run_events ADD COLUMN team_id uuid DEFAULT app_team();
ALTER TABLE model_calls ADD COLUMN team_id uuid DEFAULT app_team();

CREATE INDEX idx_documents_team ON documents (tenant_id, team_id, created_at DESC, id DESC) WHERE team_id IS NOT NULL;
CREATE INDEX idx_conversations_team ON conversations (tenant_id, team_id, created_at DESC, id DESC)
    WHERE team_id IS NOT NULL;
CREATE INDEX idx_messages_team_streaming ON messages (tenant_id, team_id) WHERE status = 'streaming';

ALTER POLICY tenant ON documents
    USING (tenant_id = (SELECT app_tenant()) AND team_id IS NOT DISTINCT FROM (SELECT app_team()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND team_id IS NOT DISTINCT FROM (SELECT app_team()));
ALTER POLICY tenant ON document_chunks
    USING (tenant_id = (SELECT app_tenant()) AND team_id IS NOT DISTINCT FROM (SELECT app_team()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND team_id IS NOT DISTINCT FROM (SELECT app_team()));
ALTER POLICY tenant ON document_terms
    USING (tenant_id = (SELECT app_tenant()) AND team_id IS NOT DISTINCT FROM (SELECT app_team()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND team_id IS NOT DISTINCT FROM (SELECT app_team()));
ALTER POLICY tenant ON document_tombstones
    USING (tenant_id = (SELECT app_tenant()) AND team_id IS NOT DISTINCT FROM (SELECT app_team()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND team_id IS NOT DISTINCT FROM (SELECT app_team()));
-- Work on the whole tenant, such as an index over all its passages, is queued from every space.
ALTER POLICY tenant ON jobs
    USING (tenant_id = (SELECT app_tenant())
           AND (document_id IS NULL OR team_id IS NOT DISTINCT FROM (SELECT app_team())))
    WITH CHECK (tenant_id = (SELECT app_tenant())
           AND (document_id IS NULL OR team_id IS NOT DISTINCT FROM (SELECT app_team())));

-- Own conversations in the home space, those of the team in a team's. A child's parent must be in the same space.
ALTER POLICY owner ON conversations
    USING (tenant_id = (SELECT app_tenant())
           AND CASE WHEN (SELECT app_team()) IS NULL THEN user_id = (SELECT app_user()) AND team_id IS NULL
                    ELSE team_id = (SELECT app_team()) END)
    WITH CHECK (tenant_id = (SELECT app_tenant())
           AND CASE WHEN (SELECT app_team()) IS NULL THEN user_id = (SELECT app_user()) AND team_id IS NULL
                    ELSE team_id = (SELECT app_team()) END);
ALTER POLICY owner ON messages
    USING (tenant_id = (SELECT app_tenant())
           AND CASE WHEN (SELECT app_team()) IS NULL THEN user_id = (SELECT app_user()) AND team_id IS NULL
                    ELSE team_id = (SELECT app_team()) END)
    WITH CHECK (tenant_id = (SELECT app_tenant())
           AND CASE WHEN (SELECT app_team()) IS NULL THEN user_id = (SELECT app_user()) AND team_id IS NULL
                    ELSE team_id = (SELECT app_team())
                         AND EXISTS (SELECT FROM conversations AS c
                                     WHERE c.tenant_id = messages.tenant_id AND c.id = messages.conversation_id) END);
ALTER POLICY owner ON run_events
    USING (tenant_id = (SELECT app_tenant())
           AND CASE WHEN (SELECT app_team()) IS NULL THEN user_id = (SELECT app_user()) AND team_id IS NULL
                    ELSE team_id = (SELECT app_team()) END)
    WITH CHECK (tenant_id = (SELECT app_tenant())
           AND CASE WHEN (SELECT app_team()) IS NULL THEN user_id = (SELECT app_user()) AND team_id IS NULL
                    ELSE team_id = (SELECT app_team())
                         AND EXISTS (SELECT FROM conversations AS c
                                     WHERE c.tenant_id = run_events.tenant_id AND c.id = run_events.conversation_id)
               END);

-- In a team's space of the sessions, tokens and calls of models only the user's own: they say whether the user may go on.
ALTER POLICY tenant ON sessions
    USING (tenant_id = (SELECT app_tenant()) AND ((SELECT app_team()) IS NULL OR user_id = (SELECT app_user())))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND ((SELECT app_team()) IS NULL OR user_id = (SELECT app_user())));
ALTER POLICY tenant ON access_tokens
    USING (tenant_id = (SELECT app_tenant()) AND ((SELECT app_team()) IS NULL OR user_id = (SELECT app_user())))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND ((SELECT app_team()) IS NULL OR user_id = (SELECT app_user())));
ALTER POLICY tenant ON model_calls
    USING (tenant_id = (SELECT app_tenant())
           AND ((SELECT app_team()) IS NULL OR user_id = (SELECT app_user())
                -- Those of the work on the team's documents, which is nobody's.
                OR (user_id IS NULL AND team_id = (SELECT app_team()) AND (SELECT app_user()) IS NULL)))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND team_id IS NOT DISTINCT FROM (SELECT app_team()));

-- Everything else of a tenant is not there in a team's space. What is left as it was are numbers: usage and budgets,
-- which are the tenant's as a whole.
DO $$
DECLARE
    narrowed record;
BEGIN
    FOR narrowed IN
        SELECT c.relname, p.polname, pg_get_expr(p.polqual, p.polrelid) AS visible,
               pg_get_expr(p.polwithcheck, p.polrelid) AS checked
        FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid
        WHERE 'platform_app'::regrole::oid = ANY (p.polroles)
          AND NOT c.relispartition AND c.relname NOT LIKE 'audit_%'
          AND c.relname NOT IN ('tenants', 'tenant_usage', 'tenant_token_usage', 'usage_days', 'budget_reservations')
          AND coalesce(pg_get_expr(p.polqual, p.polrelid), '') NOT LIKE '%app_team()%'
          AND coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') NOT LIKE '%app_team()%'
    LOOP
        EXECUTE format('ALTER POLICY %I ON public.%I', narrowed.polname, narrowed.relname)
            || coalesce(' USING ((' || narrowed.visible || ') AND (SELECT app_team()) IS NULL)', '')
            || coalesce(' WITH CHECK ((' || narrowed.checked || ') AND (SELECT app_team()) IS NULL)', '');
    END LOOP;
    -- Partitions have their parent's policy, although nobody reaches them but through it.
    FOR narrowed IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'document_chunks'::regclass AND c.relname <> 'document_chunks_nobody'
    LOOP
        EXECUTE format('ALTER POLICY tenant ON public.%I
                        USING (tenant_id = (SELECT public.app_tenant())
                               AND team_id IS NOT DISTINCT FROM (SELECT public.app_team()))
                        WITH CHECK (tenant_id = (SELECT public.app_tenant())
                               AND team_id IS NOT DISTINCT FROM (SELECT public.app_team()))', narrowed.relname);
    END LOOP;
END
$$;

-- As in migration 20, with the space.
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
                    USING (tenant_id = (SELECT public.app_tenant())
                           AND team_id IS NOT DISTINCT FROM (SELECT public.app_team()))
                    WITH CHECK (tenant_id = (SELECT public.app_tenant())
                           AND team_id IS NOT DISTINCT FROM (SELECT public.app_team()))', name);
    EXECUTE format('ALTER TABLE public.document_chunks ATTACH PARTITION public.%I FOR VALUES IN (%L)', name, tenant);
END
$$;

-- The worker's side ------------------------------------------------------------------------------------------------

-- The space of a claimed job, and of a run whose process died. Functions of their own: the previous release calls
-- claim_job and abandoned_runs, whose columns cannot change.
CREATE FUNCTION job_team(job uuid) RETURNS uuid
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT team_id FROM public.jobs WHERE id = job AND document_id IS NOT NULL
$$;
CREATE FUNCTION run_team(tenant uuid, run uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT team_id FROM public.run_events WHERE tenant_id = tenant AND run_id = run ORDER BY first_seq LIMIT 1
$$;
GRANT EXECUTE ON FUNCTION job_team(uuid), run_team(uuid, uuid) TO platform_worker;

-- As in migration 10; a job is in the space of its document.
CREATE OR REPLACE FUNCTION requeue_documents_of_other_models(configured text[]) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH queued AS (
        INSERT INTO public.jobs AS job (tenant_id, team_id, kind, document_id, size_bytes, turn_at)
        SELECT document.tenant_id, document.team_id, 'ingestion', document.id, document.file_size_bytes,
               now() + public.job_handicap(document.file_size_bytes)
        FROM public.documents AS document
        JOIN public.tenants AS tenant ON tenant.id = document.tenant_id AND tenant.is_active
        WHERE document.status = 'ready' AND document.embedding_model <> ALL (configured)
        ON CONFLICT (tenant_id, document_id, kind) DO UPDATE
        SET dead_at = NULL, attempts = 0, failures = 0, leased = false, lease_token = job.lease_token + 1,
            due_at = now(), turn_at = excluded.turn_at
        WHERE job.dead_at IS NOT NULL
        RETURNING 1),
    told AS (SELECT pg_notify('platform_jobs', ''))
    SELECT count(*) FROM queued, told
$$;

RESET ROLE;
