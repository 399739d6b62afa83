//! Decides whether a user may execute a command, and records which rules were evaluated. The gate and simulations use
//! the same function.

use crate::matrix;
use crate::ownership::{self, TargetCheck};
use domain::command::{Command, Target};
use domain::credential::Credential;
use domain::decision::{Decision, RefusalCode, Rule, RuleResult, Verdict};
use domain::ids::DocumentId;
use domain::ports::{StoreError, TenantTx};
use domain::rights::Reach;
use domain::role::{Classification, Grant, Operation, Resource};
use domain::user::{Entitlements, Membership, User};
use serde_json::{Value, json};

/// An access question, asked for a command or in a simulation: may this credential do this operation on this target?
#[derive(Clone, Debug)]
pub(crate) struct AuthzRequest<'a> {
    pub(crate) resource: Resource,
    pub(crate) operation: Operation,
    pub(crate) target: Option<Target>,
    /// New classification of the target document, if the command changes it.
    pub(crate) new_classification: Option<Classification>,
    /// Further documents that the command references.
    pub(crate) referenced_documents: Vec<DocumentId>,
    pub(crate) credential: &'a Credential,
}

impl<'a> AuthzRequest<'a> {
    pub(crate) fn for_command<C: Command>(command: &C, credential: &'a Credential) -> Self {
        Self {
            resource: C::RESOURCE,
            operation: C::OPERATION,
            target: command.target(),
            new_classification: command.new_classification(),
            referenced_documents: command.referenced_documents().to_vec(),
            credential,
        }
    }
}

/// The rules that were evaluated so far, with their results.
#[derive(Default)]
pub(crate) struct DecisionTrace(Vec<RuleResult>);

impl DecisionTrace {
    /// Records the result of a rule and returns `passed`.
    pub(crate) fn record(&mut self, rule: Rule, passed: bool, detail: impl Into<String>) -> bool {
        self.0.push(RuleResult { rule, passed, detail: detail.into() });
        passed
    }

    /// Creates the decision for a caller who is refused during authentication, because of the token's claims or because
    /// the user or the tenant is inactive.
    pub(crate) fn refused_at_authentication(code: RefusalCode) -> Decision {
        let rule = match code {
            RefusalCode::TenantSuspended => Rule::TenantActive,
            RefusalCode::UserDisabled => Rule::UserActive,
            RefusalCode::SessionRevoked => Rule::Session,
            _ => Rule::Token,
        };
        let mut trace = Self::default();
        trace.record(rule, false, crate::error::refusal_message(code));
        trace.finish(Verdict::CallerRefused { code }, None)
    }

    /// Creates the decision for a request in the space of a team that does not exist, or that the user is no member of.
    pub(crate) fn refused_at_team(entitlements: Option<Entitlements>) -> Decision {
        let mut trace = Self::default();
        trace.record(Rule::Team, false, "The team does not exist, or the user is no member of it.");
        trace.finish(Verdict::NotFound, entitlements)
    }

    fn finish(self, verdict: Verdict, entitlements: Option<Entitlements>) -> Decision {
        Decision { verdict, rule_results: self.0, entitlements }
    }
}

/// Decides whether a user may do what `authz_request` asks, in a transaction with that user's scope. `member` is the
/// user's current membership; without one, the user does not exist. `configured_grants` returns the grants that the
/// configuration gives to the user.
///
/// # Errors
/// If the database fails.
pub(crate) async fn decide(
    tx: &mut dyn TenantTx,
    member: Option<&Membership>,
    configured_grants: impl FnOnce(&User) -> Vec<Grant>,
    authz_request: &AuthzRequest<'_>,
) -> Result<Decision, StoreError> {
    let mut trace = DecisionTrace::default();
    let Some(member) = member else {
        trace.record(Rule::UserActive, false, "The user does not exist.");
        return Ok(trace.finish(Verdict::CallerRefused { code: RefusalCode::UserDisabled }, None));
    };
    let entitlements = member.entitlements(&configured_grants(&member.user));
    if !trace.record(Rule::TenantActive, member.tenant_active, active_detail("tenant", member.tenant_active)) {
        return Ok(trace.finish(Verdict::CallerRefused { code: RefusalCode::TenantSuspended }, Some(entitlements)));
    }
    if !trace.record(Rule::UserActive, member.user.is_active, active_detail("user", member.user.is_active)) {
        return Ok(trace.finish(Verdict::CallerRefused { code: RefusalCode::UserDisabled }, Some(entitlements)));
    }
    if member.session_revoked {
        trace.record(Rule::Session, false, "The session was revoked.");
        return Ok(trace.finish(Verdict::CallerRefused { code: RefusalCode::SessionRevoked }, Some(entitlements)));
    }
    if member.team.is_some() && entitlements.team.is_none() {
        return Ok(DecisionTrace::refused_at_team(Some(entitlements)));
    }
    if let Some(role) = entitlements.team {
        trace.record(Rule::Team, true, format!("The user is {role} of the team."));
    }
    if authz_request.credential.scopes().is_some() {
        let covered = authz_request.credential.covers(authz_request.resource, authz_request.operation);
        let verb = if covered { "have" } else { "lack" };
        let detail =
            format!("The access token's scopes {verb} {}:{}.", authz_request.resource, authz_request.operation);
        if !trace.record(Rule::Token, covered, detail) {
            return Ok(trace.finish(Verdict::OperationDenied { reason: RefusalCode::TokenScope }, Some(entitlements)));
        }
    }
    let reach = matrix::effective_reach(&entitlements, authz_request.resource, authz_request.operation);
    trace.record(Rule::Matrix, reach.is_some(), matrix_detail(&entitlements, authz_request, reach));
    let Some(reach) = reach else {
        return Ok(
            trace.finish(Verdict::OperationDenied { reason: RefusalCode::InsufficientRights }, Some(entitlements))
        );
    };
    let target_check = TargetCheck { user: member.user.id, entitlements: &entitlements, authz_request, reach };
    let verdict = ownership::check_target(tx, &mut trace, target_check).await?;
    Ok(trace.finish(verdict, Some(entitlements)))
}

fn active_detail(subject: &str, is_active: bool) -> String {
    format!("The {subject} is {}.", if is_active { "active" } else { "inactive" })
}

/// Describes the result of the matrix lookup, for the trace.
fn matrix_detail(entitlements: &Entitlements, authz_request: &AuthzRequest<'_>, reach: Option<Reach>) -> String {
    let grants: Vec<_> = entitlements.grants.iter().map(|grant| grant.as_str()).collect();
    let grants = if grants.is_empty() { String::new() } else { format!(" with {}", grants.join(", ")) };
    let reach = reach.map_or_else(|| "no".to_owned(), |reach| reach.to_string());
    format!("Role {}{grants} on {}.{}: {reach}.", entitlements.role, authz_request.resource, authz_request.operation)
}

/// Metadata of a refusal's audit row. For a not-found verdict, it does not reveal whether the target is absent, belongs
/// to another user or is above the clearance, since users can read their own audit rows.
pub(crate) fn audit_metadata(decision: &Decision) -> Value {
    let (rule, steps) = match decision.verdict {
        Verdict::NotFound => {
            let before_target = |step: &&RuleResult| step.rule < Rule::Target;
            let mut steps: Vec<RuleResult> = decision.rule_results.iter().filter(before_target).cloned().collect();
            let detail = "The target does not exist, or the user must not learn that it exists.".to_owned();
            steps.push(RuleResult { rule: Rule::Target, passed: false, detail });
            (Some(Rule::Target), steps)
        }
        _ => (decision.refusing_rule(), decision.rule_results.clone()),
    };
    json!({
        "reason": decision.verdict.reason(), "rule": rule, "steps": steps, "standing": decision.entitlements,
    })
}
