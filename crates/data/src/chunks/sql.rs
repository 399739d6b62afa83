//! SQL fragments shared by several statements, as literals for `concat!`. The table alias is `d` for `documents` and
//! `c` for `document_chunks`.

/// The columns of [`super::PassageRow`].
macro_rules! passage_columns {
    () => {
        "c.id, c.document_id, c.chunk_index, d.filename, d.title, c.page, c.section, c.content, c.classification"
    };
}

/// The columns of [`super::CandidateRow`]. The text is read only for passages that were stored without terms.
macro_rules! candidate_columns {
    () => {
        "c.id, c.document_id, c.chunk_index, c.page, hashtextextended(c.section, 0) AS section, d.doc_type,
         c.classification, c.terms,
         CASE WHEN c.terms IS NULL
              THEN concat_ws(E'\\n', d.filename, d.title, coalesce(c.section, ''), c.content) END AS text"
    };
}

/// Condition for documents that can be searched: they have been published and have not failed since. A document that is
/// being ingested again stays searchable with its old passages until the new ones replace them. A document that is
/// ready but has no embedding model was inserted by another program.
macro_rules! published {
    () => {
        "d.status <> 'failed' AND (d.embedding_model IS NOT NULL OR d.status = 'ready')"
    };
}

/// Condition for passages that are embedded with the model that their document is searched by. Excludes those that are
/// staged for the next model.
macro_rules! has_model_in_use {
    () => {
        "(d.embedding_model IS NULL OR c.embedding_model = d.embedding_model)"
    };
}

/// Condition for documents with vectors of model `$2` that match the search scope. `$1` tenant, `$3` visible
/// classifications, `$4` document ids (empty: all), `$5` tags (empty: any; otherwise at least one must match), `$6`
/// document type (null: any), `$7` whether to include documents that are not in force today. Today is the date of the
/// database's clock in UTC.
macro_rules! in_scope {
    () => {
        "d.tenant_id = $1 AND d.status <> 'failed'
         AND (d.embedding_model = $2 OR d.embedding_model IS NULL AND d.status = 'ready')
         AND d.classification = ANY($3)
         AND ($4::uuid[] = '{}' OR d.id = ANY($4))
         AND ($5::text[] = '{}' OR d.tags && $5)
         AND ($6::text IS NULL OR d.doc_type = $6)
         AND ($7 OR ((d.effective_from IS NULL OR d.effective_from <= (now() AT TIME ZONE 'UTC')::date)
                     AND (d.superseded_by IS NULL OR d.superseded_from > (now() AT TIME ZONE 'UTC')::date)))"
    };
}

/// Number of the tenant's passages that match the search scope (`matching`), and whether the index finds them faster
/// than an exact scan (`prefers_index`). `$1` to `$7` are the parameters of `in_scope!`.
macro_rules! count_passages {
    () => {
        concat!(
            "SELECT matching,
                    matching::numeric * matching > vector_index_above()::numeric * total AS prefers_index
             FROM (SELECT coalesce(sum(d.chunk_count), 0)::bigint AS total,
                          coalesce(sum(d.chunk_count) FILTER (WHERE ",
            in_scope!(),
            "), 0)::bigint AS matching
                   FROM documents d WHERE d.tenant_id = $1) AS counts"
        )
    };
}

/// Key of the advisory lock on the tenant's embedding model. The text in it is historical: it stays as it is, so that
/// the old and the new version exclude each other during a rolling upgrade.
macro_rules! embedding_model_lock_key {
    () => {
        "hashtextextended('generations of ' || app_tenant(), 0)"
    };
}

pub(super) use {
    candidate_columns, count_passages, embedding_model_lock_key, has_model_in_use, in_scope, passage_columns, published,
};
