//! Builds the services for authentication, personal access tokens and tenant mappings from the settings.

use crate::config::Settings;
use crate::ports::SharedPorts;
use anyhow::{Context as _, Result};
use domain::ports::TokenSecrets;
use policy::authn::{Authenticator, AuthnSettings};
use policy::keyed_hash::HashKey;
use runtime::access_tokens::AccessTokenService;
use runtime::tenant_mappings::TenantMappingService;
use std::sync::Arc;

/// Maximum number of refusals per minute for which a known user gets the reason in the response.
const REFUSALS_PER_MINUTE: u32 = 60;

/// Builds the service for personal access tokens.
pub(crate) fn access_tokens(
    settings: &Settings,
    ports: &SharedPorts,
    authn: &Arc<Authenticator>,
) -> Arc<AccessTokenService> {
    let SharedPorts { store, clock, ids, .. } = ports.clone();
    let secrets = Arc::clone(authn) as Arc<dyn TokenSecrets>;
    Arc::new(AccessTokenService::new(store, clock, ids, secrets, settings.auth.max_token_days))
}

/// Builds the service for mappings from claim values to tenants, for the configured issuers.
///
/// # Errors
/// If an issuer is incomplete.
pub(crate) fn tenant_mappings(settings: &Settings, ports: &SharedPorts) -> Result<Arc<TenantMappingService>> {
    let issuers = settings.issuers()?.into_iter().map(|issuer| issuer.issuer).collect();
    let SharedPorts { directory, clock, ids, .. } = ports.clone();
    Ok(Arc::new(TenantMappingService::new(directory, clock, ids, issuers)))
}

/// Builds the authenticator, which verifies tokens.
///
/// # Errors
/// If an issuer or the secret is not valid.
pub(crate) fn authenticator(settings: &Settings, ports: &SharedPorts) -> Result<Authenticator> {
    let admins = settings.auth.platform_admins.iter();
    let authn_settings = AuthnSettings {
        issuers: settings.issuers()?,
        platform_admins: admins.map(|admin| (admin.issuer.clone(), admin.subject.clone())).collect(),
        token_key: HashKey::derive(settings.secret_key_bytes()?, "token"),
        key_cache_dir: Some(settings.key_cache_dir()),
        login_max_age_days: settings.auth.access_token_login_max_age_days,
        refusals_per_minute: if settings.rate_limit.enabled { REFUSALS_PER_MINUTE } else { u32::MAX },
    };
    let SharedPorts { store, directory, clock, ids, .. } = ports.clone();
    Authenticator::new(authn_settings, store, directory, clock, ids)
        .context("the HTTP client for the issuers' keys cannot be built")
}
