//! What the platform trusts: issuers, their keys, their claim names, and which tenants each may speak for.

use domain::role::Role;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One trusted issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerSettings {
    /// The issuer's name: the exact `iss`, what its discovery document must say, and the first half of a user's key.
    pub issuer: String,
    /// Further `iss` values of its tokens, where they differ from the name (AD FS: `access_token_issuer`).
    pub accept_iss: Vec<String>,
    /// UploadOutcome `aud` values; at least one must match.
    pub audiences: Vec<String>,
    /// UploadOutcome signature algorithms. The header chooses among them and nothing else.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// Accept ES256 signatures of either form. Off: of the two that hold for a token, the one with the high `s` is
    /// refused. For issuers that do not normalize, half of whose tokens would be.
    pub accept_high_s: bool,
    /// Where the keys come from.
    pub keys: KeySource,
    /// How the issuer names its claims.
    pub claims: ClaimNames,
    /// Role values of the token, or groups as `g:<group>`, and the platform's roles.
    pub roles: BTreeMap<String, Role>,
    /// Which tenants the issuer may speak for.
    pub tenants: TenantTrust,
    /// A scope that the token must carry, unless it carries `required_role`.
    pub required_scope: Option<String>,
    /// A role value that the token must carry, unless it carries `required_scope`.
    pub required_role: Option<String>,
    /// A claim that must have this value: for Entra, `tid`.
    pub required_claim: Option<(String, String)>,
    /// Longest time since the user proved who they are (`auth_time`), in seconds.
    pub max_age_s: Option<u32>,
    /// Whose guests get in: home directories as the token's `idp` names them, or `*` for any. Empty: none.
    pub guests: Vec<String>,
    /// What becomes of a token that leaves out its groups.
    pub groups_overage: GroupsOverage,
}

/// What becomes of a token that leaves out its groups because they are too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupsOverage {
    /// It is refused: what the groups would have said is unknown.
    #[default]
    Refuse,
    /// Its groups count for nothing: for issuers whose roles come from app roles alone.
    Ignore,
}

/// The directory that an Entra issuer speaks for, by the shape of its name (`https://host/<directory>/v2.0`): its tokens'
/// `tid` must be that one.
#[must_use]
pub fn entra_directory(issuer: &str) -> Option<&str> {
    let directory = issuer.strip_suffix("/v2.0")?.rsplit('/').next()?;
    uuid::Uuid::try_parse(directory).is_ok().then_some(directory)
}

/// A signature algorithm (RFC 7518, RFC 8037). No symmetric one: the platform never shares a secret with an issuer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: Entra ID and most others.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256: the development issuer.
    Es256,
    /// Ed25519.
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

    pub(crate) const fn jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// Where an issuer's public keys come from. Never from a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// A JWKS document (RFC 7517) at this address.
    Url(String),
    /// The address that the issuer's discovery document names (OpenID Connect Discovery 1.0).
    Discovery,
    /// A JWKS file on this machine: the development issuer.
    File(PathBuf),
}

/// How an issuer names its claims. Each is a list: the first that is there wins. A name is looked up as it stands
/// first (Entra's `extn.PlatformTenantId` has a dot in it), then as a dotted path (Keycloak's `realm_access.roles`).
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// The stable id of the user. Entra: `oid`; its `sub` differs per application.
    pub subject: Vec<String>,
    /// What the tenant is looked up by.
    pub tenant: Vec<String>,
    /// Role values, a string or a list.
    pub roles: Vec<String>,
    /// E-mail, for display.
    pub email: Vec<String>,
    /// Name, for display.
    pub name: Vec<String>,
    /// Scopes, a space-separated string or a list.
    pub scopes: Vec<String>,
    /// Groups, a list.
    pub groups: Vec<String>,
    /// The client that asked for the token.
    pub client: Vec<String>,
    /// The token's own id.
    pub token_id: Vec<String>,
    /// When the user proved who they are.
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

/// The design's role values, and the plain words.
#[must_use]
pub fn default_roles() -> BTreeMap<String, Role> {
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

/// Which tenants an issuer may speak for. A claim is an input: the mapping decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TenantTrust {
    /// Any tenant, by id or slug: development mode only.
    Every,
    /// The claim's value looked up here; the result is a tenant's id or slug.
    Mapped(BTreeMap<String, String>),
}

impl TenantTrust {
    /// The tenant's id or slug that a claim value stands for.
    #[must_use]
    pub fn tenant<'a>(&'a self, claim: &'a str) -> Option<&'a str> {
        match self {
            Self::Every => Some(claim),
            Self::Mapped(map) => map.get(claim).map(String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entra_issuer_is_told_by_its_shape() {
        let directory = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
        for host in ["login.microsoftonline.com", "login.microsoftonline.us", "127.0.0.1:9"] {
            assert_eq!(entra_directory(&format!("https://{host}/{directory}/v2.0")), Some(directory));
        }
        assert_eq!(entra_directory("https://login.microsoftonline.com/common/v2.0"), None);
        assert_eq!(entra_directory("https://sso.example/realms/plant"), None);
    }
}
