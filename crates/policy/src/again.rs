//! The rules, asked from below the gate: by the one function that the gate decides with.

use crate::authn::Authenticator;
use crate::decision::{self, Question};
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::decision::{Decision, Verdict};
use domain::ports::{Asked, Decisions, StoreError, TenantTx};
use std::sync::Arc;

/// Policy's rules over the grants of the configuration.
#[derive(Clone)]
pub struct PolicyDecisions {
    authn: Arc<Authenticator>,
}

impl PolicyDecisions {
    /// With the grants that `authn` knows from the configuration.
    #[must_use]
    pub fn new(authn: Arc<Authenticator>) -> Self {
        Self { authn }
    }
}

#[async_trait]
impl Decisions for PolicyDecisions {
    async fn again(&self, tx: &mut dyn TenantTx, permit: &Permit, asked: Asked) -> Result<Decision, StoreError> {
        let Some(user) = permit.scope().user() else {
            let verdict = Verdict::Refused { code: "user_disabled" };
            return Ok(Decision { verdict, steps: Vec::new(), standing: None });
        };
        let Asked { resource, operation, target } = asked;
        let question = Question { resource, operation, target, reclassify: None, documents: &[], scopes: None };
        let configured = |user: &domain::user::User| self.authn.configured_grants(&user.issuer, &user.external_id);
        decision::decide(tx, user, configured, &question).await
    }
}
