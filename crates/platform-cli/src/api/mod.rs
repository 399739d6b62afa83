//! Client of the server's HTTP API.

mod address;
mod bearer;
mod client;
mod events;
mod failure;
pub mod http;
mod page;
mod problem;

pub use address::{Address, may_carry_tokens};
pub use bearer::TokenSource;
pub use client::{Client, Query};
pub use events::{Event, Run};
pub use failure::connection_error;
pub use page::each_page;
pub use problem::Problem;
