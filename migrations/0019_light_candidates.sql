-- The terms of a passage are stored with it, so that a search ranks its candidates without reading their texts, and its
-- vector takes two bytes per dimension instead of four. Why: ADR 45.
--
-- Rewrites every passage once, under an exclusive lock on document_chunks. Vector indexes are dropped and built again by
-- the worker; until then, searches compare all passages.
SET LOCAL ROLE platform_owner;

-- Each index of a tenant's partition over vectors of four bytes. Their tenants get a job that builds the new ones.
CREATE POLICY migrating ON tenants FOR SELECT TO platform_owner USING (true);
DO $$
DECLARE
    stale regclass;
BEGIN
    INSERT INTO jobs (tenant_id, kind)
    SELECT DISTINCT t.id, 'vector_index'
    FROM tenants AS t
    JOIN pg_index AS i ON i.indrelid = to_regclass(format('public.%I', passage_partition(t.id)))
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS a ON a.oid = c.relam
    WHERE a.amname = 'hnsw'
    ON CONFLICT DO NOTHING;
    FOR stale IN
        SELECT i.indexrelid::regclass
        FROM pg_inherits AS p
        JOIN pg_index AS i ON i.indrelid = p.inhrelid
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_am AS a ON a.oid = c.relam
        WHERE p.inhparent = 'document_chunks'::regclass AND a.amname = 'hnsw'
    LOOP
        EXECUTE format('DROP INDEX %s', stale);
    END LOOP;
END
$$;
DROP POLICY migrating ON tenants;

-- One statement, so that the passages are rewritten once, with vectors and terms where the row lies. All of it reaches the
-- partitions; new ones copy their parent.
ALTER TABLE document_chunks
    ALTER COLUMN embedding TYPE halfvec USING embedding::halfvec,
    ALTER COLUMN embedding SET STORAGE MAIN,
    -- Hashes of the distinct terms of file name, title, section and content: ascending, four bytes each, big-endian. Null
    -- for passages that were stored before this migration: their text is read instead, until their document is
    -- ingested again.
    ADD COLUMN terms bytea CHECK (length(terms) % 4 = 0);
ALTER TABLE document_chunks ALTER COLUMN terms SET STORAGE MAIN;

-- As in migration 9, but over vectors of two bytes per dimension, of which pgvector indexes up to 4,000.
CREATE OR REPLACE FUNCTION vector_index_due(model text, dimensions integer) RETURNS boolean LANGUAGE sql STABLE
RETURN CASE
    WHEN dimensions > 4000 THEN false
    WHEN to_regclass(format('public.%I', vector_index_name(app_tenant(), model))) IS NOT NULL THEN false
    ELSE (SELECT coalesce(sum(chunk_count), 0) > vector_index_above() FROM documents WHERE tenant_id = app_tenant())
END;

-- As in migration 9, with the same change.
CREATE OR REPLACE FUNCTION build_vector_index(job uuid, token bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_custom_plan
SET maintenance_work_mem = '256MB'
SET max_parallel_maintenance_workers = 0
SET lock_timeout = '20s'
AS $$
DECLARE
    owner uuid;
    kept text[];
    missing text[];
    statement text;
    stale regclass;
BEGIN
    SELECT j.tenant_id INTO owner
    FROM public.jobs AS j
    WHERE j.id = job AND j.lease_token = token AND j.kind = 'vector_index';
    IF owner IS NULL THEN
        RETURN false;
    END IF;
    -- A worker that lost its lease may still be at it.
    PERFORM pg_advisory_xact_lock(hashtextextended('vector index of ' || owner, 0));
    PERFORM set_config('app.current_tenant_id', owner::text, true);
    SELECT coalesce(array_agg(name), '{}'),
           coalesce(array_agg(format('CREATE INDEX IF NOT EXISTS %I ON public.%I
                                      USING hnsw ((embedding::public.halfvec(%s)) public.halfvec_cosine_ops)
                                      WHERE embedding_model = %L',
                                     name, public.passage_partition(owner), dimensions, model))
                    FILTER (WHERE passages > public.vector_index_above() AND dimensions <= 4000), '{}')
    INTO kept, missing
    FROM (SELECT c.embedding_model AS model, public.vector_index_name(owner, c.embedding_model) AS name,
                 max(public.vector_dims(c.embedding)) AS dimensions, sum(count(*)) OVER () AS passages
          FROM public.document_chunks AS c
          WHERE c.tenant_id = owner AND c.embedding IS NOT NULL
          GROUP BY c.embedding_model
          HAVING min(public.vector_dims(c.embedding)) = max(public.vector_dims(c.embedding))) AS generation;
    FOREACH statement IN ARRAY missing LOOP
        EXECUTE statement;
    END LOOP;
    FOR stale IN
        SELECT i.indexrelid::regclass
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_am AS a ON a.oid = c.relam
        WHERE i.indrelid = format('public.%I', public.passage_partition(owner))::regclass
          AND a.amname = 'hnsw' AND c.relname <> ALL (kept)
    LOOP
        EXECUTE format('DROP INDEX %s', stale);
    END LOOP;
    PERFORM set_config('app.current_tenant_id', '', true);
    RETURN true;
END
$$;

RESET ROLE;
