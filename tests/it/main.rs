//! End-to-end tests: the whole platform over HTTP, against PostgreSQL and the embedded model.
//!
//! `cargo xtask test -- -p tests` provides database and model. One topic per file.

mod audit;
mod bad_input;
mod chat;
mod demo;
mod documents;
mod identity;
mod isolation;
mod limits;
mod support;
