//! Tools, retrieval and ingestion against the in-memory store, which passes the same suite as PostgreSQL.

#[cfg(test)]
mod gateway;
#[cfg(test)]
mod ingest;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod reindex;
#[cfg(test)]
mod search;
#[cfg(test)]
mod support;
#[cfg(test)]
mod uploads;
