//! The in-memory repository of glossaries.

use super::{InMemoryTx, Row};
use async_trait::async_trait;
use domain::glossary::GlossaryVersion;
use domain::ports::{GlossaryRepo, StoreError};

#[async_trait]
impl GlossaryRepo for InMemoryTx {
    async fn current_version(&mut self) -> Result<i64, StoreError> {
        let in_tenant = self.tenant_filter();
        Ok(self.read(|s| {
            let versions = s.glossary_versions.iter().filter(|row| in_tenant(row));
            versions.map(|row| row.value.version).max().unwrap_or_default()
        }))
    }

    async fn get(&mut self, version: Option<i64>) -> Result<Option<GlossaryVersion>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_wanted =
            |row: &&Row<GlossaryVersion>| in_tenant(row) && version.is_none_or(|version| row.value.version == version);
        Ok(self.read(|s| {
            let versions = s.glossary_versions.iter().filter(is_wanted);
            versions.max_by_key(|row| row.value.version).map(|row| row.value.clone())
        }))
    }

    async fn insert(&mut self, version: &GlossaryVersion) -> Result<bool, StoreError> {
        let (in_tenant, tenant) = (self.tenant_filter(), self.tenant());
        let rows = &mut self.write().await?.glossary_versions;
        if rows.iter().any(|row| in_tenant(row) && row.value.version == version.version) {
            return Ok(false);
        }
        rows.push(Row { tenant, user: None, value: version.clone() });
        rows.retain(|row| !in_tenant(row) || row.value.version > version.version - GlossaryVersion::KEPT);
        Ok(true)
    }
}
