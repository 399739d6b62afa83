//! The text of one page after layout.

use super::super::Scan;
use super::layout::DirectionFlow;

/// The laid-out text of a page.
pub(super) struct PageText {
    /// Position of the page in the file, from 1.
    pub number: u32,
    /// Height of the displayed page.
    pub height: f32,
    /// The text by direction; the direction with the most text comes first.
    pub flows: Vec<DirectionFlow>,
    /// Pictures for text recognition.
    pub scans: Vec<Scan>,
}
