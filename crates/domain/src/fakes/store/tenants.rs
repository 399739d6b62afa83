//! The directory of tenants in memory.

use super::{MemoryStore, page_of};
use crate::ids::TenantId;
use crate::page::{Page, PageKey, PageRequest};
use crate::ports::{Directory, NewTenant, StoreError, TenantPatch};
use crate::tenant::{Tenant, TenantSettings};
use async_trait::async_trait;

impl MemoryStore {
    /// Sets a tenant's settings, which in the database lie in `tenants.config`; `false` where there is no such tenant.
    ///
    /// # Errors
    /// Where another writer does not end.
    pub async fn set_settings(&self, id: TenantId, settings: TenantSettings) -> Result<bool, StoreError> {
        let _writer = self.lock().await?;
        let mut state = self.committed();
        let Some(tenant) = state.tenants.iter_mut().find(|t| t.id == id) else { return Ok(false) };
        tenant.settings = settings;
        Ok(true)
    }
}

#[async_trait]
impl Directory for MemoryStore {
    async fn tenant(&self, id_or_slug: &str) -> Result<Option<Tenant>, StoreError> {
        let id = id_or_slug.parse::<TenantId>().ok();
        Ok(self.committed().tenants.iter().find(|t| t.slug == id_or_slug || Some(t.id) == id).cloned())
    }

    async fn list_tenants(&self, page: &PageRequest) -> Result<Page<Tenant>, StoreError> {
        let rows = self.committed().tenants.clone();
        Ok(page_of(rows, page, |row| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn create_tenant(&self, tenant: NewTenant) -> Result<Tenant, StoreError> {
        let _writer = self.lock().await?;
        let now = self.clock.now();
        let NewTenant { id, name, slug } = tenant;
        let mut state = self.committed();
        free(&state.tenants, |t| t.name == name, "the tenant's name")?;
        free(&state.tenants, |t| t.slug == slug, "the tenant's slug")?;
        let made = Tenant {
            id,
            name,
            slug,
            settings: TenantSettings::default(),
            is_active: true,
            created_at: now,
            updated_at: now,
        };
        state.tenants.push(made.clone());
        Ok(made)
    }

    async fn update_tenant(&self, id: TenantId, patch: TenantPatch) -> Result<Option<Tenant>, StoreError> {
        let _writer = self.lock().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        free(&state.tenants, |t| t.id != id && Some(&t.name) == patch.name.as_ref(), "the tenant's name")?;
        let Some(tenant) = state.tenants.iter_mut().find(|t| t.id == id) else { return Ok(None) };
        tenant.name = patch.name.unwrap_or_else(|| tenant.name.clone());
        tenant.is_active = patch.is_active.unwrap_or(tenant.is_active);
        tenant.updated_at = now;
        Ok(Some(tenant.clone()))
    }
}

fn free(tenants: &[Tenant], takes: impl Fn(&Tenant) -> bool, what: &'static str) -> Result<(), StoreError> {
    if tenants.iter().any(takes) { Err(StoreError::Conflict { what }) } else { Ok(()) }
}
