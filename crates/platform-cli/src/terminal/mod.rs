//! Output: results on standard output, messages and progress on standard error.

mod console;
mod printable;
mod progress;
mod table;

pub use console::{Console, report};
pub use printable::to_single_line;
pub use progress::{spinner, upload_bar};
pub use table::Table;
