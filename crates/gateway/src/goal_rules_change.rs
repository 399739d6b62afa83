//! How goals are executed, in a change of a tenant's settings.

use crate::error::ApiError;
use crate::merge_patch::{PatchField, Validate, check_range, deserialize_present, patch};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

patch! {
    /// How goals are executed.
    GoalRulesChange {
        /// Whether users must approve each plan.
        require_approval: bool,
        /// How many steps run at once, if that is less than the platform's limit.
        max_parallel_steps: u32 [1 to 100],
    }
}
