//! What tenants use, in memory.

use super::MemoryTx;
use crate::ports::{StoreError, UsageRepo};
use crate::run::Usage;
use crate::tenant::Holdings;
use crate::time::Date;
use async_trait::async_trait;

#[async_trait]
impl UsageRepo for MemoryTx {
    async fn kept(&mut self) -> Result<Holdings, StoreError> {
        let sees = self.sees();
        Ok(self.read(|s| {
            let sizes = s.documents.iter().filter(|r| sees(r)).map(|r| r.value.file_size_bytes);
            sizes.fold(Holdings::default(), |kept, size| Holdings {
                documents: kept.documents + 1,
                bytes: kept.bytes + u64::try_from(size).unwrap_or_default(),
            })
        }))
    }

    async fn tokens_on(&mut self, day: Date) -> Result<u64, StoreError> {
        let key = (self.tenant(), day);
        Ok(self.read(|s| s.spent.get(&key).copied().unwrap_or_default()))
    }

    async fn add_tokens(&mut self, day: Date, used: Usage) -> Result<(), StoreError> {
        let key = (self.tenant(), day);
        let used = u64::from(used.input_tokens) + u64::from(used.output_tokens);
        *self.write().await?.spent.entry(key).or_default() += used;
        Ok(())
    }
}
