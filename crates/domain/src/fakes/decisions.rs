//! Policy's rules in short: for tests of what asks them.

use crate::authorized::Permit;
use crate::command::Target;
use crate::decision::{Decision, Verdict};
use crate::ports::{Asked, Decisions, StoreError, TenantTx};
use crate::role::{Operation, Role};
use crate::user::Standing;
use async_trait::async_trait;

/// Whoever is switched on and no viewer may do everything, but for changing a colleague's document: that takes an admin.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShortRules;

#[async_trait]
impl Decisions for ShortRules {
    async fn again(&self, tx: &mut dyn TenantTx, permit: &Permit, asked: Asked) -> Result<Decision, StoreError> {
        let decided = |verdict, standing| Decision { verdict, steps: Vec::new(), standing };
        let refused = |code| decided(Verdict::Refused { code }, None);
        let Some(user) = permit.scope().user() else { return Ok(refused("user_disabled")) };
        let Some(member) = tx.users().membership(user).await? else { return Ok(refused("user_disabled")) };
        if !member.tenant_active {
            return Ok(refused("tenant_suspended"));
        }
        if !member.user.is_active {
            return Ok(refused("user_disabled"));
        }
        let standing: Standing = member.standing(&[]);
        let verdict = match asked.target {
            _ if standing.role == Role::Viewer => Verdict::Denied { reason: "matrix" },
            Some(Target::Document(id)) => match tx.documents().get(id, standing.clearance).await? {
                None => Verdict::NotFound,
                Some(document)
                    if asked.operation != Operation::Read
                        && standing.role != Role::Admin
                        && document.uploaded_by != user =>
                {
                    Verdict::Denied { reason: "not_owner" }
                }
                Some(_) => Verdict::Allowed,
            },
            _ => Verdict::Allowed,
        };
        Ok(decided(verdict, Some(standing)))
    }
}
