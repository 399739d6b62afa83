-- A ledger of the calls to models, what they come to per user and day, and what turns under way have set aside.
SET LOCAL ROLE platform_owner;

-- The ledger -------------------------------------------------------------------------------------------------------

-- A call to a model: for whom, what served, what it took and cost. Nothing of what was asked or answered. Rows are
-- inserted and never changed. No foreign keys: what was spent stays on record when a conversation is deleted.
CREATE TABLE model_calls (
    -- UUIDv7 of the application: a call that is put on record a second time is known by it.
    id              uuid         NOT NULL,
    tenant_id       uuid         NOT NULL,
    -- Null: the worker called.
    user_id         uuid,
    conversation_id uuid,
    run_id          uuid,
    request_id      varchar(64)  NOT NULL,
    operation       varchar(16)  NOT NULL CHECK (operation IN ('chat', 'embeddings', 'rerank')),
    tier            varchar(16)  CHECK (tier IN ('fast', 'heavy')),
    -- By the configuration's name; empty where none was reached.
    backend         varchar(128) NOT NULL,
    requested_model varchar(256) NOT NULL,
    -- As the server names it.
    model           varchar(256) NOT NULL,
    fallback        boolean      NOT NULL,
    -- The backends that were tried before: [{"backend", "error"}].
    failed          jsonb        NOT NULL DEFAULT '[]'
                    CHECK (jsonb_typeof(failed) = 'array' AND length(failed::text) <= 8192),
    status          varchar(16)  NOT NULL CHECK (status IN ('ok', 'error', 'cancelled')),
    error           varchar(64),
    finish_reason   varchar(32),
    input_tokens    bigint       NOT NULL CHECK (input_tokens BETWEEN 0 AND 4294967295),
    output_tokens   bigint       NOT NULL CHECK (output_tokens BETWEEN 0 AND 4294967295),
    -- The server did not count the tokens.
    estimated       boolean      NOT NULL,
    -- Its tokens count towards the budgets of tokens; its cost always counts.
    metered         boolean      NOT NULL,
    -- In millionths of the prices' currency. The bound keeps sums from overflowing, whatever a server says.
    cost_micros     bigint       NOT NULL CHECK (cost_micros BETWEEN 0 AND 1000000000000),
    took_ms         bigint       NOT NULL CHECK (took_ms >= 0),
    first_token_ms  bigint       CHECK (first_token_ms >= 0),
    created_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX idx_model_calls_tenant ON model_calls (tenant_id, created_at);
CREATE INDEX idx_model_calls_user ON model_calls (tenant_id, user_id, created_at);
ALTER TABLE model_calls ENABLE ROW LEVEL SECURITY;
ALTER TABLE model_calls FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON model_calls TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT ON model_calls TO platform_app;

-- What the ledger comes to -----------------------------------------------------------------------------------------

-- Per day (UTC) and user. Counted by the database in the transaction that writes the ledger; nobody else writes it.
CREATE TABLE usage_days (
    tenant_id       uuid         NOT NULL,
    day             date         NOT NULL,
    -- Null: nobody's in particular.
    user_id         uuid,
    -- Of metered calls.
    input_tokens    bigint       NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),
    output_tokens   bigint       NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
    -- Of all.
    cost_micros     bigint       NOT NULL DEFAULT 0 CHECK (cost_micros >= 0),
    UNIQUE NULLS NOT DISTINCT (tenant_id, day, user_id)
);
ALTER TABLE usage_days ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_days FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_days FOR SELECT TO platform_app USING (tenant_id = (SELECT app_tenant()));
CREATE POLICY counting ON usage_days TO platform_owner USING (true) WITH CHECK (true);
GRANT SELECT ON usage_days TO platform_app;

-- What was counted so far, of each tenant's users together. FORCE binds the owner too.
ALTER TABLE tenant_token_usage NO FORCE ROW LEVEL SECURITY;
INSERT INTO usage_days (tenant_id, day, input_tokens, output_tokens)
SELECT tenant_id, day, input_tokens, output_tokens FROM tenant_token_usage;
ALTER TABLE tenant_token_usage FORCE ROW LEVEL SECURITY;

-- A server of the version before still counts there while it drains: with the answer that it stores, which would be lost
-- if the table were gone. What it counts goes on to where it belongs. A later migration drops table and trigger.
CREATE FUNCTION pass_token_usage_on() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    before public.tenant_token_usage;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        before := OLD;
    END IF;
    INSERT INTO public.usage_days AS known (tenant_id, day, input_tokens, output_tokens)
    VALUES (NEW.tenant_id, NEW.day, NEW.input_tokens - coalesce(before.input_tokens, 0),
            NEW.output_tokens - coalesce(before.output_tokens, 0))
    ON CONFLICT (tenant_id, day, user_id) DO UPDATE
    SET input_tokens = known.input_tokens + excluded.input_tokens,
        output_tokens = known.output_tokens + excluded.output_tokens;
    RETURN NULL;
END
$$;
CREATE TRIGGER passed_on AFTER INSERT OR UPDATE ON tenant_token_usage
    FOR EACH ROW WHEN (NEW.input_tokens + NEW.output_tokens > 0) EXECUTE FUNCTION pass_token_usage_on();

CREATE FUNCTION count_model_call() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO public.usage_days AS known (tenant_id, day, user_id, input_tokens, output_tokens, cost_micros)
    VALUES (NEW.tenant_id, (NEW.created_at AT TIME ZONE 'UTC')::date, NEW.user_id,
            CASE WHEN NEW.metered THEN NEW.input_tokens ELSE 0 END,
            CASE WHEN NEW.metered THEN NEW.output_tokens ELSE 0 END,
            NEW.cost_micros)
    ON CONFLICT (tenant_id, day, user_id) DO UPDATE
    SET input_tokens = known.input_tokens + excluded.input_tokens,
        output_tokens = known.output_tokens + excluded.output_tokens,
        cost_micros = known.cost_micros + excluded.cost_micros;
    RETURN NULL;
END
$$;
-- A call that changes no sum waits for no row of them.
CREATE TRIGGER counted AFTER INSERT ON model_calls FOR EACH ROW
    WHEN (NEW.cost_micros > 0 OR (NEW.metered AND NEW.input_tokens + NEW.output_tokens > 0))
    EXECUTE FUNCTION count_model_call();

-- What is set aside ------------------------------------------------------------------------------------------------

-- For turns under way, where a budget is limited. A row that has expired counts no longer: its process died.
CREATE TABLE budget_reservations (
    id              uuid         NOT NULL,
    tenant_id       uuid         NOT NULL,
    user_id         uuid,
    tokens          bigint       NOT NULL CHECK (tokens >= 0),
    cost_micros     bigint       NOT NULL CHECK (cost_micros >= 0),
    created_at      timestamptz  NOT NULL,
    expires_at      timestamptz  NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX idx_budget_reservations_user ON budget_reservations (tenant_id, user_id);
ALTER TABLE budget_reservations ENABLE ROW LEVEL SECURITY;
ALTER TABLE budget_reservations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON budget_reservations TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE, UPDATE (tokens, cost_micros, expires_at) ON budget_reservations TO platform_app;

RESET ROLE;
