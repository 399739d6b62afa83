//! The in-memory directory of tenants.

use super::{InMemoryStore, State, page_of};
use async_trait::async_trait;
use domain::access_token::TenantAccessToken;
use domain::audit::{AuditRecord, Change, ResultStatus};
use domain::ids::{MappingId, TenantId, UserId};
use domain::mapping::{NewMapping, TenantMapping};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{NewTenant, StoreError, TenantDirectory, TenantPatch};
use domain::role::Resource;
use domain::tenant::{SettingsVersion, Tenant, TenantSettings};
use domain::tenant_change::{self, ChangeAuditRow, ChangedBy};
use domain::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

impl InMemoryStore {
    /// Sets a tenant's settings, which the database stores in `tenants.config`; `false` if the tenant does not exist.
    ///
    /// # Errors
    /// If another writer does not release the lock in time.
    pub async fn set_settings(&self, id: TenantId, settings: TenantSettings) -> Result<bool, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let mut state = self.committed();
        let Some(tenant) = state.tenants.iter_mut().find(|t| t.id == id) else { return Ok(false) };
        if tenant.settings != settings {
            tenant.settings = settings;
            tenant.settings_version += 1;
            let version = settings_version(tenant, None, self.clock.now());
            state.settings_versions.push((id, version));
        }
        Ok(true)
    }
}

#[async_trait]
impl TenantDirectory for InMemoryStore {
    async fn tenant(&self, id_or_slug: &str) -> Result<Option<Tenant>, StoreError> {
        let id = id_or_slug.parse::<TenantId>().ok();
        Ok(self.committed().tenants.iter().find(|t| t.slug == id_or_slug || Some(t.id) == id).cloned())
    }

    async fn list_tenants(&self, page: &PageRequest) -> Result<Page<Tenant>, StoreError> {
        let rows = self.committed().tenants.clone();
        Ok(page_of(rows, page, |row| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn create_tenant(&self, tenant: NewTenant) -> Result<Tenant, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let now = self.clock.now();
        let NewTenant { id, name, slug } = tenant;
        let mut state = self.committed();
        ensure_unique(&state.tenants, |t| t.name == name, "A tenant with this name already exists.")?;
        ensure_unique(&state.tenants, |t| t.slug == slug, "A tenant with this slug already exists.")?;
        let created_tenant = Tenant {
            id,
            name,
            slug,
            settings: TenantSettings::default(),
            settings_version: 1,
            is_active: true,
            created_at: now,
            updated_at: now,
        };
        state.tenants.push(created_tenant.clone());
        state.settings_versions.push((id, settings_version(&created_tenant, None, now)));
        Ok(created_tenant)
    }

    async fn update_tenant(
        &self,
        id: TenantId,
        patch: TenantPatch,
        changed_by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        ensure_audit_row_is_new(&state, changed_by)?;
        ensure_unique(
            &state.tenants,
            |t| t.id != id && Some(&t.name) == patch.name.as_ref(),
            "A tenant with this name already exists.",
        )?;
        let Some(tenant) = state.tenants.iter_mut().find(|t| t.id == id) else { return Ok(None) };
        let before = tenant.clone();
        tenant.name = patch.name.unwrap_or_else(|| tenant.name.clone());
        tenant.is_active = patch.is_active.unwrap_or(tenant.is_active);
        tenant.updated_at = now;
        let after = tenant.clone();
        let metadata = tenant_change::tenant_change_metadata(&Change { before, after: after.clone() });
        record_change(&mut state, changed_by, id, Resource::Tenants, id.as_uuid(), metadata);
        Ok(Some(after))
    }

    async fn replace_settings(
        &self,
        id: TenantId,
        settings: &TenantSettings,
        expected: i64,
        changed_by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let now = self.clock.now();
        let mut state = self.committed();
        ensure_audit_row_is_new(&state, changed_by)?;
        let is_current = |t: &&mut Tenant| t.id == id && t.settings_version == expected;
        let Some(tenant) = state.tenants.iter_mut().find(is_current) else { return Ok(None) };
        let before = tenant.clone();
        if tenant.settings != *settings {
            tenant.settings = settings.clone();
            tenant.settings_version += 1;
            tenant.updated_at = now;
        }
        let after = tenant.clone();
        if after.settings_version != before.settings_version {
            state.settings_versions.push((id, settings_version(&after, changed_by.user, now)));
        }
        let metadata = tenant_change::tenant_change_metadata(&Change { before, after: after.clone() });
        record_change(&mut state, changed_by, id, Resource::TenantSettings, id.as_uuid(), metadata);
        Ok(Some(after))
    }

    async fn settings_versions(&self, id: TenantId, page: &PageRequest) -> Result<Page<SettingsVersion>, StoreError> {
        let state = self.committed();
        let versions =
            state.settings_versions.iter().filter(|(tenant, _)| *tenant == id).map(|(_, version)| version.clone());
        let key = |v: &SettingsVersion| PageKey {
            created_at: v.changed_at,
            id: Uuid::from_u128(v.version.unsigned_abs().into()),
        };
        Ok(page_of(versions.collect(), page, key))
    }

    async fn mapped_tenant(&self, issuer: &str, claim: &str) -> Result<Option<Tenant>, StoreError> {
        let state = self.committed();
        let mapping = state.mappings.iter().find(|m| m.issuer == issuer && m.claim == claim);
        Ok(mapping.and_then(|m| state.tenants.iter().find(|t| t.id == m.tenant)).cloned())
    }

    async fn list_mappings(&self, tenant: TenantId, page: &PageRequest) -> Result<Page<TenantMapping>, StoreError> {
        let rows = self.committed().mappings.iter().filter(|m| m.tenant == tenant).cloned().collect();
        Ok(page_of(rows, page, |row: &TenantMapping| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn create_mapping(
        &self,
        mapping: NewMapping,
        changed_by: &ChangedBy,
    ) -> Result<Option<TenantMapping>, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let created_at = self.clock.now();
        let NewMapping { id, tenant, issuer, claim } = mapping;
        let mut state = self.committed();
        ensure_audit_row_is_new(&state, changed_by)?;
        if !state.tenants.iter().any(|t| t.id == tenant) {
            return Ok(None);
        }
        if state.mappings.iter().any(|m| m.issuer == issuer && m.claim == claim) {
            return Err(StoreError::Conflict { reason: "A mapping of this issuer and claim already exists." });
        }
        let created_mapping = TenantMapping { id, tenant, issuer, claim, created_at };
        state.mappings.push(created_mapping.clone());
        let mapping_id = id.as_uuid();
        let metadata = tenant_change::new_mapping_metadata(&created_mapping);
        record_change(&mut state, changed_by, tenant, Resource::TenantMappings, mapping_id, metadata);
        Ok(Some(created_mapping))
    }

    async fn delete_mapping(
        &self,
        tenant: TenantId,
        id: MappingId,
        changed_by: &ChangedBy,
    ) -> Result<Option<TenantMapping>, StoreError> {
        let _writer = self.lock_for_writing().await?;
        let mut state = self.committed();
        ensure_audit_row_is_new(&state, changed_by)?;
        let index = state.mappings.iter().position(|m| m.tenant == tenant && m.id == id);
        let deleted_mapping = index.map(|index| state.mappings.remove(index));
        if let Some(deleted_mapping) = &deleted_mapping {
            let mapping_id = id.as_uuid();
            record_change(
                &mut state,
                changed_by,
                tenant,
                Resource::TenantMappings,
                mapping_id,
                tenant_change::deleted_mapping_metadata(deleted_mapping),
            );
        }
        Ok(deleted_mapping)
    }

    async fn access_token(&self, hash: &str) -> Result<Option<TenantAccessToken>, StoreError> {
        let state = self.committed();
        let row = state.access_tokens.get(hash);
        Ok(row.map(|row| TenantAccessToken { tenant: row.tenant, token: row.value.clone() }))
    }
}

fn settings_version(tenant: &Tenant, changed_by: Option<UserId>, changed_at: Timestamp) -> SettingsVersion {
    SettingsVersion { version: tenant.settings_version, settings: tenant.settings.clone(), changed_by, changed_at }
}

fn ensure_unique(
    tenants: &[Tenant],
    is_conflict: impl Fn(&Tenant) -> bool,
    reason: &'static str,
) -> Result<(), StoreError> {
    if tenants.iter().any(is_conflict) { Err(StoreError::Conflict { reason }) } else { Ok(()) }
}

/// Checks, before anything changes, that no audit row has the id of the new one. Only changes by a platform
/// administrator have such a row.
fn ensure_audit_row_is_new(state: &State, changed_by: &ChangedBy) -> Result<(), StoreError> {
    let is_taken = |row: &ChangeAuditRow| state.audit.iter().any(|existing| existing.id == row.id);
    if changed_by.audit_row.as_ref().is_some_and(is_taken) {
        Err(StoreError::Conflict { reason: "An audit row with this id already exists." })
    } else {
        Ok(())
    }
}

fn record_change(
    state: &mut State,
    changed_by: &ChangedBy,
    tenant: TenantId,
    resource: Resource,
    id: Uuid,
    metadata: Value,
) {
    let Some(row) = &changed_by.audit_row else { return };
    state.audit.push(AuditRecord {
        id: row.id,
        tenant_id: tenant,
        user_id: changed_by.user,
        session_id: None,
        conversation_id: None,
        event_type: row.event.as_str().to_owned(),
        resource_type: Some(resource.to_string()),
        resource_id: Some(id),
        model: None,
        tools_used: Vec::new(),
        request_hash: None,
        result_status: Some(ResultStatus::Success.to_string()),
        latency_ms: None,
        correlation_id: row.correlation_id.as_uuid(),
        request_id: Some(row.request_id.clone()),
        phase: "event".to_owned(),
        metadata: tenant_change::mark_as_platform_admin_change(metadata),
        created_at: row.at,
    });
}
