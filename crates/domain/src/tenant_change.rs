//! Audit metadata for changes to a tenant. Changes by the platform's administrators are recorded in two logs: that of
//! the acting administrator and the tenant's own.

use crate::audit::{Change, EventType};
use crate::ids::{AuditId, RequestId, UserId};
use crate::mapping::TenantMapping;
use crate::tenant::{Tenant, TenantSettings};
use crate::time::Timestamp;
use serde_json::{Map, Value, json};

/// The author of a change to a tenant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChangedBy {
    /// The acting user, if there is one.
    pub user: Option<UserId>,
    /// The row to insert into the tenant's own audit log, in the same transaction. `None` if the tenant's own users
    /// make the change, because it is in that log already.
    pub audit_row: Option<ChangeAuditRow>,
}

/// A row of a tenant's own audit log about a change that was made from outside the tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeAuditRow {
    /// UUIDv7, chosen by the application.
    pub id: AuditId,
    /// Id of the intent row in the administrator's log; correlates both logs.
    pub correlation_id: AuditId,
    /// Request that made the change.
    pub request_id: RequestId,
    /// Event that the row records.
    pub event: EventType,
    /// Time of the event.
    pub at: Timestamp,
}

/// The settings that differ, and whether the tenant is active, before and after. The tenant's name is not included,
/// only whether it changed.
#[must_use]
pub fn tenant_change_metadata(change: &Change<Tenant>) -> Value {
    let Change { before, after } = change;
    let (old, new) = (settings_fields(&before.settings), settings_fields(&after.settings));
    let differs = |key: &&&str| old.get(**key) != new.get(**key);
    let metadata_of = |settings: &Map<String, Value>, tenant: &Tenant| {
        let mut metadata: Map<String, Value> = TenantSettings::KEYS
            .iter()
            .filter(differs)
            .map(|key| ((*key).to_owned(), settings.get(*key).cloned().unwrap_or_default()))
            .collect();
        metadata.insert("is_active".to_owned(), tenant.is_active.into());
        metadata.insert("version".to_owned(), tenant.settings_version.into());
        Value::Object(metadata)
    };
    let renamed = before.name != after.name;
    json!({ "before": metadata_of(&old, before), "after": metadata_of(&new, after), "renamed": renamed })
}

fn settings_fields(settings: &TenantSettings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Audit metadata for a new mapping.
#[must_use]
pub fn new_mapping_metadata(mapping: &TenantMapping) -> Value {
    json!({ "before": null, "after": mapping_metadata(mapping) })
}

/// Audit metadata for a deleted mapping.
#[must_use]
pub fn deleted_mapping_metadata(mapping: &TenantMapping) -> Value {
    json!({ "before": mapping_metadata(mapping), "after": null })
}

fn mapping_metadata(mapping: &TenantMapping) -> Value {
    json!({ "id": mapping.id, "issuer": mapping.issuer, "claim": mapping.claim })
}

/// Marks audit metadata as a change by a platform administrator, for the tenant's own log.
#[must_use]
pub fn mark_as_platform_admin_change(mut metadata: Value) -> Value {
    metadata["by"] = "platform_admin".into();
    metadata
}
