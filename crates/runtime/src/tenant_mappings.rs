//! Mappings from values of an issuer's tenant claim to tenants.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::EventType;
use domain::authorized::{Authorized, Permit};
use domain::command::{Command as _, CreateMapping, DeleteMapping, ListMappings};
use domain::ids::{AuditId, MappingId, TenantId};
use domain::mapping::{NewMapping, TenantMapping};
use domain::page::Page;
use domain::ports::{Clock, IdGen, TenantDirectory};
use domain::tenant_change::ChangedBy;
use domain::upload::FieldError;
use std::sync::Arc;

/// Use cases for tenant mappings.
pub struct TenantMappingService {
    directory: Arc<dyn TenantDirectory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
    issuers: Vec<String>,
}

impl TenantMappingService {
    /// Creates the service. `issuers` are the issuers that the platform trusts.
    #[must_use]
    pub fn new(
        directory: Arc<dyn TenantDirectory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
        issuers: Vec<String>,
    ) -> Self {
        Self { directory, clock, ids, issuers }
    }

    fn changed_by(&self, permit: &Permit, event: EventType) -> ChangedBy {
        permit.tenant_changed_by(event, AuditId::from_uuid(self.ids.uuid()), self.clock.now())
    }
}

const TENANT_NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the tenant" };

#[async_trait]
impl UseCase<ListMappings> for TenantMappingService {
    async fn execute(&self, command: Authorized<ListMappings>) -> Result<Page<TenantMapping>, RuntimeError> {
        let ListMappings { tenant, page } = command.command();
        self.directory.tenant(&tenant.to_string()).await?.ok_or(TENANT_NOT_FOUND)?;
        Ok(self.directory.list_mappings(*tenant, page).await?)
    }
}

#[async_trait]
impl UseCase<CreateMapping> for TenantMappingService {
    async fn execute(&self, command: Authorized<CreateMapping>) -> Result<TenantMapping, RuntimeError> {
        let (permit, CreateMapping { tenant, issuer, claim }) = command.into_parts();
        if !self.issuers.iter().any(|known| known == issuer.as_str()) {
            let detail = "must be an issuer that the platform is configured to trust".to_owned();
            return Err(FieldError { pointer: "/issuer".to_owned(), detail }.into());
        }
        if tenant == TenantId::PLATFORM {
            return Err(TENANT_NOT_FOUND);
        }
        let mapping = NewMapping {
            id: MappingId::from_uuid(self.ids.uuid()),
            tenant,
            issuer: issuer.into_string(),
            claim: claim.into_string(),
        };
        let changed_by = self.changed_by(&permit, CreateMapping::EVENT);
        self.directory.create_mapping(mapping, &changed_by).await?.ok_or(TENANT_NOT_FOUND)
    }
}

#[async_trait]
impl UseCase<DeleteMapping> for TenantMappingService {
    async fn execute(&self, command: Authorized<DeleteMapping>) -> Result<TenantMapping, RuntimeError> {
        let DeleteMapping { tenant, id } = command.command();
        let changed_by = self.changed_by(command.permit(), DeleteMapping::EVENT);
        let deleted = self.directory.delete_mapping(*tenant, *id, &changed_by).await?;
        deleted.ok_or(RuntimeError::NotFound { target: "the mapping" })
    }
}
