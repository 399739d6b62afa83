//! Shading (`w:shd`) of paragraphs, runs and table cells.

use super::super::xml::Element;

/// Whether the shading gives text a background that is not white.
pub(super) fn is_background(shading: &Element<'_>) -> bool {
    shading.attribute("fill").is_some_and(|fill| !matches!(fill.to_ascii_lowercase().as_str(), "auto" | "ffffff"))
        || shading.attribute("themeFill").is_some()
}
