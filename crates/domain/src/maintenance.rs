//! The maintenance system to which a tenant's work orders are written.

use crate::role::string_enum;
use crate::time::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

string_enum! {
    /// Kind of a maintenance system.
    MaintenanceKind {
        /// The platform's own list of work orders.
        Builtin = "builtin",
        /// A system that speaks the platform's own small REST interface.
        Rest = "rest",
        /// IBM Maximo, by its JSON API.
        Maximo = "maximo",
        /// SAP S/4HANA Plant Maintenance, by the OData service `API_MAINTNOTIFICATION`.
        SapPm = "sap_pm",
    }
}

impl MaintenanceKind {
    /// Whether the system creates one order per external reference, however often it is asked: the platform's own list
    /// by a constraint, the small REST interface by its idempotency key.
    #[must_use]
    pub fn creates_once(self) -> bool {
        match self {
            Self::Builtin | Self::Rest => true,
            Self::Maximo | Self::SapPm => false,
        }
    }
}

string_enum! {
    /// How the secret of a maintenance system is sent.
    MaintenanceAuth {
        /// The secret is a bearer token.
        Bearer = "bearer",
        /// The secret is `user:password`.
        Basic = "basic",
    }
}

/// How a maintenance system is reached, and how orders are written in it. What a kind does not use is `None`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MaintenanceOptions {
    /// Address of the interface, without a trailing slash; `None` for the platform's own list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// How the secret is sent; `None` for the kind's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<MaintenanceAuth>,
    /// Maximo: the site (`siteid`) of the orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Maximo: the object structure; `None` for service requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_structure: Option<String>,
    /// Maximo and SAP: the field that holds the external reference; `None` for the kind's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_field: Option<String>,
    /// SAP: the type of notifications; `None` for `M1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_type: Option<String>,
}

/// What a change does to the secret of a maintenance system.
#[derive(Clone, Debug, Default)]
pub enum SecretChange {
    /// It stays, unless the system's kind or address changes: then it is removed, so that it is never sent elsewhere.
    #[default]
    Keep,
    /// It is removed.
    Remove,
    /// It is replaced.
    Set(SecretString),
}

impl SecretChange {
    /// Replaces the secret.
    #[must_use]
    pub fn replace(secret: String) -> Self {
        Self::Set(SecretString::from(secret))
    }

    /// The new secret, if there is one.
    #[must_use]
    pub fn new_secret(&self) -> Option<&str> {
        match self {
            Self::Set(secret) => Some(secret.expose_secret()),
            Self::Keep | Self::Remove => None,
        }
    }
}

/// A tenant's maintenance system.
#[derive(Clone, PartialEq, Eq)]
pub struct MaintenanceSettings {
    /// Which interface it has.
    pub kind: MaintenanceKind,
    /// How it is reached.
    pub options: MaintenanceOptions,
    /// The encrypted secret; `None` if none was set.
    pub sealed_secret: Option<Vec<u8>>,
    /// When it was set; `None` if it was never set.
    pub updated_at: Option<Timestamp>,
}

impl MaintenanceSettings {
    /// The purpose for which the secret is encrypted.
    pub const SECRET_PURPOSE: &'static str = "maintenance-system";

    /// The system of a tenant for which none was set: the platform's own list.
    #[must_use]
    pub fn builtin() -> Self {
        let (kind, options) = (MaintenanceKind::Builtin, MaintenanceOptions::default());
        Self { kind, options, sealed_secret: None, updated_at: None }
    }

    /// Whether the secret of `self` may go on being used with the address of `other`.
    #[must_use]
    pub fn shares_secret_with(&self, other: &Self) -> bool {
        self.kind == other.kind && self.options.base_url == other.options.base_url
    }

    /// Audit metadata of a change: kinds, host and whether there is a secret, never the secret.
    #[must_use]
    pub fn change_metadata(before: &Self, after: &Self) -> Value {
        let fields = |settings: &Self| {
            json!({
                "kind": settings.kind, "config": settings.options, "has_secret": settings.sealed_secret.is_some(),
            })
        };
        json!({ "before": fields(before), "after": fields(after) })
    }
}

/// Without the secret, though it is encrypted.
impl std::fmt::Debug for MaintenanceSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaintenanceSettings")
            .field("kind", &self.kind)
            .field("options", &self.options)
            .field("has_secret", &self.sealed_secret.is_some())
            .field("updated_at", &self.updated_at)
            .finish()
    }
}
