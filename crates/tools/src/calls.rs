//! Records the model calls of a unit of work (a tool call, an ingestion attempt) as they end, so that they reach the
//! usage ledger even if the work fails, is cancelled, or continues without the model.

use domain::ids::ModelCallId;
use domain::ledger::{CallOrigin, LedgerEntry};
use domain::model::{CallUsage, EmbedRequest, EmbedResponse, ModelError, RerankRequest, RerankScores};
use domain::model_call::{CallStatus, ModelCall, ModelOperation, ServedBy};
use domain::ports::{Embedder, IdGen, Reranker};
use domain::privacy::PatternCounts;
use domain::time::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// The model calls of one unit of work. Clones share the same record.
#[derive(Clone, Debug, Default)]
pub struct CallRecorder {
    calls: Arc<Mutex<Vec<ModelCall>>>,
}

impl CallRecorder {
    fn calls(&self) -> MutexGuard<'_, Vec<ModelCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Embeds and records the call.
    ///
    /// # Errors
    /// When the model call fails.
    pub async fn embed(&self, embedder: &dyn Embedder, request: EmbedRequest) -> Result<EmbedResponse, ModelError> {
        let call = self.begin(ModelOperation::Embeddings);
        let result = embedder.embed(request).await;
        call.end(result.as_ref().map(|embedded| &embedded.usage));
        result
    }

    /// Reranks and records the call.
    ///
    /// # Errors
    /// When the model call fails.
    pub async fn rerank(&self, reranker: &dyn Reranker, request: RerankRequest) -> Result<RerankScores, ModelError> {
        let call = self.begin(ModelOperation::Rerank);
        let result = reranker.rerank(request).await;
        call.end(result.as_ref().map(|reranked| &reranked.usage));
        result
    }

    fn begin(&self, operation: ModelOperation) -> CallInProgress {
        CallInProgress { recorder: self.clone(), operation, started: Instant::now(), ended: false }
    }

    /// Drains the calls recorded so far and returns them as ledger entries with new ids. Each call is returned only
    /// once.
    #[must_use]
    pub fn drain_ledger_entries(&self, ids: &dyn IdGen, origin: CallOrigin, at: Timestamp) -> Vec<LedgerEntry> {
        let calls = std::mem::take(&mut *self.calls());
        let entry = |call| LedgerEntry {
            id: ModelCallId::from_uuid(ids.uuid()),
            ended_at: at,
            origin,
            tier: None,
            // Token budgets apply to generated answers only; costs are counted in any case.
            counts_towards_budget: false,
            call,
        };
        calls.into_iter().map(entry).collect()
    }

    /// How many values the privacy rules replaced, by pattern: the maximum over the recorded calls.
    #[must_use]
    pub fn replacement_counts(&self) -> PatternCounts {
        let mut most = PatternCounts::default();
        self.calls().iter().for_each(|call| most.merge_max(&call.served_by.replacement_counts));
        most
    }

    /// Sums the recorded calls, which must be of the same operation, into one; `None` if there are none. `served_by` is
    /// taken from the last call, with the failed attempts of all; the status is that of the last call that was not ok.
    #[must_use]
    pub fn total(&self) -> Option<ModelCall> {
        let calls = self.calls();
        let mut sum = calls.first()?.clone();
        for call in calls.iter().skip(1) {
            sum.usage += call.usage;
            sum.cost += call.cost;
            sum.duration += call.duration;
            sum.tokens_estimated |= call.tokens_estimated;
            let fallback = sum.served_by.fallback | call.served_by.fallback;
            let mut failed = std::mem::take(&mut sum.served_by.failed_attempts);
            for attempt in &call.served_by.failed_attempts {
                if !failed.contains(attempt) {
                    failed.push(attempt.clone());
                }
            }
            sum.served_by = ServedBy { fallback, failed_attempts: failed, ..call.served_by.clone() };
            if call.status != CallStatus::Ok {
                sum.status = call.status;
                sum.error.clone_from(&call.error);
            }
        }
        Some(sum)
    }
}

/// A call in progress. Dropping it records the call as cancelled.
struct CallInProgress {
    recorder: CallRecorder,
    operation: ModelOperation,
    started: Instant,
    ended: bool,
}

impl CallInProgress {
    fn end(mut self, result: Result<&CallUsage, &ModelError>) {
        self.ended = true;
        let duration = self.started.elapsed();
        let call = match result {
            Ok(spent) => ModelCall::succeeded(self.operation, spent, duration),
            // No request was sent to any model, so there is nothing to record.
            Err(ModelError::NotConfigured { .. }) => return,
            Err(error) => ModelCall::failed(self.operation, error, duration),
        };
        self.recorder.calls().push(call);
    }
}

impl Drop for CallInProgress {
    fn drop(&mut self) {
        if !self.ended {
            self.recorder.calls().push(ModelCall::cancelled(self.operation, self.started.elapsed()));
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

    /// An embedder that answers, fails or hangs, depending on the text.
    struct ScriptedEmbedder;

    #[async_trait::async_trait]
    impl Embedder for ScriptedEmbedder {
        fn model(&self) -> EmbeddingModel {
            EmbeddingModel { name: "m".into(), dimension: 1, max_tokens: 256 }
        }

        async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, ModelError> {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let backend = "gpu".to_owned();
            match request.texts[0].as_str() {
                "fails" => Err(ModelError::Timeout { backend, waited_s: 1 }),
                "nobody" => Err(ModelError::NotConfigured { requested: "all".to_owned() }),
                "hangs" => std::future::pending().await,
                text => {
                    let failed_attempts = vec![FailedAttempt { backend: "first".to_owned(), error: text.to_owned() }];
                    let served_by = ServedBy { backend, failed_attempts, ..ServedBy::default() };
                    let token_usage = TokenUsage { input_tokens: 3, output_tokens: 0 };
                    let usage = CallUsage { served_by, token_usage, tokens_estimated: false, cost: MicroCost(2) };
                    Ok(EmbedResponse { vectors: vec![vec![1.0]], usage })
                }
            }
        }

        fn count_tokens(&self, _: &str) -> usize {
            0
        }
    }

    async fn embed(recorder: &CallRecorder, text: &str) -> bool {
        let caller = ModelCaller::without_privacy_rules(TenantId::PLATFORM, Classification::Public);
        let (purpose, classification) = (EmbedPurpose::Query, Classification::Public);
        let request = EmbedRequest { caller, purpose, texts: vec![text.to_owned()], classification };
        recorder.embed(&ScriptedEmbedder, request).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_recorded_however_they_end() {
        let recorder = CallRecorder::default();
        assert!(embed(&recorder, "a").await);
        assert!(!embed(&recorder, "fails").await && !embed(&recorder, "nobody").await);
        assert!(tokio::time::timeout(Duration::from_secs(1), embed(&recorder, "hangs")).await.is_err());
        let ids = SequentialIds::default();
        let recorded = recorder.drain_ledger_entries(&ids, CallOrigin::default(), Timestamp::UNIX_EPOCH);
        let statuses: Vec<_> = recorded.iter().map(|entry| (entry.call.status, entry.call.error.as_deref())).collect();
        assert_eq!(
            statuses,
            [(CallStatus::Ok, None), (CallStatus::Error, Some("timeout")), (CallStatus::Cancelled, None)]
        );
        assert_eq!(recorded[0].call.duration, Duration::from_millis(20));
        assert!(recorded.iter().all(|entry| !entry.counts_towards_budget) && recorded[0].id != recorded[1].id);
        assert!(
            recorder.drain_ledger_entries(&ids, CallOrigin::default(), Timestamp::UNIX_EPOCH).is_empty(),
            "each call is returned once"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn total_sums_the_recorded_calls() {
        let recorder = CallRecorder::default();
        assert_eq!(recorder.total(), None);
        for text in ["a", "a", "b", "fails"] {
            embed(&recorder, text).await;
        }
        let sum = recorder.total().expect("calls");
        assert_eq!((sum.usage.input_tokens, sum.cost, sum.duration), (9, MicroCost(6), Duration::from_millis(80)));
        assert_eq!((sum.status, sum.error.as_deref()), (CallStatus::Error, Some("timeout")));
        let failed_errors: Vec<_> =
            sum.served_by.failed_attempts.iter().map(|attempt| attempt.error.as_str()).collect();
        assert_eq!((sum.served_by.backend.as_str(), failed_errors), ("gpu", vec!["a", "b"]));
    }
}
