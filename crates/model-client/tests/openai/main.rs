//! The client of OpenAI-compatible servers, against a server that sends what a script says.

#![expect(clippy::expect_used, reason = "a test fails by panicking; clippy's own exception covers test functions only")]

mod failover;
mod faults;
mod probe;
mod rerank;
mod support;
mod wire;
