//! The whole edge over a mocked gate: what goes in and what comes out, byte for byte where people rely on it.

mod chat;
mod content;
mod errors;
mod limits;
mod openapi;
mod resources;
mod support;
mod upload;
