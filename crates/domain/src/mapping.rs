//! Which claim of which issuer stands for which tenant.

use crate::ids::{MappingId, TenantId};
use crate::time::Timestamp;

/// A mapping: tokens of this issuer whose tenant claim has this value belong to this tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantMapping {
    /// UUIDv7, chosen by the application.
    pub id: MappingId,
    /// Tenant that this belongs to.
    pub tenant: TenantId,
    /// `iss` of the tokens.
    pub issuer: String,
    /// Value of the tenant claim.
    pub claim: String,
    /// When the row was inserted.
    pub created_at: Timestamp,
}

/// A mapping to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMapping {
    /// UUIDv7, chosen by the application.
    pub id: MappingId,
    /// Tenant that this belongs to.
    pub tenant: TenantId,
    /// `iss` of the tokens.
    pub issuer: String,
    /// Value of the tenant claim.
    pub claim: String,
}
