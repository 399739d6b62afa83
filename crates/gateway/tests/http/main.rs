//! Tests of the whole router with a mocked gate: the commands that reach the gate, and the responses, byte for byte
//! where clients rely on that.

#![expect(
    clippy::expect_used,
    reason = "a failing helper fails its test; clippy.toml allows it in #[test] functions only"
)]

mod channels;
mod chat;
mod connectors;
mod console;
mod content;
mod errors;
mod glossary;
mod http2;
mod limits;
mod lingering_close;
mod mcp;
mod openai;
mod openai_errors;
mod openapi;
mod readings;
mod resources;
mod sockets;
mod support;
mod teams;
mod upload;
