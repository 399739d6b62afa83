//! The use cases that policy answers from what it knows itself: an account, and what would be decided.

use crate::authn::{Authenticator, scope_of_colleague};
use crate::decision::{self, Question};
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::command::{ReadAccount, SimulateDecision, Target};
use domain::credential::Credential;
use domain::decision::Decision;
use domain::ports::Store;
use domain::user::Account;
use runtime::error::RuntimeError;
use runtime::use_case::UseCase;
use std::sync::Arc;

pub(super) struct AccessQueries {
    authn: Arc<Authenticator>,
    store: Arc<dyn Store>,
}

impl AccessQueries {
    pub(super) fn new(authn: Arc<Authenticator>, store: Arc<dyn Store>) -> Self {
        Self { authn, store }
    }
}

#[async_trait]
impl UseCase<ReadAccount> for AccessQueries {
    async fn execute(&self, command: Authorized<ReadAccount>) -> Result<Account, RuntimeError> {
        let gone = || RuntimeError::NotFound { what: "the user" };
        let user = command.scope().user().ok_or_else(gone)?;
        let mut tx = self.store.begin(command.scope()).await?;
        let member = tx.users().membership(user).await?.ok_or_else(gone)?;
        let entitlements = member.entitlements(&self.authn.grants_of(&member.user));
        Ok(Account { user: member.user, entitlements, settings: member.settings })
    }
}

/// Asks the deciding function on a colleague's behalf, in a transaction that commits nothing.
#[async_trait]
impl UseCase<SimulateDecision> for AccessQueries {
    async fn execute(&self, command: Authorized<SimulateDecision>) -> Result<Decision, RuntimeError> {
        let SimulateDecision { user, resource, operation, resource_id } = *command.command();
        let question = Question {
            resource,
            operation,
            target: resource_id.and_then(|id| Target::of(resource, id)),
            reclassify: None,
            documents: Vec::new(),
            credential: &Credential::interactive(),
        };
        let mut tx = self.store.begin(&scope_of_colleague(command.scope(), user)).await?;
        Ok(decision::decide(&mut *tx, user, |user| self.authn.grants_of(user), &question).await?)
    }
}
