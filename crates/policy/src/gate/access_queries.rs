//! Use cases that this crate implements itself: reading the caller's account and simulating a decision.

use crate::authn::{Authenticator, simulation_scope};
use crate::decision::{self, AuthzRequest};
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

/// Use cases of the group `access`.
pub struct AccessQueries {
    authn: Arc<Authenticator>,
    store: Arc<dyn Store>,
}

impl AccessQueries {
    /// Creates the use cases. They read from `store`, and take configured grants from `authn`.
    #[must_use]
    pub fn new(authn: Arc<Authenticator>, store: Arc<dyn Store>) -> Self {
        Self { authn, store }
    }
}

#[async_trait]
impl UseCase<ReadAccount> for AccessQueries {
    async fn execute(&self, command: Authorized<ReadAccount>) -> Result<Account, RuntimeError> {
        let not_found = || RuntimeError::NotFound { target: "the user" };
        let user = command.scope().user().ok_or_else(not_found)?;
        let mut tx = command.begin(&*self.store).await?;
        let member = tx.users().membership(user).await?.ok_or_else(not_found)?;
        let plant_mode = tx.plant_mode().get().await?.mode;
        tx.defer_commit();
        let entitlements = member.entitlements(&self.authn.configured_grants_of(&member.user));
        Ok(Account { user: member.user, entitlements, settings: member.settings, plant_mode })
    }
}

/// Simulates a decision for another user, in a transaction that is never committed.
#[async_trait]
impl UseCase<SimulateDecision> for AccessQueries {
    async fn execute(&self, command: Authorized<SimulateDecision>) -> Result<Decision, RuntimeError> {
        let SimulateDecision { user, resource, operation, resource_id } = *command.command();
        let authz_request = AuthzRequest {
            resource,
            operation,
            target: resource_id.and_then(|id| Target::from_resource(resource, id)),
            new_classification: None,
            referenced_documents: Vec::new(),
            credential: &Credential::interactive(),
        };
        let mut tx = self.store.begin(&simulation_scope(command.scope(), user)).await?;
        let member = tx.users().membership(user).await?;
        Ok(decision::decide(&mut *tx, member.as_ref(), |user| self.authn.configured_grants_of(user), &authz_request)
            .await?)
    }
}
