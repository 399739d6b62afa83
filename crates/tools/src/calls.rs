//! The calls to models that a piece of work makes, noted as they end, so that whoever ends the work can put them on
//! record: also when the work fails, is stopped in the middle, or goes on without the model.

use domain::ids::ModelCallId;
use domain::ledger::{CallContext, LedgerEntry};
use domain::model::{CallUsage, EmbedRequest, EmbedResponse, ModelError, RerankRequest, Reranked};
use domain::model_call::{CallStatus, ModelCall, ModelOperation, ServedBy};
use domain::ports::{Embedder, IdGen, Reranker};
use domain::time::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// The calls of one piece of work. Clones note on the same sheet.
#[derive(Clone, Debug, Default)]
pub struct CallSheet {
    calls: Arc<Mutex<Vec<ModelCall>>>,
}

impl CallSheet {
    fn calls(&self) -> MutexGuard<'_, Vec<ModelCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Embeds, and notes it.
    ///
    /// # Errors
    /// Those of the model.
    pub async fn embed(&self, embedder: &dyn Embedder, request: EmbedRequest) -> Result<EmbedResponse, ModelError> {
        let call = self.begin(ModelOperation::Embeddings);
        let embedded = embedder.embed(request).await;
        call.end(embedded.as_ref().map(|embedded| &embedded.spent));
        embedded
    }

    /// Reranks, and notes it.
    ///
    /// # Errors
    /// Those of the model.
    pub async fn rerank(&self, reranker: &dyn Reranker, request: RerankRequest) -> Result<Reranked, ModelError> {
        let call = self.begin(ModelOperation::Rerank);
        let reranked = reranker.rerank(request).await;
        call.end(reranked.as_ref().map(|reranked| &reranked.spent));
        reranked
    }

    fn begin(&self, operation: ModelOperation) -> UnderWay {
        UnderWay { sheet: self.clone(), operation, began: Instant::now(), ended: false }
    }

    /// What is noted so far, for the ledger. Taken once: what is put on record twice has one id only then.
    #[must_use]
    pub fn take(&self, ids: &dyn IdGen, (context, at): (CallContext, Timestamp)) -> Vec<LedgerEntry> {
        let calls = std::mem::take(&mut *self.calls());
        let entry = |call| LedgerEntry {
            id: ModelCallId::from_uuid(ids.uuid()),
            at,
            context,
            tier: None,
            // Budgets of tokens are for what is written to people; the cost counts all the same.
            metered: false,
            call,
        };
        calls.into_iter().map(entry).collect()
    }

    /// All calls so far as one: for work that makes one after the other of the same kind. What served is what served
    /// last; it failed if any did.
    #[must_use]
    pub fn summed(&self) -> Option<ModelCall> {
        let calls = self.calls();
        let mut sum = calls.first()?.clone();
        for call in calls.iter().skip(1) {
            sum.usage += call.usage;
            sum.cost += call.cost;
            sum.took += call.took;
            sum.estimated |= call.estimated;
            let fallback = sum.served_by.fallback | call.served_by.fallback;
            let mut failed = std::mem::take(&mut sum.served_by.failed);
            for attempt in &call.served_by.failed {
                if !failed.contains(attempt) {
                    failed.push(attempt.clone());
                }
            }
            sum.served_by = ServedBy { fallback, failed, ..call.served_by.clone() };
            if call.status != CallStatus::Ok {
                sum.status = call.status;
                sum.error.clone_from(&call.error);
            }
        }
        Some(sum)
    }
}

/// A call that has not ended. Dropping it notes that nobody waited for its end.
struct UnderWay {
    sheet: CallSheet,
    operation: ModelOperation,
    began: Instant,
    ended: bool,
}

impl UnderWay {
    fn end(mut self, how: Result<&CallUsage, &ModelError>) {
        self.ended = true;
        let took = self.began.elapsed();
        let call = match how {
            Ok(spent) => ModelCall::answered(self.operation, spent, took),
            // Nobody was asked.
            Err(ModelError::NotConfigured { .. }) => return,
            Err(error) => ModelCall::failed(self.operation, error, took),
        };
        self.sheet.calls().push(call);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.ended {
            self.sheet.calls().push(ModelCall::cancelled(self.operation, self.began.elapsed()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::TenantId;
    use domain::model::{EmbedPurpose, EmbeddingModel};
    use domain::model_call::{FailedAttempt, MicroCost, ModelCaller};
    use domain::role::Classification;
    use domain::run::TokenUsage;
    use fakes::SequentialIds;
    use std::time::Duration;

    /// Answers, fails or hangs, by the text.
    struct Model;

    #[async_trait::async_trait]
    impl Embedder for Model {
        fn model(&self) -> EmbeddingModel {
            EmbeddingModel { name: "m".into(), dimension: 1, max_tokens: 256 }
        }

        async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, ModelError> {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let backend = "there".to_owned();
            match request.texts[0].as_str() {
                "fails" => Err(ModelError::Timeout { backend, waited_s: 1 }),
                "nobody" => Err(ModelError::NotConfigured { wanted: "all".to_owned() }),
                "hangs" => std::future::pending().await,
                text => {
                    let failed = vec![FailedAttempt { backend: "first".to_owned(), error: text.to_owned() }];
                    let served_by = ServedBy { backend, failed, ..ServedBy::default() };
                    let usage = TokenUsage { input_tokens: 3, output_tokens: 0 };
                    let spent = CallUsage { served_by, usage, estimated: false, cost: MicroCost(2) };
                    Ok(EmbedResponse { vectors: vec![vec![1.0]], spent })
                }
            }
        }

        fn count_tokens(&self, _: &str) -> usize {
            0
        }
    }

    async fn embed(sheet: &CallSheet, text: &str) -> bool {
        let caller = ModelCaller { tenant: TenantId::PLATFORM, user: None, cloud_limit: Classification::Public };
        let (purpose, classification) = (EmbedPurpose::Query, Classification::Public);
        let request = EmbedRequest { caller, purpose, texts: vec![text.to_owned()], classification };
        sheet.embed(&Model, request).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_noted_however_they_end() {
        let sheet = CallSheet::default();
        assert!(embed(&sheet, "a").await);
        assert!(!embed(&sheet, "fails").await && !embed(&sheet, "nobody").await);
        assert!(tokio::time::timeout(Duration::from_secs(1), embed(&sheet, "hangs")).await.is_err());
        let ids = SequentialIds::default();
        let noted = sheet.take(&ids, (CallContext::default(), Timestamp::UNIX_EPOCH));
        let ends: Vec<_> = noted.iter().map(|entry| (entry.call.status, entry.call.error.as_deref())).collect();
        assert_eq!(ends, [(CallStatus::Ok, None), (CallStatus::Error, Some("timeout")), (CallStatus::Cancelled, None)]);
        assert_eq!(noted[0].call.took, Duration::from_millis(20));
        assert!(noted.iter().all(|entry| !entry.metered) && noted[0].id != noted[1].id);
        assert!(sheet.take(&ids, (CallContext::default(), Timestamp::UNIX_EPOCH)).is_empty(), "taken once");
    }

    #[tokio::test(start_paused = true)]
    async fn batches_are_summed() {
        let sheet = CallSheet::default();
        assert_eq!(sheet.summed(), None);
        for text in ["a", "a", "b", "fails"] {
            embed(&sheet, text).await;
        }
        let sum = sheet.summed().expect("calls");
        assert_eq!((sum.usage.input_tokens, sum.cost, sum.took), (9, MicroCost(6), Duration::from_millis(80)));
        assert_eq!((sum.status, sum.error.as_deref()), (CallStatus::Error, Some("timeout")));
        let tried: Vec<_> = sum.served_by.failed.iter().map(|attempt| attempt.error.as_str()).collect();
        assert_eq!((sum.served_by.backend.as_str(), tried), ("there", vec!["a", "b"]));
    }
}
