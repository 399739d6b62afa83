//! The embedded PostgreSQL: its programs, and private clusters that they run.

mod cluster;
mod initdb;
mod postmaster;
mod programs;
mod throw_away;

pub use cluster::{Cluster, Place, Purpose, free_port, is_free};
use initdb::init;
pub use postmaster::Postmaster;
pub use programs::Programs;
pub use throw_away::ThrowAway;
