//! Tests the client for OpenAI-compatible servers against a scripted server.

#![expect(clippy::expect_used, reason = "a test fails by panicking; clippy's own exception covers test functions only")]

mod failover;
mod faults;
mod probe;
mod rerank;
mod support;
mod wire;
