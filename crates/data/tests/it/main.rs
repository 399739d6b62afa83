//! Integration tests of the data layer against a real PostgreSQL server, with the roles that the platform uses.

mod approvals;
mod audit_chain;
mod blobs;
mod connections;
mod goals;
mod lexical;
mod locks;
mod migrating;
mod mutations;
mod plant;
mod pool_isolation;
mod preflight;
mod queue;
mod rls_coverage;
mod spaces;
mod sql_support;
mod statements;
mod store;
mod tenant_isolation;
mod upgrade;
mod upgrade_versions;
mod vectors;
