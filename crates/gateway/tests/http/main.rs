//! The whole edge over a mocked gate: what goes in and what comes out, byte for byte where people rely on it.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on fails; its helpers stand outside of #[test] functions"
)]

mod chat;
mod content;
mod errors;
mod http2;
mod limits;
mod linger;
mod openai;
mod openai_errors;
mod openapi;
mod resources;
mod sockets;
mod support;
mod upload;
