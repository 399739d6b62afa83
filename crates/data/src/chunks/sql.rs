//! Conditions that several statements share, as literals for `concat!`. Documents are `d`, passages are `c`.

/// The columns of [`super::PassageRow`].
macro_rules! columns {
    () => {
        "c.id, c.document_id, c.chunk_index, d.filename, d.title, c.page, c.section, c.content, c.classification"
    };
}

/// Documents that can be searched: published, and not failed since. One that is being ingested again keeps its passages
/// until the new ones replace them. A document that is ready and names no model was not loaded by this
/// program.
macro_rules! published {
    () => {
        "d.status <> 'failed' AND (d.embedding_model IS NOT NULL OR d.status = 'ready')"
    };
}

/// Passages of the generation that is searched, as opposed to one that is being staged.
macro_rules! searched_generation {
    () => {
        "(d.embedding_model IS NULL OR c.embedding_model = d.embedding_model)"
    };
}

/// Documents with vectors of model $2 that match the search scope. $1 tenant, $3 visible classifications,
/// $4 documents, $5 tags, $6 document type, $7 whether those that are not in force count too. Days are the database's,
/// in UTC.
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

pub(super) use {columns, in_scope, published, searched_generation};
