-- Approvals of writes to plant systems, the policies on them, work orders, and the plant mode (ADR 81, ADR 82).
SET LOCAL ROLE platform_owner;

CREATE TABLE approval_policies (
    tenant_id       uuid         NOT NULL REFERENCES tenants (id),
    tool            varchar(64)  NOT NULL,
    -- One more with each change; a tool without a row has the platform's default, version 0.
    version         bigint       NOT NULL CHECK (version > 0),
    terms           jsonb        NOT NULL CHECK (jsonb_typeof(terms) = 'object'),
    updated_by      uuid,
    updated_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, tool),
    FOREIGN KEY (tenant_id, updated_by) REFERENCES users (tenant_id, id)
);
ALTER TABLE approval_policies ENABLE ROW LEVEL SECURITY;
ALTER TABLE approval_policies FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON approval_policies TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (version, terms, updated_by, updated_at) ON approval_policies TO platform_app;

CREATE TABLE approvals (
    id              uuid         NOT NULL,
    tenant_id       uuid         NOT NULL,
    tool            varchar(64)  NOT NULL,
    tool_version    integer      NOT NULL CHECK (tool_version > 0),
    target          text         NOT NULL,
    arguments       jsonb        NOT NULL CHECK (jsonb_typeof(arguments) = 'object'),
    preview         jsonb        NOT NULL CHECK (jsonb_typeof(preview) = 'object'),
    digest          varchar(71)  NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    reason          text,
    requested_by    uuid         NOT NULL,
    -- Where it was asked for; of a deleted conversation nothing is left.
    conversation_id uuid,
    policy_version  bigint       NOT NULL CHECK (policy_version >= 0),
    terms           jsonb        NOT NULL CHECK (jsonb_typeof(terms) = 'object'),
    -- Of the terms, what lists are filtered by.
    approver_ids    uuid[]       NOT NULL DEFAULT '{}',
    approver_grant  boolean      NOT NULL DEFAULT false,
    escalation_ids  uuid[]       NOT NULL DEFAULT '{}',
    status          varchar(16)  NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'approved', 'executing', 'executed', 'failed', 'rejected', 'expired',
                                      'cancelled')),
    escalated       boolean      NOT NULL DEFAULT false,
    expires_at      timestamptz  NOT NULL,
    result          jsonb        CHECK (jsonb_typeof(result) = 'object'),
    error           jsonb        CHECK (jsonb_typeof(error) = 'object'),
    -- The requester's conversation has to be told the outcome.
    notice_due      boolean      NOT NULL DEFAULT false,
    created_at      timestamptz  NOT NULL,
    updated_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, requested_by) REFERENCES users (tenant_id, id),
    FOREIGN KEY (tenant_id, conversation_id, requested_by) REFERENCES conversations (tenant_id, id, user_id)
        ON DELETE SET NULL (conversation_id),
    CHECK (status = 'executed' OR result IS NULL),
    CHECK (status = 'failed' OR error IS NULL)
);
CREATE INDEX idx_approvals_created ON approvals (tenant_id, created_at DESC, id DESC);
CREATE INDEX idx_approvals_conversation ON approvals (tenant_id, conversation_id) WHERE conversation_id IS NOT NULL;
CREATE INDEX idx_approvals_requester ON approvals (tenant_id, requested_by);
CREATE INDEX idx_approvals_open ON approvals (tenant_id, expires_at)
    WHERE status IN ('pending', 'approved', 'executing') OR notice_due;
ALTER TABLE approvals ENABLE ROW LEVEL SECURITY;
ALTER TABLE approvals FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON approvals TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
-- What was asked for never changes.
GRANT SELECT, INSERT, UPDATE (status, escalated, expires_at, result, error, notice_due, updated_at) ON approvals
    TO platform_app;

-- The table of transitions; domain::approval::TRANSITIONS has the same, and a test compares them.
CREATE FUNCTION approval_may_become(old_status text, new_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (old_status, new_status) IN (
    ('pending', 'approved'), ('pending', 'rejected'), ('pending', 'expired'), ('pending', 'cancelled'),
    ('approved', 'executing'), ('approved', 'failed'), ('approved', 'expired'),
    ('executing', 'executed'), ('executing', 'failed'));
GRANT EXECUTE ON FUNCTION approval_may_become(text, text) TO platform_app;

CREATE FUNCTION check_approval() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'pending' THEN
            RAISE EXCEPTION 'an approval begins as pending, not as %', NEW.status USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.status <> OLD.status AND NOT public.approval_may_become(OLD.status, NEW.status) THEN
        RAISE EXCEPTION 'an approval that is % cannot become %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.tool, NEW.tool_version, NEW.target, NEW.arguments, NEW.digest, NEW.requested_by, NEW.policy_version)
       IS DISTINCT FROM
       (OLD.tool, OLD.tool_version, OLD.target, OLD.arguments, OLD.digest, OLD.requested_by, OLD.policy_version) THEN
        RAISE EXCEPTION 'what an approval covers cannot change' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER transitions BEFORE INSERT OR UPDATE ON approvals FOR EACH ROW EXECUTE FUNCTION check_approval();

CREATE TABLE approval_decisions (
    tenant_id       uuid         NOT NULL,
    approval_id     uuid         NOT NULL,
    -- One decision of each user.
    user_id         uuid         NOT NULL,
    decision        varchar(16)  NOT NULL CHECK (decision IN ('approve', 'reject')),
    comment         text,
    decided_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, approval_id, user_id),
    FOREIGN KEY (tenant_id, approval_id) REFERENCES approvals (tenant_id, id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
ALTER TABLE approval_decisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE approval_decisions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON approval_decisions TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT ON approval_decisions TO platform_app;

-- Nobody decides on their own request, in whatever program.
CREATE FUNCTION check_approval_decision() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM public.approvals a
               WHERE a.tenant_id = NEW.tenant_id AND a.id = NEW.approval_id AND a.requested_by = NEW.user_id) THEN
        RAISE EXCEPTION 'requesters do not decide on their own requests' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER own_request BEFORE INSERT ON approval_decisions
    FOR EACH ROW EXECUTE FUNCTION check_approval_decision();

CREATE TABLE work_orders (
    id                 uuid         NOT NULL,
    tenant_id          uuid         NOT NULL REFERENCES tenants (id),
    -- The approval that led to it: whatever executes an approval twice finds the order of the first time.
    external_reference varchar(128) NOT NULL,
    target             text         NOT NULL,
    title              text         NOT NULL,
    description        text         NOT NULL,
    priority           smallint     NOT NULL CHECK (priority BETWEEN 1 AND 4),
    due                varchar(40),
    status             varchar(16)  NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed')),
    requested_by       uuid         NOT NULL,
    created_at         timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, external_reference),
    FOREIGN KEY (tenant_id, requested_by) REFERENCES users (tenant_id, id)
);
CREATE INDEX idx_work_orders_created ON work_orders (tenant_id, created_at DESC, id DESC);
CREATE INDEX idx_work_orders_requester ON work_orders (tenant_id, requested_by);
ALTER TABLE work_orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE work_orders FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON work_orders TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (status) ON work_orders TO platform_app;

CREATE TABLE plant_mode (
    tenant_id       uuid         NOT NULL PRIMARY KEY REFERENCES tenants (id),
    mode            varchar(16)  NOT NULL CHECK (mode IN ('normal', 'read_only', 'off')),
    reason          text         NOT NULL,
    changed_by      uuid,
    changed_at      timestamptz  NOT NULL,
    FOREIGN KEY (tenant_id, changed_by) REFERENCES users (tenant_id, id)
);
ALTER TABLE plant_mode ENABLE ROW LEVEL SECURITY;
ALTER TABLE plant_mode FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON plant_mode TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, UPDATE (mode, reason, changed_by, changed_at) ON plant_mode TO platform_app;

ALTER TABLE jobs
    DROP CONSTRAINT jobs_kind_check,
    ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('ingestion', 'vector_index', 'reindex', 'approvals'));

-- The functions' owner finds the tenants whose approvals need a worker. FORCE binds it too.
CREATE POLICY due ON approvals FOR SELECT TO platform_owner
    USING (status IN ('pending', 'approved', 'executing') OR notice_due);
CREATE POLICY due ON plant_mode FOR SELECT TO platform_owner USING (true);

-- Queues the processing of approvals for the active tenants that have any to expire, to escalate, to execute or to
-- report; returns how many. A job that is queued or leased stays as it is.
CREATE FUNCTION enqueue_due_approvals() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    queued bigint;
BEGIN
    INSERT INTO public.jobs AS job (tenant_id, kind)
    SELECT DISTINCT a.tenant_id, 'approvals'
    FROM public.approvals a
    JOIN public.tenants t ON t.id = a.tenant_id AND t.is_active
    LEFT JOIN public.plant_mode m ON m.tenant_id = a.tenant_id
    WHERE a.notice_due OR a.status = 'executing'
       OR (a.status IN ('pending', 'approved') AND a.expires_at <= clock_timestamp())
       OR (a.status = 'approved' AND coalesce(m.mode, 'normal') = 'normal')
    ON CONFLICT (tenant_id, document_id, kind) DO UPDATE
    SET dead_at = NULL, attempts = 0, failures = 0, leased = false, lease_token = job.lease_token + 1,
        due_at = now(), turn_at = now()
    WHERE job.dead_at IS NOT NULL;
    GET DIAGNOSTICS queued = ROW_COUNT;
    IF queued > 0 THEN
        PERFORM pg_notify('platform_jobs', '');
    END IF;
    RETURN queued;
END
$$;
GRANT EXECUTE ON FUNCTION enqueue_due_approvals() TO platform_worker;

RESET ROLE;
