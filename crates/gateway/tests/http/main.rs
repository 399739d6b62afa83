//! Tests of the whole router with a mocked gate: the commands that reach the gate, and the responses, byte for byte
//! where clients rely on that.

#![expect(
    clippy::expect_used,
    reason = "a failing helper fails its test; clippy.toml allows it in #[test] functions only"
)]

mod chat;
mod console;
mod content;
mod errors;
mod http2;
mod limits;
mod lingering_close;
mod openai;
mod openai_errors;
mod openapi;
mod resources;
mod sockets;
mod support;
mod upload;
