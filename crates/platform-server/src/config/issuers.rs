//! Issuers from the settings: the file's, the variables', and the development issuer.

use super::{Auth, Mode};
use anyhow::{Context as _, Result, bail};
use domain::role::Role;
use policy::authn::jwks::fetch::is_allowed_url;
use policy::authn::settings::{
    ClaimNames, GroupsOverage, IssuerSettings, KeySource, SignatureAlgorithm, TenantTrust, default_roles,
    entra_directory,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The development issuer's name.
pub const DEVELOPMENT_ISSUER: &str = "urn:plant-agent-platform:development";
/// The audience of its tokens.
pub const DEVELOPMENT_AUDIENCE: &str = "plant-agent-platform";

/// An issuer in the configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerFile {
    /// The exact `iss`.
    pub issuer: String,
    /// UploadOutcome `aud` values.
    pub audiences: Vec<String>,
    /// Further `iss` values of its tokens (AD FS: `access_token_issuer` of its discovery document).
    #[serde(default)]
    pub accept_iss: Vec<String>,
    /// Accepted signature algorithms, instead of the usual ones.
    #[serde(default)]
    pub algorithms: Option<Vec<SignatureAlgorithm>>,
    /// Accept ES256 signatures with a high `s`, too: for issuers that do not normalize theirs.
    #[serde(default)]
    pub accept_high_s: bool,
    /// Where the keys are; discovered if absent.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Claim value → tenant id or slug.
    #[serde(default)]
    pub tenants: BTreeMap<String, String>,
    /// Role value, or group as `g:<group>` → role, instead of the usual ones.
    #[serde(default)]
    pub roles: Option<BTreeMap<String, Role>>,
    /// Claim names, instead of the usual ones.
    #[serde(default)]
    pub claims: Claims,
    /// A scope that tokens must carry, or else `required_role`.
    #[serde(default)]
    pub required_scope: Option<String>,
    /// A role value that tokens must carry, or else `required_scope`.
    #[serde(default)]
    pub required_role: Option<String>,
    /// Longest time since the user proved who they are, in seconds.
    #[serde(default)]
    pub max_age_s: Option<u32>,
    /// Home directories whose guests get in; `*` for any.
    #[serde(default)]
    pub guests: Vec<String>,
    /// What becomes of tokens that leave out their groups.
    #[serde(default)]
    pub groups_overage: GroupsOverage,
}

/// A cloud of Entra ID's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntraCloud {
    /// The public one.
    #[default]
    Global,
    /// For the government of the United States.
    UsGov,
    /// In China.
    China,
}

impl EntraCloud {
    const fn login(self) -> &'static str {
        match self {
            Self::Global => "https://login.microsoftonline.com",
            Self::UsGov => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }
}

/// Claim names; each is a list, the first that is there wins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Claims {
    /// The stable id of the user.
    pub subject: Option<Vec<String>>,
    /// What the tenant is looked up by.
    pub tenant: Option<Vec<String>>,
    /// Role values.
    pub roles: Option<Vec<String>>,
    /// E-mail.
    pub email: Option<Vec<String>>,
    /// Name.
    pub name: Option<Vec<String>>,
    /// Scopes.
    pub scopes: Option<Vec<String>>,
    /// Groups.
    pub groups: Option<Vec<String>>,
    /// The client that asked for the token.
    pub client: Option<Vec<String>>,
    /// The token's own id.
    pub token_id: Option<Vec<String>>,
    /// When the user proved who they are.
    pub auth_time: Option<Vec<String>>,
}

impl Claims {
    fn names(self) -> ClaimNames {
        let usual = ClaimNames::default();
        ClaimNames {
            subject: self.subject.unwrap_or(usual.subject),
            tenant: self.tenant.unwrap_or(usual.tenant),
            roles: self.roles.unwrap_or(usual.roles),
            email: self.email.unwrap_or(usual.email),
            name: self.name.unwrap_or(usual.name),
            scopes: self.scopes.unwrap_or(usual.scopes),
            groups: self.groups.unwrap_or(usual.groups),
            client: self.client.unwrap_or(usual.client),
            token_id: self.token_id.unwrap_or(usual.token_id),
            auth_time: self.auth_time.unwrap_or(usual.auth_time),
        }
    }
}

/// All issuers, the environment's first: an admin who makes a user without an issuer means that one.
pub(super) fn collect(auth: &Auth, mode: Mode) -> Result<Vec<IssuerSettings>> {
    let mut issuers = Vec::new();
    issuers.extend(oidc(auth, mode)?);
    issuers.extend(entra(auth, mode)?);
    for issuer in &auth.issuers {
        issuers.push(from_file(issuer.clone())?);
    }
    issuers.extend(auth.dev_issuer_dir.as_deref().map(development));
    if issuers.is_empty() {
        bail!(
            "no token issuer is configured: set OIDC_ISSUER and OIDC_AUDIENCE, or ENTRA_TENANT_ID and ENTRA_CLIENT_ID, \
             or [[auth.issuers]] in the configuration file"
        );
    }
    issuers.iter().try_for_each(check)?;
    let named = |issuer: &IssuerSettings| std::iter::once(issuer.issuer.clone()).chain(issuer.accept_iss.clone());
    let mut names: Vec<_> = issuers.iter().flat_map(named).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("the issuer {} is configured twice", twice[0]);
    }
    Ok(issuers)
}

fn check(issuer: &IssuerSettings) -> Result<()> {
    let name = &issuer.issuer;
    if issuer.audiences.is_empty() {
        bail!("the issuer {name} has no audiences: without one, tokens that were made for other services would do");
    }
    if issuer.algorithms.is_empty() {
        bail!("the issuer {name} has no algorithms");
    }
    if name.chars().count() > 255 {
        bail!("the issuer {name} is longer than 255 characters");
    }
    Ok(())
}

/// In development mode the variables' issuer is trusted for every tenant; otherwise for those that are mapped.
fn trust(auth: &Auth, mode: Mode) -> TenantTrust {
    match mode {
        Mode::Development if auth.tenants.is_empty() => TenantTrust::Any,
        Mode::Development | Mode::Production => TenantTrust::Mapped(auth.tenants.clone()),
    }
}

fn oidc(auth: &Auth, mode: Mode) -> Result<Option<IssuerSettings>> {
    let Some(issuer) = &auth.oidc_issuer else { return Ok(None) };
    let audience = auth.oidc_audience.clone().context("OIDC_ISSUER is set, but OIDC_AUDIENCE is not")?;
    Ok(Some(IssuerSettings {
        keys: keys(issuer, auth.oidc_jwks_url.as_deref())?,
        tenants: trust(auth, mode),
        ..of_variables(auth, issuer, audience)
    }))
}

fn entra(auth: &Auth, mode: Mode) -> Result<Option<IssuerSettings>> {
    let Some(directory) = &auth.entra_tenant_id else { return Ok(None) };
    let client = auth.entra_client_id.clone().context("ENTRA_TENANT_ID is set, but ENTRA_CLIENT_ID is not")?;
    let authority = format!("{}/{directory}", auth.entra_cloud.login());
    let issuer = format!("{authority}/v2.0");
    Ok(Some(IssuerSettings {
        algorithms: vec![SignatureAlgorithm::Rs256],
        keys: KeySource::Url(format!("{authority}/discovery/v2.0/keys")),
        tenants: trust(auth, mode),
        required_claim: Some(("tid".to_owned(), directory.clone())),
        ..of_variables(auth, &issuer, client)
    }))
}

/// What `[auth]` says of the issuers of the variables.
fn of_variables(auth: &Auth, issuer: &str, audience: String) -> IssuerSettings {
    IssuerSettings {
        roles: auth.roles.clone().unwrap_or_else(default_roles),
        accept_high_s: auth.accept_high_s,
        required_scope: auth.required_scope.clone(),
        required_role: auth.required_role.clone(),
        max_age_s: auth.max_age_s,
        guests: auth.guests.clone(),
        groups_overage: auth.groups_overage,
        ..usual(issuer, vec![audience])
    }
}

fn from_file(file: IssuerFile) -> Result<IssuerSettings> {
    let usual = usual(&file.issuer, file.audiences);
    Ok(IssuerSettings {
        keys: keys(&file.issuer, file.jwks_url.as_deref())?,
        tenants: TenantTrust::Mapped(file.tenants),
        roles: file.roles.unwrap_or_else(default_roles),
        claims: file.claims.names(),
        accept_iss: file.accept_iss,
        accept_high_s: file.accept_high_s,
        algorithms: file.algorithms.unwrap_or(usual.algorithms),
        required_scope: file.required_scope,
        required_role: file.required_role,
        max_age_s: file.max_age_s,
        guests: file.guests,
        groups_overage: file.groups_overage,
        ..usual
    })
}

fn development(dir: &Path) -> IssuerSettings {
    IssuerSettings {
        algorithms: vec![SignatureAlgorithm::Es256],
        keys: KeySource::File(dir.join("jwks.json")),
        tenants: TenantTrust::Any,
        ..usual(DEVELOPMENT_ISSUER, vec![DEVELOPMENT_AUDIENCE.to_owned()])
    }
}

/// An issuer whose name has the shape of Entra's speaks for one directory, wherever it is configured.
fn usual(issuer: &str, audiences: Vec<String>) -> IssuerSettings {
    IssuerSettings {
        issuer: issuer.to_owned(),
        accept_iss: Vec::new(),
        accept_high_s: false,
        audiences,
        algorithms: vec![
            SignatureAlgorithm::Rs256,
            SignatureAlgorithm::Ps256,
            SignatureAlgorithm::Es256,
            SignatureAlgorithm::EdDsa,
        ],
        keys: KeySource::Discovery,
        claims: ClaimNames::default(),
        roles: default_roles(),
        tenants: TenantTrust::Mapped(BTreeMap::new()),
        required_scope: None,
        required_role: None,
        required_claim: entra_directory(issuer).map(|directory| ("tid".to_owned(), directory.to_owned())),
        max_age_s: None,
        guests: Vec::new(),
        groups_overage: GroupsOverage::Refuse,
    }
}

fn keys(issuer: &str, jwks_url: Option<&str>) -> Result<KeySource> {
    let address = jwks_url.unwrap_or(issuer);
    if !is_allowed_url(address) {
        bail!("the issuer's address {address} must be https, or http on the loopback interface");
    }
    Ok(jwks_url.map_or(KeySource::Discovery, |url| KeySource::Url(url.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth() -> Auth {
        Auth {
            oidc_issuer: Some("http://127.0.0.1:9/realms/x".to_owned()),
            oidc_audience: Some("api".to_owned()),
            ..Auth::default()
        }
    }

    #[test]
    fn the_variables_issuer_speaks_for_every_tenant_in_development_only() {
        let issuers = collect(&auth(), Mode::Development).expect("valid");
        assert_eq!(issuers[0].tenants, TenantTrust::Any);
        let issuers = collect(&auth(), Mode::Production).expect("valid");
        assert_eq!(issuers[0].tenants.tenant("plant-a"), None);
    }

    #[test]
    fn an_incomplete_issuer_is_refused_with_the_variable_that_is_missing() {
        let error = collect(&Auth { oidc_audience: None, ..auth() }, Mode::Development).expect_err("incomplete");
        assert!(error.to_string().contains("OIDC_AUDIENCE"));
        let far = Auth { oidc_issuer: Some("http://idp.example".to_owned()), ..auth() };
        assert!(collect(&far, Mode::Development).is_err());
        assert!(collect(&Auth::default(), Mode::Production).is_err());
    }

    #[test]
    fn entra_tokens_must_come_from_the_directory_that_is_named() {
        let auth =
            Auth { entra_tenant_id: Some("T".to_owned()), entra_client_id: Some("C".to_owned()), ..Auth::default() };
        let issuers = collect(&auth, Mode::Production).expect("valid");
        assert_eq!(issuers[0].issuer, "https://login.microsoftonline.com/T/v2.0");
        assert_eq!(issuers[0].required_claim, Some(("tid".to_owned(), "T".to_owned())));
    }

    #[test]
    fn each_entra_cloud_has_its_own_authority_and_the_shape_of_the_name_binds_the_directory() {
        let directory = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
        for (cloud, host) in [
            (EntraCloud::Global, "login.microsoftonline.com"),
            (EntraCloud::UsGov, "login.microsoftonline.us"),
            (EntraCloud::China, "login.partner.microsoftonline.cn"),
        ] {
            let of_variables = Auth {
                entra_tenant_id: Some(directory.to_owned()),
                entra_client_id: Some("C".to_owned()),
                entra_cloud: cloud,
                ..Auth::default()
            };
            let issuer = &collect(&of_variables, Mode::Production).expect("valid")[0];
            assert_eq!(issuer.issuer, format!("https://{host}/{directory}/v2.0"));
            assert_eq!(issuer.keys, KeySource::Url(format!("https://{host}/{directory}/discovery/v2.0/keys")));
            let generic = Auth { oidc_issuer: Some(issuer.issuer.clone()), ..auth() };
            let issuer = &collect(&generic, Mode::Production).expect("valid")[0];
            assert_eq!(issuer.required_claim, Some(("tid".to_owned(), directory.to_owned())), "as OIDC_ISSUER, too");
        }
    }

    fn parse(text: &str) -> Result<IssuerFile, config::ConfigError> {
        let file = config::File::from_str(text, config::FileFormat::Toml);
        config::Config::builder().add_source(file).build()?.try_deserialize()
    }

    #[test]
    fn the_file_may_say_everything_of_an_issuer() {
        let file = r#"
            issuer = "https://adfs.acme.example/adfs"
            accept_iss = ["http://adfs.acme.example/adfs/services/trust"]
            audiences = ["api"]
            algorithms = ["RS256", "EdDSA"]
            roles = { "lead" = "admin", "g:11111111-2222-3333-4444-555555555555" = "user" }
            required_role = "lead"
            max_age_s = 3600
            guests = ["*"]
            groups_overage = "ignore"
            claims = { groups = ["group"], auth_time = ["auth_time"] }
        "#;
        let file: IssuerFile = parse(file).expect("valid");
        let issuer = &collect(&Auth { issuers: vec![file], ..Auth::default() }, Mode::Production).expect("valid")[0];
        assert_eq!(issuer.accept_iss, ["http://adfs.acme.example/adfs/services/trust"]);
        assert_eq!(issuer.algorithms, [SignatureAlgorithm::Rs256, SignatureAlgorithm::EdDsa]);
        assert_eq!((issuer.max_age_s, issuer.groups_overage), (Some(3600), GroupsOverage::Ignore));
        assert_eq!(issuer.claims.groups, ["group"]);
        assert_eq!(issuer.tenants.tenant("acme"), None, "mappings may be data instead");
    }

    #[test]
    fn an_issuer_that_would_let_in_too_much_is_refused() {
        let file = |more: &str| {
            let text = format!("issuer = \"https://a.example\"\n{more}");
            let file: IssuerFile = parse(&text).expect("valid");
            collect(&Auth { issuers: vec![file], ..Auth::default() }, Mode::Production)
        };
        assert!(file("audiences = []").expect_err("none").to_string().contains("no audiences"));
        assert!(file("audiences = [\"a\"]\nalgorithms = []").is_err());
        assert!(parse("issuer = \"x\"\naudiences = [\"a\"]\nalgorithms = [\"HS256\"]").is_err());
    }
}
