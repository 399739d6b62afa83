//! Tests tools, retrieval and ingestion with the in-memory store, which passes the same test suite as PostgreSQL.

#[cfg(test)]
mod gateway;
#[cfg(test)]
mod ingest;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod plant;
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
