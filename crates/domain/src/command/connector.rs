//! Commands on connectors to plant systems, and on the catalogue of their tags.

use super::command;
use crate::audit::Change;
use crate::ids::ConnectorId;
use crate::page::{Page, PageRequest};
use crate::plant::{
    CertificateThumbprint, ConnectorCheck, ConnectorCredential, ConnectorDetails, ConnectorKind, OfferedTag, Recording,
    TagLimits, TagMapping,
};
use crate::role::Classification;
use crate::text::ShortText;
use serde::Serialize;
use serde_json::{Value, json};

/// A tag of a new or changed connector.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NewTag {
    /// Name, unique within the tenant.
    pub name: ShortText,
    /// Where the connector finds it.
    #[serde(rename = "point")]
    pub mapping: TagMapping,
    /// Engineering unit, as in `bar`.
    pub unit: Option<String>,
    /// What is measured.
    pub description: Option<String>,
    /// Path of the equipment.
    pub equipment: Option<String>,
    /// Limits of the normal range and of alarms.
    pub limits: TagLimits,
}

/// A connector to create.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NewConnector {
    /// Name, unique within the tenant.
    pub name: ShortText,
    /// Protocol of the plant system.
    pub kind: ConnectorKind,
    /// URL of the plant system; empty for the simulator.
    pub endpoint: String,
    /// The kind's own settings: a JSON object.
    pub config: Value,
    /// Credential to connect with.
    #[serde(skip)]
    pub secret: Option<ConnectorCredential>,
    /// Classification of all that is read through it.
    pub classification: Classification,
    /// A value that is older than this is stale.
    pub stale_after_s: u32,
    /// Its tags. The simulator brings its own if there are none.
    pub tags: Vec<NewTag>,
    /// Whether its tags are recorded.
    pub recording: Option<Recording>,
    /// Whether it is used at all.
    pub is_enabled: bool,
}

/// Changes to a connector. A field that is `None` is left unchanged.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct ConnectorPatch {
    /// New name, unique within the tenant.
    pub name: Option<ShortText>,
    /// New URL. It drops the secret and the trusted certificate, unless there is a new secret.
    pub endpoint: Option<String>,
    /// Replaces the kind's own settings.
    pub config: Option<Value>,
    /// New credential; `Some(None)` removes it.
    #[serde(skip)]
    pub secret: Option<Option<ConnectorCredential>>,
    /// New classification of all that is read.
    pub classification: Option<Classification>,
    /// New age from which a value is stale.
    pub stale_after_s: Option<u32>,
    /// Replaces all tags.
    pub tags: Option<Vec<NewTag>>,
    /// Starts, changes or (`Some(None)`) ends the recording.
    pub recording: Option<Option<Recording>>,
    /// Switches the connector on or off.
    pub is_enabled: Option<bool>,
}

/// List the connectors.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListConnectors {
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListConnectors: List Connectors as "connector.listed" -> Page<ConnectorDetails>, transaction Shared);

/// Create a connector. Nothing connects to it yet.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateConnector {
    /// The connector to create.
    pub connector: NewConnector,
}
command! {
    CreateConnector: Create Connectors as "connector.created" -> ConnectorDetails,
    transaction Shared,
    id(created => created.connector.id),
    outcome(created => json!({ "after": created.audit_metadata() }))
}

/// Read a connector with its tags.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetConnector {
    /// The connector; must belong to the caller's tenant.
    pub id: ConnectorId,
}
command! {
    GetConnector: Read Connectors as "connector.read" -> ConnectorDetails,
    target Connector(id),
    transaction Shared
}

/// Change a connector.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateConnector {
    /// The connector; must belong to the caller's tenant.
    pub id: ConnectorId,
    /// What changes about it.
    pub patch: ConnectorPatch,
}
command! {
    UpdateConnector: Update Connectors as "connector.changed" -> Change<ConnectorDetails>,
    target Connector(id),
    transaction Shared,
    outcome(change => change_metadata(change))
}

/// Delete a connector with its tags.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeleteConnector {
    /// The connector; must belong to the caller's tenant.
    pub id: ConnectorId,
}
command! {
    DeleteConnector: Delete Connectors as "connector.deleted" -> ConnectorDetails,
    target Connector(id),
    transaction Shared,
    outcome(deleted => json!({ "before": deleted.audit_metadata() }))
}

/// Try a connector's connection and read one value.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct CheckConnector {
    /// The connector; must belong to the caller's tenant.
    pub id: ConnectorId,
}
command! {
    CheckConnector: Read Connectors as "connector.checked" -> ConnectorCheck,
    target Connector(id),
    outcome(check => json!({ "ok": check.ok }))
}

/// Trust the certificate of a connector's server.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TrustCertificate {
    /// The connector; must belong to the caller's tenant.
    pub id: ConnectorId,
    /// SHA-256 of the certificate.
    pub thumbprint: CertificateThumbprint,
}
command! {
    TrustCertificate: Update Connectors as "connector.certificate_trusted" -> Change<ConnectorDetails>,
    target Connector(id),
    transaction Shared,
    outcome(change => change_metadata(change))
}

/// Add tags to a connector, and change those of the same name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ImportTags {
    /// The connector; must belong to the caller's tenant.
    pub id: ConnectorId,
    /// The tags; names are different.
    pub tags: Vec<NewTag>,
}
command! {
    ImportTags: Update Connectors as "connector.tags_imported" -> Change<ConnectorDetails>,
    target Connector(id),
    transaction Shared,
    outcome(change => change_metadata(change))
}

/// List the tags that a connector's source offers.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct BrowseConnector {
    /// The connector; must belong to the caller's tenant.
    pub id: ConnectorId,
    /// Maximum number of tags.
    pub limit: u32,
}
command! {
    BrowseConnector: Read Connectors as "connector.browsed" -> Option<Vec<OfferedTag>>,
    target Connector(id),
    outcome(tags => json!({ "tags": tags.as_ref().map(Vec::len) }))
}

fn change_metadata(change: &Change<ConnectorDetails>) -> Value {
    json!({ "before": change.before.audit_metadata(), "after": change.after.audit_metadata() })
}
