//! Privacy rules for what a user writes: reports which patterns match, and refuses the request if the tenant's rules
//! block them. The model client redacts requests independently of this check.

use crate::error::RuntimeError;
use domain::model_call::ModelCaller;
use domain::ports::PrivacyScanner;
use domain::privacy::{PatternCounts, PrivacyAction};

/// Searches the user's texts, unless the caller's rules only redact.
///
/// # Errors
/// `PersonalData` if the rules block what was found; `Model` if a pattern of the tenant is not valid.
pub(crate) fn check<'a>(
    scanner: &dyn PrivacyScanner,
    caller: &ModelCaller,
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<PatternCounts, RuntimeError> {
    let mut found = PatternCounts::default();
    let Some(rules) = caller.privacy.as_ref().filter(|rules| rules.action != PrivacyAction::Redact) else {
        return Ok(found);
    };
    for text in texts {
        found.merge(&scanner.count_matches(rules, text)?);
    }
    if rules.action == PrivacyAction::Block && !found.is_empty() {
        return Err(RuntimeError::PersonalData { found });
    }
    Ok(found)
}
