//! Issuers from the settings: the file's, the variables', and the development issuer.

use super::{Auth, Mode};
use anyhow::{Context as _, Result, bail};
use domain::role::Role;
use policy::authn::jwks::is_allowed;
use policy::authn::settings::{ClaimNames, IssuerSettings, KeySource, SignatureAlgorithm, TenantTrust, default_roles};
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
    /// Accepted `aud` values.
    pub audiences: Vec<String>,
    /// Where the keys are; discovered if absent.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Claim value → tenant id or slug.
    pub tenants: BTreeMap<String, String>,
    /// Role value → role, instead of the usual ones.
    #[serde(default)]
    pub roles: Option<BTreeMap<String, Role>>,
    /// Claim names, instead of the usual ones.
    #[serde(default)]
    pub claims: Claims,
    /// A scope that tokens must carry.
    #[serde(default)]
    pub required_scope: Option<String>,
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
    let mut names: Vec<_> = issuers.iter().map(|issuer| issuer.issuer.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("the issuer {} is configured twice", twice[0]);
    }
    Ok(issuers)
}

/// In development mode the variables' issuer is trusted for every tenant; otherwise for those that are mapped.
fn trust(auth: &Auth, mode: Mode) -> TenantTrust {
    match mode {
        Mode::Development if auth.tenants.is_empty() => TenantTrust::Every,
        Mode::Development | Mode::Production => TenantTrust::Mapped(auth.tenants.clone()),
    }
}

fn oidc(auth: &Auth, mode: Mode) -> Result<Option<IssuerSettings>> {
    let Some(issuer) = &auth.oidc_issuer else { return Ok(None) };
    let audience = auth.oidc_audience.clone().context("OIDC_ISSUER is set, but OIDC_AUDIENCE is not")?;
    Ok(Some(IssuerSettings {
        keys: keys(issuer, auth.oidc_jwks_url.as_deref())?,
        tenants: trust(auth, mode),
        ..usual(issuer, vec![audience])
    }))
}

fn entra(auth: &Auth, mode: Mode) -> Result<Option<IssuerSettings>> {
    let Some(directory) = &auth.entra_tenant_id else { return Ok(None) };
    let client = auth.entra_client_id.clone().context("ENTRA_TENANT_ID is set, but ENTRA_CLIENT_ID is not")?;
    let authority = format!("https://login.microsoftonline.com/{directory}");
    let issuer = format!("{authority}/v2.0");
    Ok(Some(IssuerSettings {
        algorithms: vec![SignatureAlgorithm::Rs256],
        keys: KeySource::Url(format!("{authority}/discovery/v2.0/keys")),
        tenants: trust(auth, mode),
        required_claim: Some(("tid".to_owned(), directory.clone())),
        ..usual(&issuer, vec![client])
    }))
}

fn from_file(file: IssuerFile) -> Result<IssuerSettings> {
    Ok(IssuerSettings {
        keys: keys(&file.issuer, file.jwks_url.as_deref())?,
        tenants: TenantTrust::Mapped(file.tenants),
        roles: file.roles.unwrap_or_else(default_roles),
        claims: file.claims.names(),
        required_scope: file.required_scope,
        ..usual(&file.issuer, file.audiences)
    })
}

fn development(dir: &Path) -> IssuerSettings {
    IssuerSettings {
        algorithms: vec![SignatureAlgorithm::Es256],
        keys: KeySource::File(dir.join("jwks.json")),
        tenants: TenantTrust::Every,
        ..usual(DEVELOPMENT_ISSUER, vec![DEVELOPMENT_AUDIENCE.to_owned()])
    }
}

fn usual(issuer: &str, audiences: Vec<String>) -> IssuerSettings {
    IssuerSettings {
        issuer: issuer.to_owned(),
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
        required_claim: None,
    }
}

fn keys(issuer: &str, jwks_url: Option<&str>) -> Result<KeySource> {
    let address = jwks_url.unwrap_or(issuer);
    if !is_allowed(address) {
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
        assert_eq!(issuers[0].tenants, TenantTrust::Every);
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
}
