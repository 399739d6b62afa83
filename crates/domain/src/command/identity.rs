//! Commands on personal access tokens and on the mappings of claims to tenants.

use super::command;
use crate::access_token::{AccessToken, IssuedAccessToken, TokenScope};
use crate::ids::{AccessTokenId, MappingId, TenantId, UserId};
use crate::mapping::TenantMapping;
use crate::page::{Page, PageRequest};
use crate::tenant_change;
use crate::text::{ClaimText, Label};
use serde::Serialize;
use serde_json::{Value, json};

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
command! {
    IssueAccessToken: Create AccessTokens as "token.issued" -> IssuedAccessToken,
    id(issued => issued.token.id),
    outcome(issued => token_facts(issued))
}

fn token_facts(issued: &IssuedAccessToken) -> Value {
    json!({ "scopes": issued.token.scopes, "expires_at": issued.token.expires_at })
}

/// List personal access tokens: one's own, an admin the tenant's.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListAccessTokens {
    /// Only this user's.
    pub user: Option<UserId>,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListAccessTokens: List AccessTokens as "token.listed" -> Page<AccessToken>);

/// Revoke a personal access token: one's own, an admin any of the tenant's.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RevokeAccessToken {
    /// Which one.
    pub id: AccessTokenId,
}
command!(RevokeAccessToken: Delete AccessTokens as "token.revoked" -> (), target AccessToken(id));

/// List the claims that stand for a tenant. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListMappings {
    /// Which tenant.
    pub tenant: TenantId,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListMappings: List TenantMappings as "admin.mapping_listed" -> Page<TenantMapping>, target Tenant(tenant));

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
command! {
    CreateMapping: Create TenantMappings as "admin.mapping_created" -> TenantMapping,
    target Tenant(tenant),
    outcome(mapping => tenant_change::of_new_mapping(mapping))
}

/// Let a claim stand for a tenant no longer. For `platform_admin` only.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeleteMapping {
    /// Which tenant.
    pub tenant: TenantId,
    /// Which mapping.
    pub id: MappingId,
}
command! {
    DeleteMapping: Delete TenantMappings as "admin.mapping_deleted" -> TenantMapping,
    target Tenant(tenant),
    outcome(mapping => tenant_change::of_deleted_mapping(mapping))
}
