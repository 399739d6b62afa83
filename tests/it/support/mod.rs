//! A whole platform for tests: served over HTTP, against PostgreSQL and the embedded model.

pub mod app;
pub mod caller;
pub mod cli;
pub mod db;
pub mod files;
pub mod model;
pub mod oidc;
pub mod provider;
pub mod python;
pub mod recorder;
pub mod redis;
