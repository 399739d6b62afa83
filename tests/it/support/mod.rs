//! Helpers of the end-to-end tests: a complete platform, its clients, and the servers that it talks to.

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
