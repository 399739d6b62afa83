//! Integration tests of the data layer against a real PostgreSQL server, with the roles that the platform uses.

mod audit_chain;
mod blobs;
mod catalog;
mod connections;
mod lexical;
mod locks;
mod mutations;
mod pool_isolation;
mod preflight;
mod queue;
mod rls_coverage;
mod sql_matrix;
mod statements;
mod store;
mod upgrade;
mod vectors;
