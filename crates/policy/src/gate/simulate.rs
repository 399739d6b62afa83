//! What would be decided: the deciding function asked on a colleague's behalf, in a transaction that commits nothing.

use super::PolicyGate;
use crate::authn::scope_of_colleague;
use crate::decision::{self, Question};
use domain::authorized::Authorized;
use domain::command::{SimulateDecision, Target};
use domain::credential::Credential;
use domain::decision::Decision;
use runtime::error::RuntimeError;

impl PolicyGate {
    pub(super) async fn simulate(&self, granted: &Authorized<SimulateDecision>) -> Result<Decision, RuntimeError> {
        let asked = granted.command();
        let question = Question {
            resource: asked.resource,
            operation: asked.operation,
            target: asked.resource_id.and_then(|id| Target::of(asked.resource, id)),
            reclassify: None,
            documents: &[],
            credential: &Credential::interactive(),
        };
        let mut tx = self.store.begin(&scope_of_colleague(granted.scope(), asked.user)).await?;
        Ok(decision::decide(&mut *tx, asked.user, |user| self.grants_of(user), &question).await?)
    }
}
