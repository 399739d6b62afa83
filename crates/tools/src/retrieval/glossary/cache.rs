//! The glossaries of tenants, kept after they were read.

use super::Glossary;
use domain::ids::TenantId;
use domain::ports::{StoreError, TenantTx};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of tenants whose glossaries are kept. Beyond it, all are read again.
const MAX_TENANTS: usize = 256;

/// Keeps the glossaries of tenants that have their own, each with its version. A change takes effect with the next
/// search.
#[derive(Default)]
pub struct GlossaryCache {
    by_tenant: Mutex<HashMap<TenantId, CachedGlossary>>,
}

struct CachedGlossary {
    version: i64,
    glossary: Arc<Glossary>,
}

impl GlossaryCache {
    /// The glossary of the transaction's tenant: the built-in one, with the tenant's own concepts if it has some.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn get(&self, tx: &mut dyn TenantTx, tenant: TenantId) -> Result<Arc<Glossary>, StoreError> {
        let version = tx.glossary().current_version().await?;
        if let Some(cached) = self.cached(tenant, version) {
            return Ok(cached);
        }
        let Some(stored) = tx.glossary().get(None).await? else { return Ok(Arc::clone(Glossary::built_in())) };
        let glossary = Arc::new(Glossary::with_own(stored.concepts.as_slice()));
        let mut by_tenant = self.lock();
        if by_tenant.len() >= MAX_TENANTS && !by_tenant.contains_key(&tenant) {
            by_tenant.clear();
        }
        by_tenant.insert(tenant, CachedGlossary { version: stored.version, glossary: Arc::clone(&glossary) });
        Ok(glossary)
    }

    fn cached(&self, tenant: TenantId, version: i64) -> Option<Arc<Glossary>> {
        if version == 0 {
            return Some(Arc::clone(Glossary::built_in()));
        }
        let by_tenant = self.lock();
        let cached = by_tenant.get(&tenant).filter(|cached| cached.version == version)?;
        Some(Arc::clone(&cached.glossary))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, CachedGlossary>> {
        self.by_tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
