//! Port to the detection of values that a tenant's privacy rules cover.

use crate::model::ModelError;
use crate::privacy::{PatternCounts, PrivacyRules};
use std::sync::Arc;

/// Counts the matches of a tenant's privacy rules in a user's text, before anything is stored or sent. Does not change
/// the text: what goes to a model is redacted by the model client.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait PrivacyScanner: Send + Sync {
    /// How often each pattern of `rules` matches in `text`.
    ///
    /// # Errors
    /// If one of the tenant's custom patterns does not compile.
    fn count_matches(&self, rules: &Arc<PrivacyRules>, text: &str) -> Result<PatternCounts, ModelError>;
}
