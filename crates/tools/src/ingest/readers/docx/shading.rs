//! Paragraph, run and cell shading.

use super::xml::Element;

/// Whether shading gives text a coloured background.
pub(super) fn is_background(shading: &Element<'_>) -> bool {
    shading.attribute("fill").is_some_and(|fill| !matches!(fill.to_ascii_lowercase().as_str(), "auto" | "ffffff"))
        || shading.attribute("themeFill").is_some()
}
