//! In-memory implementations of the ports, for tests and examples. They pass the same store suite as the real ones.

pub mod access;
mod blob;
mod store;
pub mod suite;
mod system;
mod wait;

pub use blob::InMemoryBlobStore;
pub use store::InMemoryStore;
pub use system::{ManualClock, SequentialIds};
pub use wait::{eventually, eventually_within};
