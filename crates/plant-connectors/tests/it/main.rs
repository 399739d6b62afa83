//! Connectors against real servers: asyncua, Mosquitto and pymodbus, and a server with PI Web API's contract.
//!
//! `cargo xtask test -- -p plant-connectors` provides the programs.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails; its helpers stand outside of #[test] functions"
)]

mod modbus;
mod mqtt;
mod opcua;
mod pi;
mod read_only;
mod sparkplug;
mod support;
