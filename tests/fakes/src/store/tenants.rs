//! The in-memory directory of tenants.

use super::{MemoryStore, State, page_of};
use async_trait::async_trait;
use domain::access_token::TenantAccessToken;
use domain::audit::{AuditRecord, Changed, ResultStatus};
use domain::ids::{MappingId, TenantId, UserId};
use domain::mapping::{NewMapping, TenantMapping};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{Directory, NewTenant, StoreError, TenantPatch};
use domain::role::Resource;
use domain::tenant::{SettingsVersion, Tenant, TenantSettings};
use domain::tenant_change::{self, ChangeRow, ChangedBy};
use domain::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

impl MemoryStore {
    /// Sets a tenant's settings, which the database stores in `tenants.config`; `false` if the tenant does not exist.
    ///
    /// # Errors
    /// If another writer does not release the lock in time.
    pub async fn set_settings(&self, id: TenantId, settings: TenantSettings) -> Result<bool, StoreError> {
        let _writer = self.lock().await?;
        let mut state = self.committed();
        let Some(tenant) = state.tenants.iter_mut().find(|t| t.id == id) else { return Ok(false) };
        if tenant.settings != settings {
            tenant.settings = settings;
            tenant.settings_version += 1;
            let version = version_of(tenant, None, self.clock.now());
            state.versions.push((id, version));
        }
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
        ensure_free(&state.tenants, |t| t.name == name, "the tenant's name")?;
        ensure_free(&state.tenants, |t| t.slug == slug, "the tenant's slug")?;
        let made = Tenant {
            id,
            name,
            slug,
            settings: TenantSettings::default(),
            settings_version: 1,
            is_active: true,
            created_at: now,
            updated_at: now,
        };
        state.tenants.push(made.clone());
        state.versions.push((id, version_of(&made, None, now)));
        Ok(made)
    }

    async fn update_tenant(
        &self,
        id: TenantId,
        patch: TenantPatch,
        by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError> {
        let _writer = self.lock().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        ensure_recordable(&state, by)?;
        ensure_free(&state.tenants, |t| t.id != id && Some(&t.name) == patch.name.as_ref(), "the tenant's name")?;
        let Some(tenant) = state.tenants.iter_mut().find(|t| t.id == id) else { return Ok(None) };
        let before = tenant.clone();
        tenant.name = patch.name.unwrap_or_else(|| tenant.name.clone());
        tenant.is_active = patch.is_active.unwrap_or(tenant.is_active);
        tenant.updated_at = now;
        let after = tenant.clone();
        let facts = tenant_change::of_tenant(&Changed { before, after: after.clone() });
        record_change(&mut state, by, id, Resource::Tenants, id.as_uuid(), facts);
        Ok(Some(after))
    }

    async fn configure(
        &self,
        id: TenantId,
        settings: &TenantSettings,
        expected: i64,
        by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError> {
        let _writer = self.lock().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        ensure_recordable(&state, by)?;
        let current = |t: &&mut Tenant| t.id == id && t.settings_version == expected;
        let Some(tenant) = state.tenants.iter_mut().find(current) else { return Ok(None) };
        let before = tenant.clone();
        if tenant.settings != *settings {
            tenant.settings = settings.clone();
            tenant.settings_version += 1;
            tenant.updated_at = now;
        }
        let after = tenant.clone();
        if after.settings_version != before.settings_version {
            state.versions.push((id, version_of(&after, by.user, now)));
        }
        let facts = tenant_change::of_tenant(&Changed { before, after: after.clone() });
        record_change(&mut state, by, id, Resource::TenantSettings, id.as_uuid(), facts);
        Ok(Some(after))
    }

    async fn settings_versions(&self, id: TenantId, page: &PageRequest) -> Result<Page<SettingsVersion>, StoreError> {
        let state = self.committed();
        let of_tenant = state.versions.iter().filter(|(tenant, _)| *tenant == id).map(|(_, version)| version.clone());
        let key =
            |v: &SettingsVersion| PageKey { at: v.changed_at, id: Uuid::from_u128(v.version.unsigned_abs().into()) };
        Ok(page_of(of_tenant.collect(), page, key))
    }

    async fn mapped_tenant(&self, issuer: &str, claim: &str) -> Result<Option<Tenant>, StoreError> {
        let state = self.committed();
        let mapping = state.mappings.iter().find(|m| m.issuer == issuer && m.claim == claim);
        Ok(mapping.and_then(|m| state.tenants.iter().find(|t| t.id == m.tenant)).cloned())
    }

    async fn list_mappings(&self, tenant: TenantId, page: &PageRequest) -> Result<Page<TenantMapping>, StoreError> {
        let rows = self.committed().mappings.iter().filter(|m| m.tenant == tenant).cloned().collect();
        Ok(page_of(rows, page, |row: &TenantMapping| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn create_mapping(&self, mapping: NewMapping, by: &ChangedBy) -> Result<Option<TenantMapping>, StoreError> {
        let _writer = self.lock().await?;
        let created_at = self.clock.now();
        let NewMapping { id, tenant, issuer, claim } = mapping;
        let mut state = self.committed();
        ensure_recordable(&state, by)?;
        if !state.tenants.iter().any(|t| t.id == tenant) {
            return Ok(None);
        }
        if state.mappings.iter().any(|m| m.issuer == issuer && m.claim == claim) {
            return Err(StoreError::Conflict { what: "a mapping of this issuer and claim" });
        }
        let made = TenantMapping { id, tenant, issuer, claim, created_at };
        state.mappings.push(made.clone());
        let mapping_id = id.as_uuid();
        let facts = tenant_change::of_new_mapping(&made);
        record_change(&mut state, by, tenant, Resource::TenantMappings, mapping_id, facts);
        Ok(Some(made))
    }

    async fn delete_mapping(
        &self,
        tenant: TenantId,
        id: MappingId,
        by: &ChangedBy,
    ) -> Result<Option<TenantMapping>, StoreError> {
        let _writer = self.lock().await?;
        let mut state = self.committed();
        ensure_recordable(&state, by)?;
        let at = state.mappings.iter().position(|m| m.tenant == tenant && m.id == id);
        let deleted = at.map(|at| state.mappings.remove(at));
        if let Some(deleted) = &deleted {
            let mapping_id = id.as_uuid();
            record_change(
                &mut state,
                by,
                tenant,
                Resource::TenantMappings,
                mapping_id,
                tenant_change::of_deleted_mapping(deleted),
            );
        }
        Ok(deleted)
    }

    async fn access_token(&self, hash: &str) -> Result<Option<TenantAccessToken>, StoreError> {
        let state = self.committed();
        let row = state.access_tokens.get(hash);
        Ok(row.map(|row| TenantAccessToken { tenant: row.tenant, token: row.value.clone() }))
    }
}

fn version_of(tenant: &Tenant, changed_by: Option<UserId>, changed_at: Timestamp) -> SettingsVersion {
    SettingsVersion { version: tenant.settings_version, settings: tenant.settings.clone(), changed_by, changed_at }
}

fn ensure_free(tenants: &[Tenant], takes: impl Fn(&Tenant) -> bool, what: &'static str) -> Result<(), StoreError> {
    if tenants.iter().any(takes) { Err(StoreError::Conflict { what }) } else { Ok(()) }
}

/// Checks, before anything changes, that the audit row of a change by a platform administrator can be inserted.
fn ensure_recordable(state: &State, by: &ChangedBy) -> Result<(), StoreError> {
    let is_taken = |row: &ChangeRow| state.audit.iter().any(|known| known.id == row.id);
    if by.row.as_ref().is_some_and(is_taken) { Err(StoreError::Conflict { what: "the audit row" }) } else { Ok(()) }
}

fn record_change(state: &mut State, by: &ChangedBy, tenant: TenantId, resource: Resource, id: Uuid, facts: Value) {
    let Some(row) = &by.row else { return };
    state.audit.push(AuditRecord {
        id: row.id,
        tenant_id: tenant,
        user_id: by.user,
        session_id: None,
        event_type: row.event.as_str().to_owned(),
        resource_type: Some(resource.to_string()),
        resource_id: Some(id),
        model: None,
        tools_used: Vec::new(),
        request_hash: None,
        result_status: Some(ResultStatus::Success.to_string()),
        latency_ms: None,
        correlation_id: row.correlation.as_uuid(),
        request_id: Some(row.request.clone()),
        phase: "event".to_owned(),
        metadata: tenant_change::from_outside(facts),
        created_at: row.at,
    });
}
