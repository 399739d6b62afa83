//! Commands on personal access tokens and on the mappings of claims to tenants.

use super::command;
use crate::access_token::TokenScope;
use crate::ids::{AccessTokenId, MappingId, TenantId, UserId};
use crate::page::PageRequest;
use crate::text::{ClaimText, Label};
use serde::Serialize;

/// Make a personal access token of one's own.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IssueAccessToken {
    /// What to call it.
    pub name: Label,
    /// What it may be used for; not empty.
    pub scopes: Vec<TokenScope>,
    /// Days until it ends; `None`: the platform's usual number.
    pub days: Option<u32>,
}
command!(IssueAccessToken: Create AccessTokens as TokenIssued);

/// List personal access tokens: one's own, an admin the tenant's.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListAccessTokens {
    /// Only this user's.
    pub user: Option<UserId>,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListAccessTokens: List AccessTokens as TokenList);

/// Revoke a personal access token: one's own, an admin any of the tenant's.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RevokeAccessToken {
    /// Which one.
    pub id: AccessTokenId,
}
command!(RevokeAccessToken: Delete AccessTokens as TokenRevoked, target AccessToken(id));

/// List the claims that stand for a tenant. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListMappings {
    /// Which tenant.
    pub tenant: TenantId,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListMappings: List TenantMappings as AdminMappingList, target Tenant(tenant));

/// Let a claim stand for a tenant. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateMapping {
    /// Which tenant.
    pub tenant: TenantId,
    /// The issuer; one that is configured.
    pub issuer: ClaimText,
    /// The claim's value.
    pub claim: ClaimText,
}
command!(CreateMapping: Create TenantMappings as AdminMappingCreated, target Tenant(tenant));

/// Let a claim stand for a tenant no longer. For `platform_admin` only.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeleteMapping {
    /// Which tenant.
    pub tenant: TenantId,
    /// Which mapping.
    pub id: MappingId,
}
command!(DeleteMapping: Delete TenantMappings as AdminMappingDeleted, target Tenant(tenant));
