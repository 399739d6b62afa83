//! An export of the audit log goes on for as long as its reader reads. Whether they still may is asked before each page.

use super::PolicyGate;
use super::decide::told;
use crate::caller::Caller;
use crate::decision::Question;
use crate::error::GateError;
use domain::audit::sealed::SealedPages;
use domain::command::ExportAudit;
use domain::decision::Verdict;
use domain::ids::AuditId;
use domain::ports::StoreError;
use futures::{StreamExt as _, stream};

impl PolicyGate {
    /// The same pages; from the second on each only if the decision is still yes. If not, that is recorded, and the export
    /// ends with an error.
    pub(super) fn decided_by_page(&self, by: &Caller, command: ExportAudit, pages: SealedPages) -> SealedPages {
        let (gate, by) = (self.clone(), by.clone());
        let decided = stream::try_unfold((pages, false), move |(mut pages, is_under_way)| {
            let (gate, by) = (gate.clone(), by.clone());
            async move {
                if is_under_way {
                    gate.decide_again(&by, command).await?;
                }
                Ok(pages.next().await.transpose()?.map(|page| (page, (pages, true))))
            }
        });
        decided.boxed()
    }

    async fn decide_again(&self, by: &Caller, command: ExportAudit) -> Result<(), StoreError> {
        let mut tx = self.store.begin(by.scope()).await?;
        let question = Question::of(&command, by.credential());
        let decision = self.decide(&mut *tx, by, &question).await?;
        if decision.verdict == Verdict::Allowed {
            return Ok(());
        }
        let id = AuditId::from_uuid(self.ids.uuid());
        tx.audit().event(id, &self.refusal(&command, &decision), self.clock.now()).await?;
        tx.commit().await?;
        tracing::info!(request_id = %by.scope().request(), decision_id = %id, "an export is not gone on with");
        let source: GateError = told(decision.verdict, id);
        Err(StoreError::Failed { doing: "to go on with an export", source: Box::new(source) })
    }
}
