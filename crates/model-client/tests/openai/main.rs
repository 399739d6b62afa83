//! The client of OpenAI-compatible servers, against a server that sends what a script says.

mod faults;
mod support;
mod wire;
