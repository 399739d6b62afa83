//! Commands on personal access tokens, sessions and the mappings of claims to tenants.

use super::command;
use crate::access_token::{AccessToken, IssuedAccessToken, TokenScope};
use crate::ids::{AccessTokenId, MappingId, SessionId, TenantId, UserId};
use crate::mapping::TenantMapping;
use crate::page::{Page, PageRequest};
use crate::session::Session;
use crate::tenant_change;
use crate::text::{ClaimText, ShortText};
use serde::Serialize;
use serde_json::{Value, json};

/// Issue a personal access token for the caller.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IssueAccessToken {
    /// Name chosen by the owner; need not be unique.
    pub name: ShortText,
    /// Operations that the token permits; must not be empty.
    pub scopes: Vec<TokenScope>,
    /// Lifetime in days; `None` uses the platform's default.
    pub days: Option<u32>,
}
command! {
    IssueAccessToken: Create AccessTokens as "token.issued" -> IssuedAccessToken,
    transaction Shared,
    id(issued => issued.token.id),
    outcome(issued => token_metadata(issued))
}

fn token_metadata(issued: &IssuedAccessToken) -> Value {
    json!({ "scopes": issued.token.scopes, "expires_at": issued.token.expires_at })
}

/// List personal access tokens: the caller's own or, for an admin, the tenant's.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListAccessTokens {
    /// Only tokens of this user; `None` lists all that the caller may see.
    pub user: Option<UserId>,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListAccessTokens: List AccessTokens as "token.listed" -> Page<AccessToken>, transaction Shared);

/// Revoke a personal access token.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RevokeAccessToken {
    /// The token: the caller's own or, for an admin, any of the tenant.
    pub id: AccessTokenId,
}
command!(RevokeAccessToken: Delete AccessTokens as "token.revoked" -> (), target AccessToken(id), transaction Shared);

/// List the caller's own sessions.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListSessions {
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListSessions: List Sessions as "session.listed" -> Page<Session>, transaction Shared);

/// Revoke one of the caller's own sessions; its tokens are refused from then on.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RevokeSession {
    /// The session; must be the caller's own.
    pub id: SessionId,
}
command!(RevokeSession: Delete Sessions as "session.revoked" -> (), target Session(id), transaction Shared);

/// List the sessions of a user of the tenant, as an admin.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListUserSessions {
    /// The user who signed in.
    pub user: UserId,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command! {
    ListUserSessions: Read Users as "admin.sessions_listed" -> Page<Session>,
    target User(user),
    transaction Shared
}

/// Revoke a session of a user of the tenant, as an admin.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RevokeUserSession {
    /// The user who signed in.
    pub user: UserId,
    /// The session of that user.
    pub id: SessionId,
}
command! {
    RevokeUserSession: Update Users as "admin.session_revoked" -> (),
    target User(user),
    transaction Shared,
    metadata(command => json!({ "session_id": command.id }))
}

/// List the claim values that map to a tenant. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListMappings {
    /// The tenant that the claims map to.
    pub tenant: TenantId,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListMappings: List TenantMappings as "admin.mapping_listed" -> Page<TenantMapping>, target Tenant(tenant));

/// Map a claim value of an issuer to a tenant. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateMapping {
    /// The tenant that the claim will map to.
    pub tenant: TenantId,
    /// The token issuer; must be a configured one.
    pub issuer: ClaimText,
    /// Value of the issuer's tenant claim.
    pub claim: ClaimText,
}
command! {
    CreateMapping: Create TenantMappings as "admin.mapping_created" -> TenantMapping,
    target Tenant(tenant),
    outcome(mapping => tenant_change::new_mapping_metadata(mapping))
}

/// Delete a mapping; tokens with that claim value are refused from then on. For `platform_admin` only.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeleteMapping {
    /// The tenant that the claim maps to.
    pub tenant: TenantId,
    /// Id of the mapping within the tenant.
    pub id: MappingId,
}
command! {
    DeleteMapping: Delete TenantMappings as "admin.mapping_deleted" -> TenantMapping,
    target Tenant(tenant),
    outcome(mapping => tenant_change::deleted_mapping_metadata(mapping))
}
