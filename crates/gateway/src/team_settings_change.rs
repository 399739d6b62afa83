//! What a tenant allows between its teams and other tenants, in a change of its settings.

use crate::error::ApiError;
use crate::fields;
use crate::merge_patch::{PatchField, Validate, check_range, deserialize_present, patch};
use domain::role::Classification;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

patch! {
    /// Whether teams have members across tenants. Taking a permission away suspends its guests within seconds.
    TeamSettingsChange {
        /// Whether users of other tenants may be members of this tenant's teams.
        host_guests: bool,
        /// Whether users of this tenant may be members of other tenants' teams.
        join_others: bool,
        /// Highest classification that guests may see; `internal` by default.
        #[schema(schema_with = fields::classification_or_null)]
        guest_classification: Classification,
        /// Days until the content of a deleted team goes; 7 by default.
        delete_after_days: u32 [0 to 3650],
    }
}
