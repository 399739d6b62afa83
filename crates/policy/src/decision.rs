//! The one function that decides, with its grounds. The gate admits by it, and simulations ask it.

use crate::matrix;
use crate::ownership::{self, AccessRequest};
use domain::command::{Command, Target};
use domain::credential::Credential;
use domain::decision::{Decision, RefusalCode, Rule, Step, Verdict};
use domain::ids::{DocumentId, UserId};
use domain::ports::{StoreError, TenantTx};
use domain::rights::Reach;
use domain::role::{Classification, Grant, Operation, Resource};
use domain::user::{Entitlements, User};
use serde_json::{Value, json};

/// What is to be decided, for a command or a simulation.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) resource: Resource,
    pub(crate) operation: Operation,
    pub(crate) target: Option<Target>,
    /// New classification of the target document.
    pub(crate) reclassify: Option<Classification>,
    /// Further documents that the command names.
    pub(crate) documents: Vec<DocumentId>,
    pub(crate) credential: &'a Credential,
}

impl<'a> Question<'a> {
    pub(crate) fn of<C: Command>(command: &C, credential: &'a Credential) -> Self {
        Self {
            resource: C::RESOURCE,
            operation: C::OPERATION,
            target: command.target(),
            reclassify: command.reclassifies(),
            documents: command.documents().to_vec(),
            credential,
        }
    }
}

/// The rules that were evaluated so far, with their results.
#[derive(Default)]
pub(crate) struct DecisionTrace(Vec<Step>);

impl DecisionTrace {
    /// Notes the result of a rule, and returns it.
    pub(crate) fn note(&mut self, rule: Rule, passed: bool, detail: impl Into<String>) -> bool {
        self.0.push(Step { rule, passed, detail: detail.into() });
        passed
    }

    /// A refusal during authentication: by the token's claims, or because its user or tenant is switched off.
    pub(crate) fn refused_at_authentication(code: RefusalCode) -> Decision {
        let rule = match code {
            RefusalCode::TenantSuspended => Rule::TenantActive,
            RefusalCode::UserDisabled => Rule::UserActive,
            _ => Rule::Token,
        };
        let mut trace = Self::default();
        trace.note(rule, false, crate::error::refusal(code));
        trace.end(Verdict::Refused { code }, None)
    }

    fn end(self, verdict: Verdict, entitlements: Option<Entitlements>) -> Decision {
        Decision { verdict, steps: self.0, entitlements }
    }
}

/// Decides for `user`, whose transaction `tx` is. `configured` are the grants that the configuration gives.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn decide(
    tx: &mut dyn TenantTx,
    user: UserId,
    configured: impl FnOnce(&User) -> Vec<Grant>,
    question: &Question<'_>,
) -> Result<Decision, StoreError> {
    let mut trace = DecisionTrace::default();
    let Some(member) = tx.users().membership(user).await? else {
        trace.note(Rule::UserActive, false, "There is no such user.");
        return Ok(trace.end(Verdict::Refused { code: RefusalCode::UserDisabled }, None));
    };
    let entitlements = member.entitlements(&configured(&member.user));
    if !trace.note(Rule::TenantActive, member.tenant_active, on_or_off("tenant", member.tenant_active)) {
        return Ok(trace.end(Verdict::Refused { code: RefusalCode::TenantSuspended }, Some(entitlements)));
    }
    if !trace.note(Rule::UserActive, member.user.is_active, on_or_off("user", member.user.is_active)) {
        return Ok(trace.end(Verdict::Refused { code: RefusalCode::UserDisabled }, Some(entitlements)));
    }
    if question.credential.scopes().is_some() {
        let covered = question.credential.covers(question.resource, question.operation);
        let have = if covered { "have" } else { "lack" };
        let detail = format!("The access token's scopes {have} {}:{}.", question.resource, question.operation);
        if !trace.note(Rule::Token, covered, detail) {
            return Ok(trace.end(Verdict::Denied { reason: RefusalCode::TokenScope }, Some(entitlements)));
        }
    }
    let reach = matrix::allowed(&entitlements, question.resource, question.operation);
    trace.note(Rule::Matrix, reach.is_some(), row(&entitlements, question, reach));
    let Some(reach) = reach else {
        return Ok(trace.end(Verdict::Denied { reason: RefusalCode::Matrix }, Some(entitlements)));
    };
    let request = AccessRequest { user, entitlements: &entitlements, question, reach };
    let verdict = ownership::decide(tx, &mut trace, request).await?;
    Ok(trace.end(verdict, Some(entitlements)))
}

fn on_or_off(what: &str, is_on: bool) -> String {
    format!("The {what} is switched {}.", if is_on { "on" } else { "off" })
}

/// The row of the matrix, in words.
fn row(entitlements: &Entitlements, question: &Question<'_>, reach: Option<Reach>) -> String {
    let grants: Vec<_> = entitlements.grants.iter().map(|grant| grant.as_str()).collect();
    let grants = if grants.is_empty() { String::new() } else { format!(" with {}", grants.join(", ")) };
    let reach = reach.map_or_else(|| "no".to_owned(), |reach| reach.to_string());
    format!("Role {}{grants} on {}.{}: {reach}.", entitlements.role, question.resource, question.operation)
}

/// What a refusal's audit row says of its grounds. Of what is not there for this user, whether it is absent, foreign or
/// above the clearance stays out: users read their own rows.
pub(crate) fn recorded(decision: &Decision) -> Value {
    let (rule, steps) = match decision.verdict {
        Verdict::NotFound => {
            let known = |step: &&Step| step.rule < Rule::Target;
            let mut steps: Vec<Step> = decision.steps.iter().filter(known).cloned().collect();
            let detail = "Not there, or not for this user to know of.".to_owned();
            steps.push(Step { rule: Rule::Target, passed: false, detail });
            (Some(Rule::Target), steps)
        }
        _ => (decision.rule(), decision.steps.clone()),
    };
    json!({
        "reason": decision.verdict.reason(), "rule": rule, "steps": steps, "standing": decision.entitlements,
    })
}
