//! Admits the automatic searches of a turn in the transaction of its command, so that their intents are committed with
//! the user's message.

use crate::run::input::{DocumentSearch, RunInput};
use crate::run::plant_readings::tag_search;
use crate::run::ports::RunPorts;
use crate::run::retrieve::automatic_search;
use domain::authorized::Permit;
use domain::ledger::CallOrigin;
use domain::ports::{StoreError, TenantTx};
use tools::gateway::CallAdmission;

/// Admissions of a turn's automatic searches; `None` for those that are not needed.
pub(crate) struct SearchAdmissions {
    pub documents: Option<CallAdmission>,
    pub tags: Option<CallAdmission>,
}

impl SearchAdmissions {
    /// Records the intents of the searches that the input needs, or their refusals; without an input, none.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn record(
        ports: &RunPorts,
        tx: &mut dyn TenantTx,
        permit: &Permit,
        input: Option<&RunInput>,
        origin: CallOrigin,
    ) -> Result<Self, StoreError> {
        // A language model rewrites a follow-up after the run has started. The query of its search is not known
        // before that, so the intent cannot be recorded here.
        let has_final_query = |search: &&DocumentSearch| !(search.is_follow_up && ports.model.is_language_model());
        let documents = match input.and_then(RunInput::search).filter(has_final_query) {
            Some(search) => {
                let call = automatic_search(search, &search.query, origin);
                Some(ports.tools.admit(tx, permit, call).await?)
            }
            None => None,
        };
        let tags = match input.and_then(RunInput::plant_data_query) {
            Some(question) => Some(ports.tools.admit(tx, permit, tag_search(question, origin)).await?),
            None => None,
        };
        Ok(Self { documents, tags })
    }
}
