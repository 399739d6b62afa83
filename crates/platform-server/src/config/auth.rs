//! The `auth` section: trusted token issuers, platform administrators, and personal access tokens.

use super::schema::{field_names, one_of};
use domain::role::Role;
use policy::authn::settings::{ClaimNames, GroupsOverage, SignatureAlgorithm};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Token issuers and personal access tokens. The `oidc_…` keys and the `entra_…` keys configure one issuer each; the
/// keys for claims and admission apply to those two. `issuers` configures further ones, each with its own keys.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Directory of the development issuer; development mode only.
    pub dev_issuer_dir: Option<PathBuf>,
    /// OpenID Connect issuer: the exact `iss` of its tokens.
    pub oidc_issuer: Option<String>,
    /// The `aud` that tokens of `oidc_issuer` must have.
    #[schemars(extend("x-default" = "none, required with `oidc_issuer`"))]
    pub oidc_audience: Option<String>,
    /// URL of the JWKS (public keys) of `oidc_issuer`.
    #[schemars(extend("x-default" = "discovered"))]
    pub oidc_jwks_url: Option<String>,
    /// Id of the console's public client at `oidc_issuer`, otherwise at Entra ID. Without it, nobody can sign in to the
    /// console.
    pub oidc_client_id: Option<String>,
    /// Scopes that the console asks for, separated by spaces. Entra ID issues tokens for this API only if one of its
    /// scopes is named, such as `api://CLIENT/access`.
    #[schemars(extend("x-default" = "`openid profile email`"))]
    pub oidc_scope: Option<String>,
    /// Directory (tenant) id in Entra ID.
    pub entra_tenant_id: Option<String>,
    /// The API's application (client) id in Entra ID.
    #[schemars(extend("x-default" = "none, required with `entra_tenant_id`"))]
    pub entra_client_id: Option<String>,
    /// The Entra cloud that hosts the directory.
    #[schemars(schema_with = "one_of::<EntraCloud>", extend("default" = "global"))]
    pub entra_cloud: EntraCloud,
    /// Maps tenant claim values to tenant ids or slugs. In development mode an empty map trusts these issuers for every
    /// tenant.
    pub tenants: BTreeMap<String, String>,
    /// Maps role claim values, or `g:<group>` for a group, to roles.
    #[schemars(schema_with = "roles", extend("x-default" = "the usual role values"))]
    pub roles: Option<BTreeMap<String, Role>>,
    /// Whether ES256 signatures with a high `s` are accepted.
    pub accept_high_s: bool,
    /// A scope that tokens must carry, unless they carry `required_role`.
    pub required_scope: Option<String>,
    /// A role value that tokens must carry, unless they carry `required_scope`.
    pub required_role: Option<String>,
    /// Maximum number of seconds since the user signed in (`auth_time`).
    pub max_age_s: Option<u32>,
    /// Home directories (`idp`) whose guest users are admitted; `*` for any.
    pub guests: Vec<String>,
    /// What happens to tokens that omit the groups claim because the user is in too many groups.
    #[schemars(schema_with = "one_of::<GroupsOverage>", extend("default" = "refuse"))]
    pub groups_overage: GroupsOverage,
    /// Further issuers, each with its own settings.
    pub issuers: Vec<IssuerFile>,
    /// Users that may create and deactivate tenants.
    pub platform_admins: Vec<PlatformAdmin>,
    /// Directory that caches the issuers' last valid public keys, so that a restart does not depend on the issuers.
    #[schemars(extend("x-default" = "`key-cache` beside `storage.dir`"))]
    pub key_cache_dir: Option<PathBuf>,
    /// Maximum lifetime of a personal access token, in days. A tenant may set less.
    #[schemars(range(min = 1, max = 3_650))]
    pub max_token_days: u32,
    /// Days without an interactive login after which a user's personal access tokens are refused.
    #[schemars(range(min = 1, max = 3_650))]
    pub access_token_login_max_age_days: u32,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            dev_issuer_dir: None,
            oidc_issuer: None,
            oidc_audience: None,
            oidc_jwks_url: None,
            oidc_client_id: None,
            oidc_scope: None,
            entra_tenant_id: None,
            entra_client_id: None,
            entra_cloud: EntraCloud::Global,
            tenants: BTreeMap::new(),
            roles: None,
            accept_high_s: false,
            required_scope: None,
            required_role: None,
            max_age_s: None,
            guests: Vec::new(),
            groups_overage: GroupsOverage::Refuse,
            issuers: Vec::new(),
            platform_admins: Vec::new(),
            key_cache_dir: None,
            max_token_days: 365,
            access_token_login_max_age_days: 30,
        }
    }
}

/// A user that may create and deactivate tenants.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlatformAdmin {
    /// Name of the user's issuer.
    pub issuer: String,
    /// The user's id at the issuer (`sub`).
    pub subject: String,
}

/// A national cloud of Entra ID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntraCloud {
    /// The public cloud, `login.microsoftonline.com`.
    #[default]
    Global,
    /// The cloud for US government agencies.
    UsGov,
    /// The cloud in China, operated by 21Vianet.
    China,
}

/// A further token issuer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerFile {
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// Accepted `aud` values.
    pub audiences: Vec<String>,
    /// Further accepted `iss` values (AD FS: `access_token_issuer` of its discovery document).
    #[serde(default)]
    pub accept_iss: Vec<String>,
    /// Accepted signature algorithms.
    #[serde(default)]
    #[schemars(schema_with = "algorithms", extend("x-default" = "all"))]
    pub algorithms: Option<Vec<SignatureAlgorithm>>,
    /// Whether ES256 signatures with a high `s` are accepted, for issuers that do not normalize signatures.
    #[serde(default)]
    pub accept_high_s: bool,
    /// URL of the issuer's JWKS (public keys).
    #[serde(default)]
    #[schemars(extend("x-default" = "discovered"))]
    pub jwks_url: Option<String>,
    /// Maps tenant claim values to tenant ids or slugs.
    #[serde(default)]
    pub tenants: BTreeMap<String, String>,
    /// Maps role claim values, or `g:<group>` for a group, to roles.
    #[serde(default)]
    #[schemars(schema_with = "roles", extend("x-default" = "the usual role values"))]
    pub roles: Option<BTreeMap<String, Role>>,
    /// Names of the claims to read; each is a list, of which the first claim that the token has is used.
    #[serde(default)]
    #[schemars(schema_with = "claims", extend("x-default" = "the usual claim names"))]
    pub claims: ClaimNames,
    /// A scope that tokens must carry, unless they carry `required_role`.
    #[serde(default)]
    pub required_scope: Option<String>,
    /// A role value that tokens must carry, unless they carry `required_scope`.
    #[serde(default)]
    pub required_role: Option<String>,
    /// Maximum number of seconds since the user signed in (`auth_time`).
    #[serde(default)]
    pub max_age_s: Option<u32>,
    /// Home directories (`idp`) whose guest users are admitted; `*` for any.
    #[serde(default)]
    pub guests: Vec<String>,
    /// What happens to tokens that omit the groups claim because the user is in too many groups.
    #[serde(default)]
    #[schemars(schema_with = "one_of::<GroupsOverage>", extend("default" = "refuse"))]
    pub groups_overage: GroupsOverage,
}

fn roles(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": one_of::<Role>(generator)})
}

fn algorithms(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": one_of::<SignatureAlgorithm>(generator)})
}

fn claims(_: &mut SchemaGenerator) -> Schema {
    let names = |field: &str| {
        let description = format!("Claims that may hold the {}.", field.replace('_', " "));
        json!({
            "type": "array", "items": {"type": "string"}, "description": description, "x-default": "the usual claims",
        })
    };
    let properties: Map<String, Value> =
        field_names::<ClaimNames>().iter().map(|field| ((*field).to_owned(), names(field))).collect();
    json_schema!({"type": "object", "properties": properties, "additionalProperties": false})
}
