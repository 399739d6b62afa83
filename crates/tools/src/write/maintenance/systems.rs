//! Which maintenance system a tenant has, and whether its settings can be used.

use super::endpoint::{CredentialHeader, Endpoint};
use super::maximo::{self, MaximoMaintenance};
use super::rest::RestMaintenance;
use super::sap_pm::{self, SapMaintenance};
use super::{BuiltinMaintenance, MaintenanceSystem};
use crate::egress::{EgressError, EgressPolicy};
use crate::write::error::WriteError;
use domain::ids::TenantId;
use domain::maintenance::{MaintenanceAuth, MaintenanceKind, MaintenanceOptions};
use domain::ports::{SecretSealer, Store, TenantTx};
use domain::upload::FieldError;
use std::sync::Arc;
use url::Url;

/// What systems that are reached over HTTP need.
#[derive(Clone)]
pub struct RemoteAccess {
    /// Which addresses may be connected to.
    pub egress: Arc<EgressPolicy>,
    /// Decrypts the systems' secrets.
    pub secrets: Arc<dyn SecretSealer>,
}

/// The maintenance systems of all tenants.
#[derive(Clone)]
pub struct MaintenanceSystems {
    store: Arc<dyn Store>,
    /// Without it, tenants have the platform's own list only.
    remote: Option<RemoteAccess>,
}

impl MaintenanceSystems {
    /// The platform's own list only.
    #[must_use]
    pub fn builtin(store: Arc<dyn Store>) -> Self {
        Self { store, remote: None }
    }

    /// The system that each tenant has set.
    #[must_use]
    pub fn configured(store: Arc<dyn Store>, remote: RemoteAccess) -> Self {
        Self { store, remote: Some(remote) }
    }

    /// The store in which the systems' settings are.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The system of the transaction's tenant, whose id is `tenant`.
    ///
    /// # Errors
    /// If the database fails, or the settings cannot be used.
    pub async fn current(
        &self,
        tx: &mut dyn TenantTx,
        tenant: TenantId,
    ) -> Result<Box<dyn MaintenanceSystem>, WriteError> {
        let settings = tx.maintenance_system().get().await?;
        let builtin = || Box::new(BuiltinMaintenance::new(Arc::clone(&self.store)));
        if settings.kind == MaintenanceKind::Builtin {
            return Ok(builtin());
        }
        let misconfigured = |detail: &str| WriteError::Misconfigured { detail: detail.to_owned() };
        let access = self.remote.clone().ok_or_else(|| misconfigured("this process reaches no other system"))?;
        let base = parse_base_url(&settings.options).map_err(|error| misconfigured(&error.detail))?;
        let (options, auth) = (settings.options.clone(), settings.options.auth);
        let endpoint = |base, credential| Endpoint::new(base, tenant, &settings, credential, access);
        let or = |default: MaintenanceAuth| CredentialHeader::from(auth.unwrap_or(default));
        let system: Box<dyn MaintenanceSystem> = match settings.kind {
            MaintenanceKind::Builtin => builtin(),
            MaintenanceKind::Rest => {
                Box::new(RestMaintenance { endpoint: endpoint(base, or(MaintenanceAuth::Bearer)) })
            }
            MaintenanceKind::Maximo => {
                let endpoint = endpoint(maximo::api_url(base), CredentialHeader::Named("apikey"));
                Box::new(MaximoMaintenance::new(endpoint, options))
            }
            MaintenanceKind::SapPm => {
                let endpoint = endpoint(sap_pm::service_url(base), or(MaintenanceAuth::Basic));
                Box::new(SapMaintenance::new(endpoint, options))
            }
        };
        Ok(system)
    }
}

/// Checks settings that an admin names: the address must be one that may be connected to. A name that cannot be
/// resolved at the moment is accepted, since it is checked again before each request.
///
/// # Errors
/// If a field is missing or not allowed.
pub async fn check_settings(
    kind: MaintenanceKind,
    options: &MaintenanceOptions,
    egress: &EgressPolicy,
) -> Result<(), FieldError> {
    if kind == MaintenanceKind::Builtin {
        return match options.base_url {
            None => Ok(()),
            Some(_) => Err(base_url_error("must be missing: the platform's own list has no address".to_owned())),
        };
    }
    let base = parse_base_url(options)?;
    match egress.checked_client(&base).await {
        Ok(_) | Err(EgressError::Unresolved { .. } | EgressError::Http(_)) => Ok(()),
        Err(error) => Err(base_url_error(error.to_string())),
    }
}

fn parse_base_url(options: &MaintenanceOptions) -> Result<Url, FieldError> {
    let text = options.base_url.as_deref();
    let text = text.ok_or_else(|| base_url_error("must be the address of the system's interface".to_owned()))?;
    let url: Url = text.parse().map_err(|_| base_url_error("must be an absolute URL".to_owned()))?;
    if url.query().is_some() || url.fragment().is_some() || url.cannot_be_a_base() {
        return Err(base_url_error("must be a URL without query and fragment".to_owned()));
    }
    Ok(url)
}

fn base_url_error(detail: String) -> FieldError {
    FieldError { pointer: "/config/base_url".to_owned(), detail }
}
