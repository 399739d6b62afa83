//! Parses documents in isolation, because they are untrusted.
//!
//! A crafted file can exhaust the stack or the memory of the process that parses it, which `catch_unwind` cannot catch.
//! So [`ChildParser`] parses each document in its own process, which sandboxes itself before it reads the first byte
//! ([`child`]). [`ThreadParser`] parses in this process, for programs that embed this crate and trust their files.

pub mod child;
mod collect;
mod confine;
mod exit;
mod frame;
pub mod launch;
mod parser;
mod process;
#[cfg(target_os = "linux")]
mod syscalls;
mod thread;

pub use frame::ChildLimits;
pub use parser::{PagesReadSender, ParseError, Parser, SourceFile};
pub use process::{ChildParser, ParserProgram};
pub use thread::ThreadParser;
