//! Builds the settings of the trusted token issuers from the `auth` section.

use super::Mode;
use super::auth::{Auth, EntraCloud, IssuerFile};
use anyhow::{Context as _, Result, bail};
use gateway::console::ConsoleClient;
use policy::authn::jwks::fetch::is_allowed_url;
use policy::authn::settings::{
    ClaimNames, GroupsOverage, IssuerSettings, IssuerTenantMapping, KeySource, SignatureAlgorithm,
    default_role_mapping, entra_directory,
};
use std::collections::BTreeMap;
use std::path::Path;

/// `iss` of the development issuer.
pub const DEVELOPMENT_ISSUER: &str = "urn:plant-agent-platform:development";
/// `aud` of the development issuer's tokens.
pub const DEVELOPMENT_AUDIENCE: &str = "plant-agent-platform";

/// Scopes that the console asks for unless `auth.oidc_scope` names others.
const DEFAULT_CONSOLE_SCOPE: &str = "openid profile email";

impl EntraCloud {
    const fn login_url(self) -> &'static str {
        match self {
            Self::Global => "https://login.microsoftonline.com",
            Self::UsGov => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }
}

/// All issuers. Those of the `oidc_…` and `entra_…` keys come first, because the first issuer is the default for users
/// that an admin creates without naming an issuer.
pub(super) fn issuer_settings(auth: &Auth, mode: Mode) -> Result<Vec<IssuerSettings>> {
    let mut issuers = Vec::new();
    issuers.extend(oidc_issuer(auth, mode)?);
    issuers.extend(entra_issuer(auth, mode)?);
    for issuer in &auth.issuers {
        issuers.push(from_file(issuer.clone())?);
    }
    issuers.extend(auth.dev_issuer_dir.as_deref().map(development_issuer));
    if issuers.is_empty() {
        bail!(
            "no token issuer is configured: set OIDC_ISSUER and OIDC_AUDIENCE, or ENTRA_TENANT_ID and ENTRA_CLIENT_ID, \
             or [[auth.issuers]] in the configuration file"
        );
    }
    issuers.iter().try_for_each(check_issuer)?;
    let accepted_names =
        |issuer: &IssuerSettings| std::iter::once(issuer.issuer.clone()).chain(issuer.accepted_issuers.clone());
    let mut names: Vec<_> = issuers.iter().flat_map(accepted_names).collect();
    names.sort_unstable();
    if let Some(duplicate) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("the issuer {} is configured twice", duplicate[0]);
    }
    Ok(issuers)
}

fn check_issuer(issuer: &IssuerSettings) -> Result<()> {
    let name = &issuer.issuer;
    if issuer.audiences.is_empty() {
        bail!("the issuer {name} has no audiences; without one, tokens for other services would be accepted");
    }
    if issuer.algorithms.is_empty() {
        bail!("the issuer {name} has no algorithms");
    }
    if name.chars().count() > 255 {
        bail!("the issuer {name} is longer than 255 characters");
    }
    Ok(())
}

/// The tenants for which the issuers of the `oidc_…` and `entra_…` keys are trusted: in development mode with an empty
/// `auth.tenants` every tenant, otherwise the mapped ones.
fn tenant_mapping(auth: &Auth, mode: Mode) -> IssuerTenantMapping {
    match mode {
        Mode::Development if auth.tenants.is_empty() => IssuerTenantMapping::Any,
        Mode::Development | Mode::Production => IssuerTenantMapping::Mapped(auth.tenants.clone()),
    }
}

/// The console's client at the issuer of the `oidc_…` keys, otherwise at that of the `entra_…` keys.
pub(super) fn console_client(auth: &Auth) -> Option<ConsoleClient> {
    let client_id = auth.oidc_client_id.clone()?;
    let entra_issuer = || auth.entra_tenant_id.as_ref().map(|directory| entra_issuer_name(auth.entra_cloud, directory));
    let issuer = auth.oidc_issuer.clone().or_else(entra_issuer)?;
    let scope = auth.oidc_scope.clone().unwrap_or_else(|| DEFAULT_CONSOLE_SCOPE.to_owned());
    Some(ConsoleClient { issuer, client_id, scope })
}

fn entra_issuer_name(cloud: EntraCloud, directory: &str) -> String {
    format!("{}/{directory}/v2.0", cloud.login_url())
}

fn oidc_issuer(auth: &Auth, mode: Mode) -> Result<Option<IssuerSettings>> {
    let Some(issuer) = &auth.oidc_issuer else { return Ok(None) };
    let audience = auth.oidc_audience.clone().context("OIDC_ISSUER is set, but OIDC_AUDIENCE is not")?;
    Ok(Some(IssuerSettings {
        keys: key_source(issuer, auth.oidc_jwks_url.as_deref())?,
        tenants: tenant_mapping(auth, mode),
        ..issuer_with_shared_settings(auth, issuer, audience)
    }))
}

fn entra_issuer(auth: &Auth, mode: Mode) -> Result<Option<IssuerSettings>> {
    let Some(directory) = &auth.entra_tenant_id else { return Ok(None) };
    let client = auth.entra_client_id.clone().context("ENTRA_TENANT_ID is set, but ENTRA_CLIENT_ID is not")?;
    let authority = format!("{}/{directory}", auth.entra_cloud.login_url());
    let issuer = entra_issuer_name(auth.entra_cloud, directory);
    Ok(Some(IssuerSettings {
        algorithms: vec![SignatureAlgorithm::Rs256],
        keys: KeySource::Url(format!("{authority}/discovery/v2.0/keys")),
        tenants: tenant_mapping(auth, mode),
        required_claim: Some(("tid".to_owned(), directory.clone())),
        ..issuer_with_shared_settings(auth, &issuer, client)
    }))
}

/// An issuer of the `oidc_…` or `entra_…` keys, with the settings in `auth` that apply to both.
fn issuer_with_shared_settings(auth: &Auth, issuer: &str, audience: String) -> IssuerSettings {
    IssuerSettings {
        roles: auth.roles.clone().unwrap_or_else(default_role_mapping),
        accept_high_s: auth.accept_high_s,
        required_scope: auth.required_scope.clone(),
        required_role: auth.required_role.clone(),
        max_age_s: auth.max_age_s,
        guest_directories: auth.guests.clone(),
        groups_overage: auth.groups_overage,
        ..default_issuer(issuer, vec![audience])
    }
}

fn from_file(file: IssuerFile) -> Result<IssuerSettings> {
    let default = default_issuer(&file.issuer, file.audiences);
    Ok(IssuerSettings {
        keys: key_source(&file.issuer, file.jwks_url.as_deref())?,
        tenants: IssuerTenantMapping::Mapped(file.tenants),
        roles: file.roles.unwrap_or_else(default_role_mapping),
        claims: file.claims,
        accepted_issuers: file.accept_iss,
        accept_high_s: file.accept_high_s,
        algorithms: file.algorithms.unwrap_or(default.algorithms),
        required_scope: file.required_scope,
        required_role: file.required_role,
        max_age_s: file.max_age_s,
        guest_directories: file.guests,
        groups_overage: file.groups_overage,
        ..default
    })
}

fn development_issuer(dir: &Path) -> IssuerSettings {
    IssuerSettings {
        algorithms: vec![SignatureAlgorithm::Es256],
        keys: KeySource::File(dir.join("jwks.json")),
        tenants: IssuerTenantMapping::Any,
        ..default_issuer(DEVELOPMENT_ISSUER, vec![DEVELOPMENT_AUDIENCE.to_owned()])
    }
}

/// Default settings of an issuer with this name and these audiences. If the name is that of an Entra directory, tokens
/// must come from that directory (`tid`), even if the issuer is not configured with the `entra_…` keys.
fn default_issuer(issuer: &str, audiences: Vec<String>) -> IssuerSettings {
    IssuerSettings {
        issuer: issuer.to_owned(),
        accepted_issuers: Vec::new(),
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
        roles: default_role_mapping(),
        tenants: IssuerTenantMapping::Mapped(BTreeMap::new()),
        required_scope: None,
        required_role: None,
        required_claim: entra_directory(issuer).map(|directory| ("tid".to_owned(), directory.to_owned())),
        max_age_s: None,
        guest_directories: Vec::new(),
        groups_overage: GroupsOverage::Refuse,
    }
}

fn key_source(issuer: &str, jwks_url: Option<&str>) -> Result<KeySource> {
    let checked_url = jwks_url.unwrap_or(issuer);
    if !is_allowed_url(checked_url) {
        bail!("the issuer URL {checked_url} must be https, or http on the loopback interface");
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
    fn the_oidc_issuer_is_trusted_for_every_tenant_in_development_mode_only() {
        let issuers = issuer_settings(&auth(), Mode::Development).expect("valid");
        assert_eq!(issuers[0].tenants, IssuerTenantMapping::Any);
        let issuers = issuer_settings(&auth(), Mode::Production).expect("valid");
        assert_eq!(issuers[0].tenants.tenant("plant-a"), None);
    }

    #[test]
    fn the_console_signs_in_at_the_oidc_issuer_and_otherwise_at_entra() {
        assert_eq!(console_client(&auth()), None, "without a client");
        let auth = Auth { oidc_client_id: Some("console".to_owned()), ..auth() };
        let client = console_client(&auth).expect("a client");
        assert_eq!(
            (client.issuer.as_str(), client.scope.as_str()),
            ("http://127.0.0.1:9/realms/x", "openid profile email")
        );
        let auth = Auth { oidc_issuer: None, entra_tenant_id: Some("T".to_owned()), ..auth };
        assert_eq!(console_client(&auth).expect("a client").issuer, "https://login.microsoftonline.com/T/v2.0");
    }

    #[test]
    fn an_incomplete_issuer_is_refused_with_the_name_of_the_missing_variable() {
        let error =
            issuer_settings(&Auth { oidc_audience: None, ..auth() }, Mode::Development).expect_err("incomplete");
        assert!(error.to_string().contains("OIDC_AUDIENCE"));
        let remote_http = Auth { oidc_issuer: Some("http://idp.example".to_owned()), ..auth() };
        assert!(issuer_settings(&remote_http, Mode::Development).is_err());
        assert!(issuer_settings(&Auth::default(), Mode::Production).is_err());
    }

    #[test]
    fn entra_tokens_must_come_from_the_configured_directory() {
        let auth =
            Auth { entra_tenant_id: Some("T".to_owned()), entra_client_id: Some("C".to_owned()), ..Auth::default() };
        let issuers = issuer_settings(&auth, Mode::Production).expect("valid");
        assert_eq!(issuers[0].issuer, "https://login.microsoftonline.com/T/v2.0");
        assert_eq!(issuers[0].required_claim, Some(("tid".to_owned(), "T".to_owned())));
    }

    #[test]
    fn each_entra_cloud_has_its_own_authority_and_the_issuer_name_binds_the_directory() {
        let directory = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
        for (cloud, host) in [
            (EntraCloud::Global, "login.microsoftonline.com"),
            (EntraCloud::UsGov, "login.microsoftonline.us"),
            (EntraCloud::China, "login.partner.microsoftonline.cn"),
        ] {
            let by_directory = Auth {
                entra_tenant_id: Some(directory.to_owned()),
                entra_client_id: Some("C".to_owned()),
                entra_cloud: cloud,
                ..Auth::default()
            };
            let issuer = &issuer_settings(&by_directory, Mode::Production).expect("valid")[0];
            assert_eq!(issuer.issuer, format!("https://{host}/{directory}/v2.0"));
            assert_eq!(issuer.keys, KeySource::Url(format!("https://{host}/{directory}/discovery/v2.0/keys")));
            let generic = Auth { oidc_issuer: Some(issuer.issuer.clone()), ..auth() };
            let issuer = &issuer_settings(&generic, Mode::Production).expect("valid")[0];
            assert_eq!(issuer.required_claim, Some(("tid".to_owned(), directory.to_owned())), "also as OIDC_ISSUER");
        }
    }

    fn parse(text: &str) -> Result<IssuerFile, config::ConfigError> {
        let file = config::File::from_str(text, config::FileFormat::Toml);
        config::Config::builder().add_source(file).build()?.try_deserialize()
    }

    #[test]
    fn an_issuer_in_the_file_can_set_every_key() {
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
        let issuer =
            &issuer_settings(&Auth { issuers: vec![file], ..Auth::default() }, Mode::Production).expect("valid")[0];
        assert_eq!(issuer.accepted_issuers, ["http://adfs.acme.example/adfs/services/trust"]);
        assert_eq!(issuer.algorithms, [SignatureAlgorithm::Rs256, SignatureAlgorithm::EdDsa]);
        assert_eq!((issuer.max_age_s, issuer.groups_overage), (Some(3600), GroupsOverage::Ignore));
        assert_eq!(issuer.claims.groups, ["group"]);
        assert_eq!(issuer.tenants.tenant("acme"), None, "tenant mappings can be in the database instead");
    }

    #[test]
    fn an_issuer_without_audiences_or_with_unsafe_algorithms_is_refused() {
        let file = |toml_lines: &str| {
            let text = format!("issuer = \"https://a.example\"\n{toml_lines}");
            let file: IssuerFile = parse(&text).expect("valid");
            issuer_settings(&Auth { issuers: vec![file], ..Auth::default() }, Mode::Production)
        };
        assert!(file("audiences = []").expect_err("none").to_string().contains("no audiences"));
        assert!(file("audiences = [\"a\"]\nalgorithms = []").is_err());
        assert!(parse("issuer = \"x\"\naudiences = [\"a\"]\nalgorithms = [\"HS256\"]").is_err());
    }
}
