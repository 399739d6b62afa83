-- Agents of tenants; goals, their plans and steps, and the queue of their work (ADR 95).
SET LOCAL ROLE platform_owner;

CREATE TABLE agents (
    tenant_id       uuid         NOT NULL REFERENCES tenants (id),
    name            varchar(64)  NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,63}$' AND name <> 'auto'),
    description     text         NOT NULL,
    instructions    text         NOT NULL,
    tools           text[]       NOT NULL DEFAULT '{}',
    model           varchar(16)  NOT NULL CHECK (model IN ('auto', 'fast', 'heavy')),
    updated_by      uuid,
    created_at      timestamptz  NOT NULL,
    updated_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, name),
    FOREIGN KEY (tenant_id, updated_by) REFERENCES users (tenant_id, id)
);
ALTER TABLE agents ENABLE ROW LEVEL SECURITY;
ALTER TABLE agents FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON agents TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE, UPDATE (description, instructions, tools, model, updated_by, updated_at) ON agents
    TO platform_app;

CREATE TABLE goals (
    id              uuid         NOT NULL,
    tenant_id       uuid         NOT NULL,
    user_id         uuid         NOT NULL,
    objective       text         NOT NULL,
    approval        varchar(16)  NOT NULL CHECK (approval IN ('required', 'none')),
    status          varchar(32)  NOT NULL DEFAULT 'planning'
                    CHECK (status IN ('planning', 'awaiting_approval', 'running', 'succeeded', 'failed', 'cancelled')),
    -- 0 while there is no plan.
    plan_version    integer      NOT NULL DEFAULT 0 CHECK (plan_version >= 0),
    -- How its user had signed in; without a token, no scopes limit it.
    session_id      uuid,
    access_token_id uuid,
    scopes          text[]       NOT NULL DEFAULT '{}',
    result          text,
    classification  varchar(16)  NOT NULL DEFAULT 'public'
                    CHECK (classification IN ('public', 'internal', 'confidential', 'restricted')),
    error           jsonb        CHECK (jsonb_typeof(error) = 'object'),
    input_tokens    bigint       NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),
    output_tokens   bigint       NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
    -- Number of its last event.
    event_seq       bigint       NOT NULL DEFAULT 0,
    -- Lease of the worker that plans; the token is the number of claims.
    lease_token     bigint       NOT NULL DEFAULT 0,
    leased_until    timestamptz,
    created_at      timestamptz  NOT NULL,
    updated_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    CHECK (status IN ('succeeded') OR result IS NULL)
);
CREATE INDEX idx_goals_created ON goals (tenant_id, user_id, created_at DESC, id DESC);
CREATE INDEX idx_goals_open ON goals (tenant_id, status) WHERE status IN ('planning', 'running');
ALTER TABLE goals ENABLE ROW LEVEL SECURITY;
ALTER TABLE goals FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON goals TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()));
-- What was asked for, and with which credential, never changes.
GRANT SELECT, INSERT, UPDATE (status, plan_version, result, classification, error, input_tokens, output_tokens,
                              event_seq, updated_at) ON goals TO platform_app;

CREATE TABLE goal_plans (
    tenant_id       uuid         NOT NULL,
    goal_id         uuid         NOT NULL,
    user_id         uuid         NOT NULL,
    version         integer      NOT NULL CHECK (version > 0),
    steps           jsonb        NOT NULL CHECK (jsonb_typeof(steps) = 'array'),
    author          varchar(16)  NOT NULL CHECK (author IN ('planner', 'user')),
    created_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, goal_id, version),
    FOREIGN KEY (tenant_id, goal_id, user_id) REFERENCES goals (tenant_id, id, user_id)
);
ALTER TABLE goal_plans ENABLE ROW LEVEL SECURITY;
ALTER TABLE goal_plans FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON goal_plans TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()));
-- Versions are kept as they were.
GRANT SELECT, INSERT ON goal_plans TO platform_app;

-- The steps of the current version of the plan.
CREATE TABLE goal_steps (
    tenant_id       uuid         NOT NULL,
    goal_id         uuid         NOT NULL,
    user_id         uuid         NOT NULL,
    id              varchar(64)  NOT NULL,
    position        smallint     NOT NULL CHECK (position BETWEEN 0 AND 19),
    title           text         NOT NULL,
    agent           varchar(64)  NOT NULL,
    instruction     text         NOT NULL,
    depends_on      text[]       NOT NULL DEFAULT '{}',
    status          varchar(32)  NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'running', 'waiting_approval', 'succeeded', 'failed', 'skipped')),
    attempts        smallint     NOT NULL DEFAULT 0,
    interruptions   smallint     NOT NULL DEFAULT 0,
    -- The platform has tried it again by itself, which it does once.
    retried         boolean      NOT NULL DEFAULT false,
    output          text,
    citations       jsonb        NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(citations) = 'array'),
    sources         jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(sources) = 'object'),
    classification  varchar(16)  NOT NULL DEFAULT 'public'
                    CHECK (classification IN ('public', 'internal', 'confidential', 'restricted')),
    error           jsonb        CHECK (jsonb_typeof(error) = 'object'),
    approval_ids    uuid[]       NOT NULL DEFAULT '{}',
    due_at          timestamptz  NOT NULL,
    lease_token     bigint       NOT NULL DEFAULT 0,
    leased_until    timestamptz,
    started_at      timestamptz,
    finished_at     timestamptz,
    PRIMARY KEY (tenant_id, goal_id, id),
    FOREIGN KEY (tenant_id, goal_id, user_id) REFERENCES goals (tenant_id, id, user_id)
);
CREATE INDEX idx_goal_steps_open ON goal_steps (tenant_id, due_at)
    WHERE status IN ('pending', 'running', 'waiting_approval');
ALTER TABLE goal_steps ENABLE ROW LEVEL SECURITY;
ALTER TABLE goal_steps FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON goal_steps TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()));
GRANT SELECT, INSERT, DELETE, UPDATE (status, attempts, interruptions, retried, output, citations, sources,
                                      classification, error, approval_ids, due_at, lease_token, leased_until,
                                      started_at, finished_at) ON goal_steps TO platform_app;

CREATE TABLE goal_events (
    tenant_id       uuid         NOT NULL,
    goal_id         uuid         NOT NULL,
    user_id         uuid         NOT NULL,
    seq             bigint       NOT NULL CHECK (seq > 0),
    kind            varchar(32)  NOT NULL
                    CHECK (kind IN ('goal.status', 'plan.changed', 'step.started', 'step.finished')),
    data            jsonb        NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    created_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, goal_id, seq),
    FOREIGN KEY (tenant_id, goal_id, user_id) REFERENCES goals (tenant_id, id, user_id)
);
ALTER TABLE goal_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE goal_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON goal_events TO platform_app
    USING (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()))
    WITH CHECK (tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user()));
GRANT SELECT, INSERT ON goal_events TO platform_app;

-- The tables of transitions; domain::goal has the same, and a test compares them.
CREATE FUNCTION goal_may_become(old_status text, new_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (old_status, new_status) IN (
    ('planning', 'awaiting_approval'), ('planning', 'running'), ('planning', 'failed'), ('planning', 'cancelled'),
    ('awaiting_approval', 'running'), ('awaiting_approval', 'cancelled'),
    ('running', 'succeeded'), ('running', 'failed'), ('running', 'cancelled'),
    ('failed', 'running'));
GRANT EXECUTE ON FUNCTION goal_may_become(text, text) TO platform_app;

CREATE FUNCTION step_may_become(old_status text, new_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (old_status, new_status) IN (
    ('pending', 'running'), ('pending', 'failed'), ('pending', 'skipped'),
    ('running', 'pending'), ('running', 'waiting_approval'), ('running', 'succeeded'), ('running', 'failed'),
    ('running', 'skipped'),
    ('waiting_approval', 'succeeded'), ('waiting_approval', 'failed'), ('waiting_approval', 'skipped'),
    ('failed', 'pending'), ('skipped', 'pending'));
GRANT EXECUTE ON FUNCTION step_may_become(text, text) TO platform_app;

CREATE FUNCTION check_goal() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'planning' THEN
            RAISE EXCEPTION 'a goal begins as planning, not as %', NEW.status USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.status <> OLD.status AND NOT public.goal_may_become(OLD.status, NEW.status) THEN
        RAISE EXCEPTION 'a goal that is % cannot become %', OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER transitions BEFORE INSERT OR UPDATE ON goals FOR EACH ROW EXECUTE FUNCTION check_goal();

CREATE FUNCTION check_goal_step() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.attempts > 0 THEN
            RAISE EXCEPTION 'a step that was tried is not deleted' USING ERRCODE = 'check_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'pending' OR NEW.attempts <> 0 THEN
            RAISE EXCEPTION 'a step begins as pending, not as %', NEW.status USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.status <> OLD.status AND NOT public.step_may_become(OLD.status, NEW.status) THEN
        RAISE EXCEPTION 'a step that is % cannot become %', OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.status = 'succeeded' AND NEW.output IS DISTINCT FROM OLD.output THEN
        RAISE EXCEPTION 'the output of a step that succeeded does not change' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER transitions BEFORE INSERT OR UPDATE OR DELETE ON goal_steps
    FOR EACH ROW EXECUTE FUNCTION check_goal_step();

-- The functions' owner finds the goals that need a worker, and leases their work. FORCE binds it too.
CREATE POLICY due ON goals TO platform_owner
    USING (status IN ('planning', 'running')) WITH CHECK (status IN ('planning', 'running'));
CREATE POLICY due ON goal_steps TO platform_owner USING (true)
    WITH CHECK (status IN ('pending', 'running', 'waiting_approval'));

-- Claims work on a goal of an active tenant: planning, a step whose predecessors succeeded, a step whose worker's lease
-- expired, or a step whose approvals are no longer open. Of the tenants that have any, the one with the fewest leases is
-- served; one that has as many as it may is left alone.
CREATE FUNCTION claim_goal_work(max_per_tenant integer, lease interval)
RETURNS TABLE (tenant_id uuid, user_id uuid, session_id uuid, goal_id uuid, step_id text, kind text, lease_token bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    candidate record;
    token bigint;
BEGIN
    -- One claim at a time: two at once would count the same leases and exceed a tenant's limit together.
    PERFORM pg_advisory_xact_lock(hashtextextended('platform_goals.claim', 0));
    FOR candidate IN
        WITH leased AS (
            SELECT g.tenant_id FROM public.goals g
            WHERE g.status = 'planning' AND g.leased_until > clock_timestamp()
            UNION ALL
            SELECT s.tenant_id FROM public.goal_steps s
            WHERE s.status IN ('pending', 'running', 'waiting_approval') AND s.leased_until > clock_timestamp()),
        held AS (SELECT leased.tenant_id, count(*) AS leases FROM leased GROUP BY leased.tenant_id),
        work AS (
            SELECT g.tenant_id, g.user_id, g.session_id, g.id AS goal_id, NULL::text AS step_id, 'plan' AS kind,
                   g.created_at AS since
            FROM public.goals g
            WHERE g.status = 'planning' AND coalesce(g.leased_until <= clock_timestamp(), true)
            UNION ALL
            SELECT s.tenant_id, s.user_id, g.session_id, s.goal_id, s.id,
                   CASE s.status WHEN 'waiting_approval' THEN 'settle' ELSE 'execute' END, s.due_at
            FROM public.goal_steps s
            JOIN public.goals g ON g.tenant_id = s.tenant_id AND g.id = s.goal_id AND g.status = 'running'
            WHERE s.status IN ('pending', 'running', 'waiting_approval')
              AND s.due_at <= clock_timestamp() AND coalesce(s.leased_until <= clock_timestamp(), true)
              AND CASE s.status
                  WHEN 'pending' THEN NOT EXISTS (
                      SELECT FROM public.goal_steps d
                      WHERE d.tenant_id = s.tenant_id AND d.goal_id = s.goal_id AND d.id = ANY (s.depends_on)
                        AND d.status <> 'succeeded')
                  WHEN 'waiting_approval' THEN NOT EXISTS (
                      SELECT FROM public.approvals a
                      WHERE a.tenant_id = s.tenant_id AND a.id = ANY (s.approval_ids)
                        AND a.status IN ('pending', 'approved', 'executing'))
                  ELSE true END)
        SELECT work.*
        FROM work
        JOIN public.tenants t ON t.id = work.tenant_id AND t.is_active
        LEFT JOIN held ON held.tenant_id = work.tenant_id
        WHERE coalesce(held.leases, 0) <
              least(max_per_tenant,
                    coalesce(CASE WHEN jsonb_typeof(t.config #> '{goals,max_parallel_steps}') = 'number'
                             THEN (t.config #>> '{goals,max_parallel_steps}')::numeric END, max_per_tenant))
        ORDER BY coalesce(held.leases, 0), work.since, work.goal_id, work.step_id
        LIMIT 50
    LOOP
        token := NULL;
        IF candidate.kind = 'plan' THEN
            UPDATE public.goals AS g SET lease_token = g.lease_token + 1, leased_until = clock_timestamp() + lease
            WHERE (g.tenant_id, g.id) IN (
                SELECT p.tenant_id, p.id FROM public.goals p
                WHERE p.tenant_id = candidate.tenant_id AND p.id = candidate.goal_id AND p.status = 'planning'
                FOR UPDATE SKIP LOCKED)
            RETURNING g.lease_token INTO token;
        ELSE
            UPDATE public.goal_steps AS s SET lease_token = s.lease_token + 1, leased_until = clock_timestamp() + lease
            WHERE (s.tenant_id, s.goal_id, s.id) IN (
                SELECT p.tenant_id, p.goal_id, p.id FROM public.goal_steps p
                WHERE p.tenant_id = candidate.tenant_id AND p.goal_id = candidate.goal_id AND p.id = candidate.step_id
                  AND p.status IN ('pending', 'running', 'waiting_approval')
                FOR UPDATE SKIP LOCKED)
            RETURNING s.lease_token INTO token;
        END IF;
        IF token IS NOT NULL THEN
            RETURN QUERY SELECT candidate.tenant_id, candidate.user_id, candidate.session_id, candidate.goal_id,
                                candidate.step_id, candidate.kind, token;
            RETURN;
        END IF;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION claim_goal_work(integer, interval) TO platform_worker;

-- Extends a lease; false where it is lost, the goal does not go on, or its tenant was switched off. Does not wait for the
-- transaction that is just ending the work.
CREATE FUNCTION heartbeat_goal_work(tenant uuid, goal uuid, step text, token bigint, lease interval) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.tenants t WHERE t.id = tenant AND t.is_active) THEN
        RETURN false;
    END IF;
    IF step IS NULL THEN
        UPDATE public.goals SET leased_until = clock_timestamp() + lease
        WHERE (tenant_id, id) IN (
            SELECT g.tenant_id, g.id FROM public.goals g
            WHERE g.tenant_id = tenant AND g.id = goal AND g.lease_token = token AND g.status = 'planning'
            FOR UPDATE SKIP LOCKED);
        RETURN EXISTS (SELECT FROM public.goals g
                       WHERE g.tenant_id = tenant AND g.id = goal AND g.lease_token = token AND g.status = 'planning');
    END IF;
    UPDATE public.goal_steps SET leased_until = clock_timestamp() + lease
    WHERE (tenant_id, goal_id, id) IN (
        SELECT s.tenant_id, s.goal_id, s.id FROM public.goal_steps s
        WHERE s.tenant_id = tenant AND s.goal_id = goal AND s.id = step AND s.lease_token = token
          AND s.status IN ('pending', 'running', 'waiting_approval')
        FOR UPDATE SKIP LOCKED);
    RETURN EXISTS (
        SELECT FROM public.goal_steps s
        JOIN public.goals g ON g.tenant_id = s.tenant_id AND g.id = s.goal_id AND g.status = 'running'
        WHERE s.tenant_id = tenant AND s.goal_id = goal AND s.id = step AND s.lease_token = token
          AND s.status IN ('pending', 'running', 'waiting_approval'));
END
$$;
GRANT EXECUTE ON FUNCTION heartbeat_goal_work(uuid, uuid, text, bigint, interval) TO platform_worker;

RESET ROLE;
