//! Helpers of the end-to-end tests: a complete platform, its clients, and the servers that it talks to.

pub mod api_client;
pub mod app;
pub mod cli;
pub mod collector;
pub mod db;
pub mod files;
pub mod goals;
pub mod maintenance;
pub mod mcp_server;
pub mod model;
pub mod oidc;
pub mod pgbouncer;
pub mod plant;
pub mod provider;
pub mod python;
pub mod receiver;
pub mod recorder;
pub mod redis;
pub mod s3;
pub mod smtp;
pub mod standby;
