//! The text of one page after layout.

use super::super::{Block, Scan};
use super::layout::DirectionFlow;

/// The text of a page after layout, and its images for OCR.
pub(super) struct PageText {
    /// Position of the page in the file, from 1.
    pub number: u32,
    /// Height of the page as displayed, in points.
    pub height: f32,
    /// The text by direction; the direction with the most text comes first.
    pub flows: Vec<DirectionFlow>,
    /// The table of tags by grid square; empty unless the page is a drawing.
    pub tags: Vec<Block>,
    /// Images for OCR; empty unless the page needs OCR and the limits allow it.
    pub scans: Vec<Scan>,
}
