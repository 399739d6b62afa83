-- Lexical search: ranks passages by BM25 over the postings in document_terms. A passage needs to contain only one of
-- the query's words.
-- $1 tenant, $2 query, $3 visible classifications, $4 document ids (empty: all), $5 tags (empty: any), $6 document type
-- (null: any), $7 whether to include documents that are not in force today (in UTC), $8 the query's normalized plant
-- identifiers, $9 limit, $10 synonyms of the query's words, $11 their weights relative to a word of the query.
--
-- Corpus statistics cover only published documents that the caller may see, so that hidden documents have no influence
-- on scores (ADR 38). A lexeme that occurs in more than 40 % of the passages is ignored if at least three rarer lexemes
-- of the query remain. Passages are found by the rarest lexemes, as many as have 10,000 postings together, or more if these
-- lexemes have fewer postings than candidates are wanted. The other lexemes add to the scores of the best candidates only
-- (ADR 73). `score_bound` is an upper bound of the score of the query's own lexemes: each repeated without limit in one
-- passage, including lexemes that no document contains. Synonyms, which are in the score alone, may exceed it.
--
-- Plan as platform_app: the tenant and the lexemes are conditions of the index on (tenant_id, lexeme, document_id, …),
-- which row-level security allows because their operators are leakproof. MATERIALIZED forces this plan, also before the
-- tables are analyzed. No partitioned table is read, so the plan is cached: planning takes longer than running. The
-- passages themselves are fetched by a statement of their own.
WITH constant AS (
    -- BM25 parameters: k1 limits the effect of repeated terms, b is the strength of the length normalization. At most
    -- max_postings are read to find candidates.
    SELECT 1.2::float8 AS k1, 0.75::float8 AS b, 10000 AS max_postings, 5 AS candidates_per_hit
), corpus AS MATERIALIZED (
    SELECT sum(chunk_count)::float8 AS passages, sum(term_count)::float8 / nullif(sum(chunk_count), 0) AS mean_length
    FROM documents
    WHERE tenant_id = $1 AND status <> 'failed' AND (embedding_model IS NOT NULL OR status = 'ready')
      AND classification = ANY($3)
), own_word AS MATERIALIZED (
    SELECT lexeme FROM unnest(to_tsvector(app_language(), $2) || to_tsvector('simple', $8))
), asked AS MATERIALIZED (
    SELECT lexeme, 1::float8 AS factor, true AS own FROM own_word
    UNION ALL
    -- A lexeme of several synonyms has the highest of their weights.
    SELECT word.lexeme, max(synonym.factor), false
    FROM unnest($10::text[], $11::float8[]) AS synonym (words, factor)
    CROSS JOIN LATERAL unnest(to_tsvector(app_language(), synonym.words)) AS word
    WHERE word.lexeme NOT IN (SELECT lexeme FROM own_word)
    GROUP BY word.lexeme
), matched AS MATERIALIZED (
    SELECT lexeme, document_id, embedding_model, chunk_indexes, frequencies, lengths
    FROM document_terms
    WHERE tenant_id = $1
      AND lexeme = ANY(ARRAY(SELECT lexeme FROM asked))
), posting AS MATERIALIZED (
    SELECT m.lexeme, m.document_id, m.chunk_indexes, m.frequencies, m.lengths,
           ($4::uuid[] = '{}' OR d.id = ANY($4))
           AND ($5::text[] = '{}' OR d.tags && $5)
           AND ($6::text IS NULL OR d.doc_type = $6)
           AND ($7 OR ((d.effective_from IS NULL OR d.effective_from <= (now() AT TIME ZONE 'UTC')::date)
                       AND (d.superseded_by IS NULL OR d.superseded_from > (now() AT TIME ZONE 'UTC')::date))) AS wanted
    FROM matched m
    JOIN documents d ON d.tenant_id = $1 AND d.id = m.document_id
    WHERE d.status <> 'failed' AND d.classification = ANY($3)
      -- Not `… OR d.embedding_model IS NULL AND …`, which means the same: the planner expects hardly any row of it, and
      -- joins what follows row by row.
      AND coalesce(d.embedding_model = m.embedding_model, d.status = 'ready')
), counted AS MATERIALIZED (
    -- `found` does not depend on the filters, so that scores do not either.
    SELECT lexeme, sum(cardinality(chunk_indexes))::float8 AS found,
           coalesce(sum(cardinality(chunk_indexes)) FILTER (WHERE wanted), 0) AS wanted
    FROM posting
    GROUP BY lexeme
), word AS MATERIALIZED (
    SELECT lexeme, found, found > 0.4 * passages AS common, own,
           factor * ln(1 + (passages - found + 0.5) / (found + 0.5)) AS weight,
           sum(wanted) OVER rarest_first <= max_postings
           OR sum(wanted) OVER rarest_first - wanted < candidates_per_hit * $9 AS selective
    FROM counted
    JOIN asked USING (lexeme)
    CROSS JOIN corpus
    CROSS JOIN constant
    WINDOW rarest_first AS (ORDER BY found, lexeme)
), reach AS MATERIALIZED (
    SELECT sum((k1 + 1) * coalesce(word.weight, ln(1 + (passages + 0.5) / 0.5))) AS score_bound
    FROM own_word
    LEFT JOIN word USING (lexeme)
    CROSS JOIN corpus
    CROSS JOIN constant
), scored AS MATERIALIZED (
    -- The words whose postings are read: rare enough, and not ignored as common.
    SELECT lexeme, weight, selective
    FROM word
    WHERE NOT common OR own AND (SELECT count(*) FROM word WHERE own AND NOT common) < 3
), candidate AS MATERIALIZED (
    SELECT p.document_id, hit.chunk_index,
           sum(w.weight * hit.frequency * (k1 + 1)
               / (hit.frequency + k1 * (1 - b + b * hit.length / corpus.mean_length))) AS score
    FROM posting p
    JOIN scored w ON w.lexeme = p.lexeme AND w.selective
    CROSS JOIN corpus
    CROSS JOIN constant
    CROSS JOIN LATERAL unnest(p.chunk_indexes, p.frequencies, p.lengths) AS hit (chunk_index, frequency, length)
    WHERE p.wanted
    GROUP BY p.document_id, hit.chunk_index
    ORDER BY score DESC, p.document_id, hit.chunk_index
    LIMIT (SELECT candidates_per_hit FROM constant) * $9
), frequent AS MATERIALIZED (
    SELECT p.document_id, w.weight, p.chunk_indexes, p.frequencies, p.lengths
    FROM posting p
    JOIN scored w ON w.lexeme = p.lexeme AND NOT w.selective
    WHERE p.wanted AND p.document_id IN (SELECT document_id FROM candidate)
), planning AS MATERIALIZED (
    -- The statement that fetches the passages needs a custom plan; setting it here saves a round trip.
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true)
)
SELECT best.document_id, best.chunk_index, best.score::real AS score, reach.score_bound::real AS score_bound
FROM (
    SELECT c.document_id, c.chunk_index,
           c.score + coalesce(sum(f.weight * f.frequencies[position] * (k1 + 1)
               / (f.frequencies[position] + k1 * (1 - b + b * f.lengths[position] / corpus.mean_length))), 0) AS score
    FROM candidate c
    CROSS JOIN corpus
    CROSS JOIN constant
    LEFT JOIN frequent f ON f.document_id = c.document_id
    CROSS JOIN LATERAL array_position(f.chunk_indexes, c.chunk_index) AS position
    GROUP BY c.document_id, c.chunk_index, c.score
    ORDER BY score DESC, c.document_id, c.chunk_index
    LIMIT $9
) AS best
CROSS JOIN reach
CROSS JOIN planning
ORDER BY best.score DESC, best.document_id, best.chunk_index
