//! End-to-end tests: the whole platform over HTTP, against PostgreSQL and the embedded model.
//!
//! `cargo xtask test -- -p tests` provides the database and the model. Each file covers one topic.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails; its helpers stand outside of #[test] functions"
)]

mod administration;
mod agents;
mod api_guide;
mod approvals;
mod audit;
mod audit_evidence;
mod bad_input;
mod channels;
mod chat;
mod citations;
mod cli;
mod cli_approvals;
mod cli_chat;
mod cli_login;
mod console;
mod conversations;
mod cut_streams;
mod demo;
mod dialogues;
mod doctor;
mod documents;
mod eval;
mod event_source;
mod failover;
mod glossary;
mod goals;
mod idempotency;
mod identity;
mod injection;
mod isolation;
mod lifecycle;
mod limits;
mod litellm;
mod llama_cpp;
mod maintenance;
mod mcp;
mod memories;
mod object_storage;
mod open_webui;
mod openai;
mod openai_clients;
mod openai_sdk;
mod plant;
mod plant_answers;
mod plant_process;
mod pooler;
mod privacy;
mod provider;
mod readme;
mod replica;
mod round_trips;
mod sessions;
mod shared_limits;
mod shared_runs;
mod stack;
mod support;
mod teams;
mod tokens;
mod tracing;
mod usage;
