//! Client of the server's HTTP API.

mod base_url;
mod bearer;
mod client;
mod events;
mod failure;
pub mod http;
mod page;
mod problem;

pub use base_url::{BaseUrl, is_secure_for_tokens};
pub use bearer::TokenSource;
pub use client::{Client, Query};
pub use events::{Event, RunStream};
pub use failure::connection_error;
pub use page::show_pages;
pub use problem::Problem;
