//! Settings of the trusted issuers: keys, claim names, and the tenants that each may assert.

use domain::role::Role;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A trusted issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerSettings {
    /// The issuer identifier: the exact `iss`, also required in its discovery document. Users are identified by issuer
    /// and subject.
    pub issuer: String,
    /// Further accepted `iss` values, for issuers whose tokens carry another name (AD FS: `access_token_issuer`).
    pub accepted_issuers: Vec<String>,
    /// Accepted `aud` values; at least one must match.
    pub audiences: Vec<String>,
    /// Accepted signature algorithms. The token's `alg` header must be one of them.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// Whether to accept ES256 signatures with a high `s`. If `false`, such signatures are refused, since anyone can
    /// derive them from a valid token. Required for issuers that do not normalize `s`: about half of their tokens have
    /// a high one.
    pub accept_high_s: bool,
    /// Source of the public keys.
    pub keys: KeySource,
    /// Names of the issuer's claims.
    pub claims: ClaimNames,
    /// Mapping from the token's role values, and groups as `g:<group>`, to the platform's roles.
    pub roles: BTreeMap<String, Role>,
    /// Tenants that the issuer may assert.
    pub tenants: IssuerTenantMapping,
    /// Scope that the token must have, unless it has `required_role`.
    pub required_scope: Option<String>,
    /// Role value that the token must have, unless it has `required_scope`.
    pub required_role: Option<String>,
    /// Name and required value of a claim; for Entra, `tid`.
    pub required_claim: Option<(String, String)>,
    /// Maximum age of the user's authentication (`auth_time`), in seconds; `None` for no limit.
    pub max_age_s: Option<u32>,
    /// Home directories whose guests are admitted, as the token's `idp` names them, or `*` for all. Empty refuses all
    /// guests.
    pub guest_directories: Vec<String>,
    /// How to treat a token that omits its groups.
    pub groups_overage: GroupsOverage,
}

/// How to treat a token that omits its groups because there are too many (groups overage in Entra).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupsOverage {
    /// Refuse the token, since the roles that the omitted groups map to are unknown.
    #[default]
    Refuse,
    /// Accept the token without groups; for issuers that assign roles by app roles only.
    Ignore,
}

/// Returns the directory of an Entra issuer (`https://host/<directory>/v2.0`), or `None` for other issuers. The `tid`
/// of its tokens must be this directory.
#[must_use]
pub fn entra_directory(issuer: &str) -> Option<&str> {
    let directory = issuer.strip_suffix("/v2.0")?.rsplit('/').next()?;
    uuid::Uuid::try_parse(directory).is_ok().then_some(directory)
}

/// A signature algorithm (RFC 7518, RFC 8037). Symmetric ones are not supported, since the platform never shares a
/// secret with an issuer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256; used by Entra ID and most other issuers.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256; used by the development issuer.
    Es256,
    /// EdDSA on Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SignatureAlgorithm {
    /// The `alg` header value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) const fn to_jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// Source of an issuer's public keys. Never taken from a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// A JWK Set (RFC 7517) at this URL.
    Url(String),
    /// The `jwks_uri` of the issuer's discovery document (OpenID Connect Discovery 1.0).
    Discovery,
    /// A local JWK Set file; used by the development issuer.
    File(PathBuf),
}

/// Names of the claims that an issuer uses. Each is a list, and the first claim that is present is used. A name is
/// looked up literally first (Entra's `extn.PlatformTenantId` contains a dot), then as a dotted path (Keycloak's
/// `realm_access.roles`).
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// Stable identifier of the user. Entra: `oid`, since its `sub` differs per application.
    pub subject: Vec<String>,
    /// Claim that the tenant is looked up by.
    pub tenant: Vec<String>,
    /// Role values: a string or a list.
    pub roles: Vec<String>,
    /// E-mail address, for display.
    pub email: Vec<String>,
    /// Full name, for display.
    pub name: Vec<String>,
    /// Scopes: a space-separated string or a list.
    pub scopes: Vec<String>,
    /// Groups: a list.
    pub groups: Vec<String>,
    /// Client that requested the token.
    pub client: Vec<String>,
    /// Identifier of the token.
    pub token_id: Vec<String>,
    /// Time of the user's authentication.
    pub auth_time: Vec<String>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Self {
            subject: names(&["oid", "sub"]),
            tenant: names(&["extn.PlatformTenantId", "extension_PlatformTenantId", "tid"]),
            roles: names(&["roles"]),
            email: names(&["email", "preferred_username", "upn"]),
            name: names(&["name"]),
            scopes: names(&["scp", "scope"]),
            groups: names(&["groups"]),
            client: names(&["azp", "appid", "cid", "client_id"]),
            token_id: names(&["uti", "jti"]),
            auth_time: names(&["auth_time"]),
        }
    }
}

/// Default role mapping, used if the configuration has none.
#[must_use]
pub fn default_role_mapping() -> BTreeMap<String, Role> {
    [
        ("PlatformAdmin", Role::Admin),
        ("PlatformUser", Role::User),
        ("PlatformViewer", Role::Viewer),
        ("admin", Role::Admin),
        ("user", Role::User),
        ("viewer", Role::Viewer),
    ]
    .into_iter()
    .map(|(value, role)| (value.to_owned(), role))
    .collect()
}

/// Tenants that an issuer may assert. The tenant claim is not trusted by itself; only tenants in this mapping are
/// accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IssuerTenantMapping {
    /// Any tenant; the claim is its id or slug. For development mode only.
    Any,
    /// Tenants by claim value; a tenant is given by its id or slug.
    Mapped(BTreeMap<String, String>),
}

impl IssuerTenantMapping {
    /// Returns the id or slug of the tenant that a claim value is mapped to.
    #[must_use]
    pub fn tenant<'a>(&'a self, claim: &'a str) -> Option<&'a str> {
        match self {
            Self::Any => Some(claim),
            Self::Mapped(map) => map.get(claim).map(String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entra_issuer_is_recognized_by_its_url() {
        let directory = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
        for host in ["login.microsoftonline.com", "login.microsoftonline.us", "127.0.0.1:9"] {
            assert_eq!(entra_directory(&format!("https://{host}/{directory}/v2.0")), Some(directory));
        }
        assert_eq!(entra_directory("https://login.microsoftonline.com/common/v2.0"), None);
        assert_eq!(entra_directory("https://sso.example/realms/plant"), None);
    }
}
