-- Passages in one partition per tenant, each with an index of its own over its vectors once it has grown; several
-- generations of a document's passages, told apart by the embedding model; the language of the words. Why: ADR 18.
--
-- Copies every passage once, under an exclusive lock on document_chunks. Workers of the version before are stopped
-- first: they cannot write into document_terms afterwards.
SET LOCAL ROLE platform_owner;

ALTER TABLE tenants
    -- The model whose passages are searched; null until the first document is published.
    ADD COLUMN embedding_model text,
    -- The model that everything is being embedded with anew; null while that is not so.
    ADD COLUMN staged_model text;
CREATE POLICY own_models ON tenants FOR UPDATE TO platform_app
    USING (id = (SELECT app_tenant())) WITH CHECK (id = (SELECT app_tenant()));
GRANT UPDATE (embedding_model, staged_model) ON tenants TO platform_app;

ALTER TABLE documents
    -- The model whose passages are searched; null until the document is published.
    ADD COLUMN embedding_model text,
    -- PostgreSQL's text search configuration that the words were indexed with.
    ADD COLUMN language text;
GRANT UPDATE (embedding_model, language) ON documents TO platform_app;

-- The text search configuration of the transaction's tenant: `language` of its settings, where PostgreSQL has one of
-- that name; otherwise English.
CREATE FUNCTION app_language() RETURNS regconfig
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT coalesce(
        (SELECT c.oid::regconfig
         FROM public.tenants AS t
         JOIN pg_catalog.pg_ts_config AS c ON c.cfgname::text = lower(t.config ->> 'language')
         WHERE t.id = public.app_tenant() AND c.cfgnamespace = 'pg_catalog'::regnamespace),
        'pg_catalog.english'::regconfig)
$$;
GRANT EXECUTE ON FUNCTION app_language() TO platform_app;

-- Passages ---------------------------------------------------------------------------------------------------------

ALTER TABLE document_chunks RENAME TO document_chunks_before;
ALTER INDEX document_chunks_pkey RENAME TO document_chunks_before_pkey;
-- Their owner copies them.
ALTER TABLE document_chunks_before NO FORCE ROW LEVEL SECURITY;

CREATE TABLE document_chunks (
    id              uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id       uuid         NOT NULL,
    document_id     uuid         NOT NULL,
    chunk_index     integer      NOT NULL CHECK (chunk_index >= 0),
    content         text         NOT NULL,
    token_count     integer,
    -- Page in the file, from 1; null for formats without pages.
    page            integer      CHECK (page > 0),
    section         text,
    classification  varchar(32)  NOT NULL,
    -- No fixed dimension: the model is data, not schema. Vectors of two models are never compared.
    embedding       vector,
    embedding_model text,
    metadata        jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    created_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE NULLS NOT DISTINCT (tenant_id, document_id, embedding_model, chunk_index),
    FOREIGN KEY (tenant_id, document_id, classification) REFERENCES documents (tenant_id, id, classification)
        ON UPDATE CASCADE ON DELETE CASCADE,
    CHECK ((embedding IS NULL) = (embedding_model IS NULL))
) PARTITION BY LIST (tenant_id);
-- A scan over a tenant's vectors reads them where the row lies; the texts, read for the few hits only, may lie apart.
ALTER TABLE document_chunks ALTER COLUMN embedding SET STORAGE MAIN;
ALTER TABLE document_chunks ENABLE ROW LEVEL SECURITY;  -- and FORCE, once the rows are copied
CREATE POLICY tenant ON document_chunks TO platform_app
    USING (tenant_id = (SELECT app_tenant())) WITH CHECK (tenant_id = (SELECT app_tenant()));
-- FORCE binds the functions' owner too: build_vector_index reads the passages of the one tenant that it has set.
CREATE POLICY index_build ON document_chunks FOR SELECT TO platform_owner USING (tenant_id = (SELECT app_tenant()));
GRANT SELECT, INSERT, DELETE ON document_chunks TO platform_app;

-- Always empty: a row for a tenant who is not there is refused by the policy, like one for a foreign tenant, and not with
-- an error that tells the two apart.
CREATE TABLE document_chunks_nobody PARTITION OF document_chunks (CHECK (false)) DEFAULT;
ALTER TABLE document_chunks_nobody ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_chunks_nobody FORCE ROW LEVEL SECURITY;

-- A tenant's partition.
CREATE FUNCTION passage_partition(tenant uuid) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'document_chunks_' || replace(tenant::text, '-', '');

-- The index over a tenant's vectors of one model. A name has at most 63 bytes.
CREATE FUNCTION vector_index_name(tenant uuid, model text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN passage_partition(tenant) || '_v' || left(encode(sha256(convert_to(model, 'UTF8')), 'hex'), 12);

-- More passages than this are searched through an index, fewer are compared one by one. Measured (ADR 18); set
-- otherwise with `ALTER DATABASE … SET platform.vector_index_above = …`.
CREATE FUNCTION vector_index_above() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('platform.vector_index_above', true), '')::bigint, 10000);

-- Whether the transaction's tenant has grown past the limit and has no index for this model yet. pgvector indexes up to
-- 2,000 dimensions; above that all passages are compared.
CREATE FUNCTION vector_index_due(model text, dimensions integer) RETURNS boolean LANGUAGE sql STABLE
RETURN CASE
    WHEN dimensions > 2000 THEN false
    WHEN to_regclass(format('public.%I', vector_index_name(app_tenant(), model))) IS NOT NULL THEN false
    ELSE (SELECT coalesce(sum(chunk_count), 0) > vector_index_above() FROM documents WHERE tenant_id = app_tenant())
END;
GRANT EXECUTE ON FUNCTION passage_partition(uuid), vector_index_name(uuid, text), vector_index_above(),
                          vector_index_due(text, integer)
    TO platform_app;

-- Makes a tenant's partition: the same columns, checks and indexes, closed by itself, and reached through
-- document_chunks only (no grants). Made apart and then attached, which leaves reading and writing of other tenants'
-- passages alone; the foreign key's lock on documents lasts until the creating transaction ends.
CREATE FUNCTION make_passage_partition(tenant uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    name text := public.passage_partition(tenant);
BEGIN
    IF to_regclass(format('public.%I', name)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- What attaching takes anyway. One at a time: two that are made at once may choose one name for their indexes.
    LOCK TABLE public.document_chunks IN SHARE UPDATE EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.document_chunks INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON public.%I TO platform_app
                    USING (tenant_id = (SELECT public.app_tenant()))
                    WITH CHECK (tenant_id = (SELECT public.app_tenant()))', name);
    EXECUTE format('ALTER TABLE public.document_chunks ATTACH PARTITION public.%I FOR VALUES IN (%L)', name, tenant);
END
$$;

SELECT make_passage_partition(id) FROM tenants;
INSERT INTO document_chunks
    (id, tenant_id, document_id, chunk_index, content, token_count, page, section, classification, embedding,
     embedding_model, metadata, created_at)
SELECT id, tenant_id, document_id, chunk_index, content, token_count, page, section, classification, embedding,
       embedding_model, metadata, created_at
FROM document_chunks_before;
ALTER TABLE document_chunks FORCE ROW LEVEL SECURITY;

CREATE FUNCTION add_tenants_partition() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM public.make_passage_partition(NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER passages AFTER INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION add_tenants_partition();

-- Generations ------------------------------------------------------------------------------------------------------

-- Row security is put back below.
ALTER TABLE documents NO FORCE ROW LEVEL SECURITY;
ALTER TABLE document_terms NO FORCE ROW LEVEL SECURITY;

UPDATE documents AS d
SET embedding_model = published.model, language = 'english'
FROM (SELECT DISTINCT ON (tenant_id, document_id) tenant_id, document_id, embedding_model AS model
      FROM document_chunks_before ORDER BY tenant_id, document_id, created_at DESC) AS published
WHERE d.tenant_id = published.tenant_id AND d.id = published.document_id;

UPDATE tenants AS t
SET embedding_model = (SELECT d.embedding_model FROM documents AS d
                       WHERE d.tenant_id = t.id AND d.embedding_model IS NOT NULL
                       ORDER BY d.updated_at DESC LIMIT 1);

ALTER TABLE document_terms
    -- The generation of passages that the places belong to.
    ADD COLUMN embedding_model text;
UPDATE document_terms AS t
SET embedding_model = coalesce(d.embedding_model, '')
FROM documents AS d
WHERE d.tenant_id = t.tenant_id AND d.id = t.document_id;
ALTER TABLE document_terms
    ALTER COLUMN embedding_model SET NOT NULL,
    DROP CONSTRAINT document_terms_pkey,
    ADD PRIMARY KEY (tenant_id, lexeme, document_id, embedding_model);

ALTER TABLE documents FORCE ROW LEVEL SECURITY;
ALTER TABLE document_terms FORCE ROW LEVEL SECURITY;
DROP TABLE document_chunks_before;

-- The worker's side ------------------------------------------------------------------------------------------------

-- Builds the indexes that a job's tenant lacks, and drops those over models that the tenant has no passages of. False
-- where the lease is lost. The tenant comes from the job; neither it nor the model is the caller's to name.
--
-- Writing the tenant's passages waits meanwhile, nobody else does. The caller lifts its statement timeout first: that
-- cannot be done from within. One process: a parallel build needs as much shared memory as a container seldom has.
-- pgvector indexes up to 2,000 dimensions; above that all passages are compared.
CREATE FUNCTION build_vector_index(job uuid, token bigint) RETURNS boolean
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
                                      USING hnsw ((embedding::public.vector(%s)) public.vector_cosine_ops)
                                      WHERE embedding_model = %L',
                                     name, public.passage_partition(owner), dimensions, model))
                    FILTER (WHERE passages > public.vector_index_above() AND dimensions <= 2000), '{}')
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
GRANT EXECUTE ON FUNCTION build_vector_index(uuid, bigint) TO platform_worker;

RESET ROLE;
