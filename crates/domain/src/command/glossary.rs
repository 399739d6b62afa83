//! Commands on the tenant's own glossary.

use super::command;
use crate::audit::Change;
use crate::glossary::{Concepts, GlossaryVersion};
use serde::Serialize;
use serde_json::json;

/// Read the tenant's glossary.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadGlossary {
    /// Number of the version; `None` for the current one.
    pub version: Option<i64>,
}
command!(ReadGlossary: Read Glossary as "admin.glossary_read" -> GlossaryVersion, transaction Shared);

/// Replace the tenant's glossary.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ReplaceGlossary {
    /// All concepts of the next version.
    pub concepts: Concepts,
    /// Version that the change applies to (`If-Match`); `None` for any version.
    pub expected: Option<i64>,
}
command! {
    ReplaceGlossary: Update Glossary as "admin.glossary_changed" -> Change<GlossaryVersion>,
    transaction Shared,
    outcome(change => GlossaryVersion::change_metadata(&change.before, &change.after))
}

/// Add concepts to the tenant's glossary, and replace those of the same name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ImportGlossary {
    /// The concepts to add.
    pub concepts: Concepts,
    /// Version that the change applies to (`If-Match`); `None` for any version.
    pub expected: Option<i64>,
}
command! {
    ImportGlossary: Update Glossary as "admin.glossary_imported" -> Change<GlossaryVersion>,
    transaction Shared,
    outcome(change => GlossaryVersion::change_metadata(&change.before, &change.after))
}

/// Export the tenant's glossary.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ExportGlossary;
command! {
    ExportGlossary: Export Glossary as "admin.glossary_exported" -> GlossaryVersion,
    transaction Shared,
    outcome(exported => json!({
        "version": exported.version, "concepts": exported.concepts.as_slice().len(),
    }))
}
