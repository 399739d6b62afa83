//! In-memory implementations of the ports, for tests and examples. They pass the same store contract as the real ones.

pub mod access;
mod blob;
pub mod plant;
mod store;
pub mod store_contract;
mod system;
mod wait;

pub use blob::InMemoryBlobStore;
pub use plant::FakePlantReader;
pub use store::InMemoryStore;
pub use system::{ManualClock, SequentialIds};
pub use wait::{eventually, eventually_within};
