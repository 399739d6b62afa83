//! Mappings from the tenant claims of token issuers to tenants.

use crate::ids::{MappingId, TenantId};
use crate::time::Timestamp;

/// A mapping: tokens of this issuer with this value of the tenant claim belong to this tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantMapping {
    /// UUIDv7, chosen by the application.
    pub id: MappingId,
    /// Tenant that the tokens belong to.
    pub tenant: TenantId,
    /// Issuer of the tokens (`iss`).
    pub issuer: String,
    /// Value of the tenant claim.
    pub claim: String,
    /// When the row was inserted.
    pub created_at: Timestamp,
}

/// A mapping to insert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMapping {
    /// UUIDv7, chosen by the application.
    pub id: MappingId,
    /// Tenant that the tokens belong to.
    pub tenant: TenantId,
    /// Issuer of the tokens (`iss`).
    pub issuer: String,
    /// Value of the tenant claim.
    pub claim: String,
}
