-- BM25 (k1 = 1.2, b = 0.75) over the postings in document_terms; any word of the query may match.
-- $1 query, $2 its folded identifiers, $3 visible classifications, $4 documents, $5 tags, $6 kind, $7 limit, $8 also what is not in force.
--
-- Statistics are the tenant's, over documents that are ready, whatever the caller may see of them. A lexeme in more than
-- 40 % of the passages is left out where at least three rarer ones remain.
--
-- Plan as platform_app: tenant (from the policy) and lexemes are both conditions of the index on
-- (tenant_id, lexeme, document_id), whose operators are leakproof; the passages are fetched one by one for the best $7
-- only. MATERIALIZED and OFFSET 0 hold the planner to that, also on tables that were just filled and not yet analyzed.
-- 15,000 passages of one tenant beside 30,000 of others, ten words, limit 200: about 30 ms.
WITH corpus AS MATERIALIZED (
    SELECT sum(chunk_count)::float8 AS passages, sum(term_count)::float8 / nullif(sum(chunk_count), 0) AS mean_length
    FROM documents
    WHERE status = 'ready'
), matched AS MATERIALIZED (
    SELECT tenant_id, lexeme, document_id, chunk_indexes, frequencies, lengths
    FROM document_terms
    WHERE lexeme = ANY(ARRAY(SELECT lexeme FROM unnest(to_tsvector('english', $1) || to_tsvector('simple', $2))))
), posting AS MATERIALIZED (
    SELECT m.lexeme, m.document_id, m.chunk_indexes, m.frequencies, m.lengths,
           d.classification = ANY($3)
           AND ($4::uuid[] = '{}' OR d.id = ANY($4))
           AND ($5::text[] = '{}' OR d.tags && $5)
           AND ($6::text IS NULL OR d.doc_type = $6)
           AND ($8 OR ((d.effective_from IS NULL OR d.effective_from <= (now() AT TIME ZONE 'UTC')::date)
                       AND (d.superseded_by IS NULL OR d.superseded_from > (now() AT TIME ZONE 'UTC')::date))) AS wanted
    FROM matched m
    JOIN documents d ON d.tenant_id = m.tenant_id AND d.id = m.document_id
    WHERE d.status = 'ready'
), word AS MATERIALIZED (
    SELECT lexeme, found, found > 0.4 * passages AS common,
           ln(1 + (passages - found + 0.5) / (found + 0.5)) AS weight
    FROM (SELECT lexeme, sum(cardinality(chunk_indexes))::float8 AS found FROM posting GROUP BY lexeme) AS counted,
         corpus
), best AS MATERIALIZED (
    SELECT p.document_id, hit.chunk_index,
           sum(w.weight * hit.frequency * 2.2
               / (hit.frequency + 1.2 * (0.25 + 0.75 * hit.length / corpus.mean_length))) AS score
    FROM posting p
    JOIN word w ON w.lexeme = p.lexeme
    CROSS JOIN corpus
    CROSS JOIN LATERAL unnest(p.chunk_indexes, p.frequencies, p.lengths) AS hit (chunk_index, frequency, length)
    WHERE p.wanted
      AND (NOT w.common OR (SELECT count(*) FROM word WHERE NOT common) < 3)
    GROUP BY p.document_id, hit.chunk_index
    ORDER BY score DESC, p.document_id, hit.chunk_index
    LIMIT $7
)
SELECT hit.id, best.document_id, best.chunk_index, d.filename, d.title, hit.page, hit.section, hit.content,
       hit.classification, best.score::real AS score
FROM best
JOIN documents d ON d.id = best.document_id
CROSS JOIN LATERAL (
    SELECT c.id, c.page, c.section, c.content, c.classification
    FROM document_chunks c
    WHERE c.document_id = best.document_id AND c.chunk_index = best.chunk_index
    OFFSET 0) AS hit
ORDER BY best.score DESC, best.document_id, best.chunk_index
