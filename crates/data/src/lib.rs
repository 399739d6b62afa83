//! PostgreSQL: tenant transactions, repositories, job queue, blobs.
