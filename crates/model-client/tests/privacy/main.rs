//! Tests the privacy rules: recall and precision on labeled lines, and properties that hold for any text.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails and the figures are printed; helpers stand outside of #[test] functions"
)]

mod labelled;
mod middleware;
mod properties;
