//! The data layer against a real PostgreSQL, as the roles that the platform logs in with.

mod store;
