//! Plant mode: whether a tenant's plant systems may be read and written.

use crate::role::string_enum;
use crate::time::Timestamp;
use serde_json::{Value, json};

string_enum! {
    /// What may be done with a tenant's plant systems.
    PlantMode {
        /// Plant systems are read, and written with approval.
        Normal = "normal",
        /// Plant systems are read; nothing is written.
        ReadOnly = "read_only",
        /// Plant systems are neither read nor written.
        Off = "off",
    }
}

impl PlantMode {
    /// Whether approved writes may be executed, and new ones requested.
    #[must_use]
    pub fn allows_writes(self) -> bool {
        self == Self::Normal
    }
}

/// A tenant's plant mode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlantModeState {
    /// The mode in force.
    pub mode: PlantMode,
    /// Why it was set, in the administrator's words; empty if it was never set.
    pub reason: String,
    /// When it was set; `None` if it was never set.
    pub changed_at: Option<Timestamp>,
}

impl PlantModeState {
    /// The mode of a tenant for which none was set.
    #[must_use]
    pub fn initial() -> Self {
        Self { mode: PlantMode::Normal, reason: String::new(), changed_at: None }
    }

    /// Audit metadata of a change: the mode, but not the reason, which is content.
    #[must_use]
    pub fn change_metadata(before: &Self, after: &Self) -> Value {
        json!({ "before": { "mode": before.mode }, "after": { "mode": after.mode } })
    }
}
