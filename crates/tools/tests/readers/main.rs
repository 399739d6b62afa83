//! The readers on real files: what comes out of each fixture, and that no damage makes them do worse than refuse.

mod docx;
mod hostile;
mod pdf;
#[cfg(test)]
mod support;
