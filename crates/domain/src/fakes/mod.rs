//! In-memory implementations of the ports, for tests and examples. They pass the same suites as the real ones.

pub mod suite;
mod system;

pub use system::{ManualClock, SequentialIds};
