//! The teams whose documents a turn searches beside its own space.

use super::request::TurnRequest;
use crate::error::RuntimeError;
use crate::run::model_access;
use crate::run::tier::ChosenTier;
use domain::authorized::Permit;
use domain::conversation::Message;
use domain::ids::TeamId;
use domain::model_call::ModelCaller;
use domain::ports::ChatModel;
use domain::role::Classification;
use domain::upload::FieldError;
use std::collections::BTreeSet;

/// Checks the teams that a turn searches. A team's own conversation searches that team and no other.
pub(super) fn check_teams(permit: &Permit, request: &mut TurnRequest) -> Result<(), RuntimeError> {
    let refused = |detail: &str| Err(FieldError { pointer: "/team_ids".to_owned(), detail: detail.to_owned() }.into());
    if let Some(own) = permit.scope().team() {
        if request.team_permits.iter().any(|team| team.scope().team() != Some(own)) {
            return refused("must be missing or the team of the conversation, which searches no other documents");
        }
        request.team_permits.clear();
    }
    Ok(())
}

/// Takes the permits of the teams that are searched. With them, the teams whose documents the answer is written from:
/// those, and the ones of the history.
pub(super) fn take_teams(request: &mut TurnRequest, history: &[Message]) -> (Vec<Permit>, BTreeSet<TeamId>) {
    let permits = std::mem::take(&mut request.team_permits);
    let searched = permits.iter().filter_map(|permit| permit.scope().team());
    let sources = history.iter().flat_map(|message| message.source_teams.iter().copied()).chain(searched).collect();
    (permits, sources)
}

/// The highest classification that the model may see. A team of another tenant is searched within what that tenant lets
/// this model see.
pub(super) fn model_limit<'a>(
    model: &dyn ChatModel,
    tier: ChosenTier,
    caller: &ModelCaller,
    permits: impl Iterator<Item = &'a Permit>,
) -> Classification {
    let limit =
        |permit: &Permit| model_access::classification_limit(model, tier.tier, caller, &permit.tenant().settings);
    permits.map(limit).min().unwrap_or(Classification::Public)
}
