//! Implements the gateway's port for the console's files.

use gateway::console::{ConsoleFile, ConsoleFiles};
use std::borrow::Cow;

/// The console's files that are embedded in this executable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EmbeddedConsole;

impl ConsoleFiles for EmbeddedConsole {
    fn file(&self, path: &str) -> Option<ConsoleFile> {
        let file = console::file(path)?;
        Some(ConsoleFile {
            content: Cow::Borrowed(file.content),
            brotli: file.brotli.map(Cow::Borrowed),
            gzip: file.gzip.map(Cow::Borrowed),
            etag: file.etag.to_owned(),
        })
    }
}
