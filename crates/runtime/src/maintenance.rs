//! Use cases of the maintenance system to which approved work orders are written.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::Change;
use domain::authorized::Authorized;
use domain::command::{GetMaintenanceSystem, PutMaintenanceSystem};
use domain::ids::TenantId;
use domain::maintenance::{MaintenanceKind, MaintenanceSettings, SecretChange};
use domain::ports::{Clock, Store, StoreError};
use domain::upload::FieldError;
use std::sync::Arc;
use tools::write::{RemoteAccess, check_settings};

/// Reads and sets tenants' maintenance systems.
pub struct MaintenanceService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    access: RemoteAccess,
}

impl MaintenanceService {
    /// Creates the service. `access` says which addresses are allowed, and encrypts secrets.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, access: RemoteAccess) -> Self {
        Self { store, clock, access }
    }

    fn seal(&self, tenant: TenantId, secret: &str) -> Result<Vec<u8>, RuntimeError> {
        let sealed = self.access.secrets.seal(tenant, MaintenanceSettings::SECRET_PURPOSE, secret.as_bytes());
        let failed = |source| StoreError::Failed { activity: "encrypting a secret", source: Box::new(source) };
        Ok(sealed.map_err(failed)?)
    }
}

#[async_trait]
impl UseCase<GetMaintenanceSystem> for MaintenanceService {
    async fn execute(&self, command: Authorized<GetMaintenanceSystem>) -> Result<MaintenanceSettings, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let settings = tx.maintenance_system().get().await?;
        tx.defer_commit();
        Ok(settings)
    }
}

#[async_trait]
impl UseCase<PutMaintenanceSystem> for MaintenanceService {
    async fn execute(
        &self,
        command: Authorized<PutMaintenanceSystem>,
    ) -> Result<Change<MaintenanceSettings>, RuntimeError> {
        let (permit, PutMaintenanceSystem { kind, options, secret }) = command.into_parts();
        let scope = permit.scope();
        if kind == MaintenanceKind::Builtin && secret.new_secret().is_some() {
            let detail = "must be missing: the platform's own list has no secret".to_owned();
            return Err(FieldError { pointer: "/secret".to_owned(), detail }.into());
        }
        // Resolves a name, so no transaction is open.
        check_settings(kind, &options, &self.access.egress).await?;
        let new_secret = secret.new_secret().map(|secret| self.seal(scope.tenant(), secret)).transpose()?;
        let mut tx = self.store.begin(scope).await?;
        let before = tx.maintenance_system().get().await?;
        let updated_at = Some(self.clock.now());
        let mut after = MaintenanceSettings { kind, options, sealed_secret: new_secret, updated_at };
        if matches!(secret, SecretChange::Keep) && after.shares_secret_with(&before) {
            after.sealed_secret.clone_from(&before.sealed_secret);
        }
        tx.maintenance_system().put(&after, scope.user()).await?;
        tx.commit().await?;
        Ok(Change { before, after })
    }
}
