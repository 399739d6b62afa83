-- What the platform records of tags, in one partition per day (UTC) that is dropped as a whole (ADR 85).
SET LOCAL ROLE platform_owner;

-- No foreign key to the tag: a partition could then be made and dropped only while nobody changes the catalogue. What was
-- recorded of a deleted tag belongs to no tag that could be read, and goes with its day.
CREATE TABLE recorded_samples (
    tenant_id        uuid         NOT NULL,
    tag_id           uuid         NOT NULL,
    -- When it was sampled, by the platform's clock.
    at               timestamptz  NOT NULL,
    -- Numbers take eight bytes; other values are JSON.
    number           double precision,
    other            jsonb,
    quality          varchar(16)  NOT NULL CHECK (quality IN ('good', 'uncertain', 'bad')),
    quality_code     text,
    source_timestamp timestamptz,
    -- Already stale when it was sampled.
    stale            boolean      NOT NULL,
    PRIMARY KEY (tenant_id, tag_id, at)
) PARTITION BY RANGE (at);
ALTER TABLE recorded_samples ENABLE ROW LEVEL SECURITY;
ALTER TABLE recorded_samples FORCE ROW LEVEL SECURITY;
CREATE POLICY plant ON recorded_samples TO platform_plant
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT ON recorded_samples TO platform_plant;

CREATE FUNCTION close_recorded_partition(name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY plant ON public.%I TO platform_plant
                        USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()))', name);
END
$$;

-- Recording never fails for want of a partition.
CREATE TABLE recorded_samples_other PARTITION OF recorded_samples DEFAULT;
SELECT close_recorded_partition('recorded_samples_other');

-- FORCE binds the functions' owner too.
CREATE POLICY retention ON recorded_samples FOR DELETE TO platform_owner USING (true);
CREATE POLICY retention_read ON recorded_samples FOR SELECT TO platform_owner USING (true);
CREATE POLICY overview ON tags FOR SELECT TO platform_owner USING (true);

-- The partitions of today and the next two days. A day whose rows are in recorded_samples_other already stays there.
CREATE FUNCTION plant_prepare_partitions() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    day   date;
    name  text;
BEGIN
    PERFORM pg_advisory_xact_lock(x'706c616e'::integer, 1);
    FOR ahead IN 0..2 LOOP
        day := today + ahead;
        name := 'recorded_samples_' || to_char(day, 'YYYY_MM_DD');
        CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE public.%I PARTITION OF public.recorded_samples FOR VALUES FROM (%L) TO (%L)',
                           name, to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00',
                           to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00');
            PERFORM public.close_recorded_partition(name);
        EXCEPTION WHEN check_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

-- Drops the days that no connector keeps any more; returns how many. Samples of connectors that are no longer recorded are
-- kept for a day, so that switching it off by mistake loses nothing at once.
CREATE FUNCTION plant_drop_partitions() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    keep_days integer;
    part      text;
    dropped   bigint := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(x'706c616e'::integer, 1);
    SELECT coalesce(max(c.record_keep_days), 1) INTO keep_days FROM public.connectors c;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.recorded_samples'::regclass AND c.relname ~ '^recorded_samples_\d{4}_\d\d_\d\d$'
          AND to_date(right(c.relname, 10), 'YYYY_MM_DD') < (now() AT TIME ZONE 'UTC')::date - keep_days
    LOOP
        EXECUTE format('DROP TABLE public.%I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- Deletes what connectors with a shorter time have in the other days, a part of it at a time; returns how many rows.
CREATE FUNCTION plant_delete_expired_samples() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH expired AS (
        SELECT s.tenant_id, s.tag_id, s.at
        FROM public.connectors c
        JOIN public.tags t ON t.tenant_id = c.tenant_id AND t.connector_id = c.id
        JOIN public.recorded_samples s ON s.tenant_id = t.tenant_id AND s.tag_id = t.id
        WHERE s.at < now() - make_interval(days => coalesce(c.record_keep_days, 1))
        LIMIT 100000
    ), deleted AS (
        DELETE FROM public.recorded_samples s USING expired e
        WHERE s.tenant_id = e.tenant_id AND s.tag_id = e.tag_id AND s.at = e.at
        RETURNING 1)
    SELECT count(*) FROM deleted
$$;
GRANT EXECUTE ON FUNCTION plant_prepare_partitions(), plant_drop_partitions(), plant_delete_expired_samples()
    TO platform_plant;

SELECT plant_prepare_partitions();

RESET ROLE;
