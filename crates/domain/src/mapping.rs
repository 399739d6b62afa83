//! Which claim of which issuer stands for which tenant.

use crate::ids::{MappingId, TenantId};
use crate::time::Timestamp;

/// A mapping: tokens of this issuer whose tenant claim has this value belong to this tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantMapping {
    /// Id.
    pub id: MappingId,
    /// The tenant.
    pub tenant: TenantId,
    /// The issuer.
    pub issuer: String,
    /// The value of the claim.
    pub claim: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A mapping to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMapping {
    /// Id.
    pub id: MappingId,
    /// The tenant.
    pub tenant: TenantId,
    /// The issuer.
    pub issuer: String,
    /// The value of the claim.
    pub claim: String,
}
