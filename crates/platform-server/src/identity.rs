//! Who verifies tokens, and what is administered of identities, put together.

use crate::compose::secret;
use crate::config::Settings;
use anyhow::{Context as _, Result};
use domain::ports::{Clock, Directory, IdGen, Store, TokenSecrets};
use policy::authn::{Authenticator, AuthnSettings};
use policy::gate::GateParts;
use policy::keyed_hash::HashKey;
use runtime::access_tokens::AccessTokenService;
use runtime::tenant_mappings::TenantMappingService;
use std::sync::Arc;

/// So often within a minute a user who is switched off learns that.
const REFUSALS_PER_MINUTE: u32 = 60;

/// Personal access tokens.
pub(crate) fn access_tokens(
    settings: &Settings,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdGen>,
    authn: &Arc<Authenticator>,
) -> Arc<AccessTokenService> {
    let days = settings.auth.max_token_days();
    let secrets = Arc::clone(authn) as Arc<dyn TokenSecrets>;
    Arc::new(AccessTokenService::new(Arc::clone(store), Arc::clone(clock), Arc::clone(ids), secrets, days))
}

/// Mappings of claims to tenants, for the issuers of the settings.
///
/// # Errors
/// Where an issuer is incomplete.
pub(crate) fn tenant_mappings(
    settings: &Settings,
    directory: &Arc<dyn Directory>,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdGen>,
) -> Result<Arc<TenantMappingService>> {
    let issuers = settings.issuers()?.into_iter().map(|issuer| issuer.issuer).collect();
    let (directory, clock, ids) = (Arc::clone(directory), Arc::clone(clock), Arc::clone(ids));
    Ok(Arc::new(TenantMappingService::new(directory, clock, ids, issuers)))
}

/// Who verifies tokens.
///
/// # Errors
/// Where an issuer or the secret is not valid.
pub(crate) fn authenticator(
    settings: &Settings,
    directory: &Arc<dyn Directory>,
    parts: &GateParts,
) -> Result<Authenticator> {
    let admins = settings.auth.platform_admins.iter();
    let authn = AuthnSettings {
        issuers: settings.issuers()?,
        platform_admins: admins.map(|admin| (admin.issuer.clone(), admin.subject.clone())).collect(),
        token_key: HashKey::derive(secret(settings)?, "token"),
        key_cache_dir: Some(settings.key_cache_dir()),
        login_max_age_days: settings.auth.login_max_age_days(),
        refusals_per_minute: if settings.rate_limit.enabled { REFUSALS_PER_MINUTE } else { u32::MAX },
    };
    let (store, clock, ids) = (Arc::clone(&parts.store), Arc::clone(&parts.clock), Arc::clone(&parts.ids));
    Authenticator::new(authn, store, Arc::clone(directory), clock, ids)
        .context("no HTTP client for the issuers' keys can be made")
}
