//! Port to the search for values of a tenant's privacy rules.

use crate::model::ModelError;
use crate::privacy::{PatternCounts, PrivacyRules};
use std::sync::Arc;

/// Tells what of a user's text the tenant's privacy rules find, before anything is stored or sent. What goes to a model
/// is redacted by the model client in any case.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait PrivacyFilter: Send + Sync {
    /// How often each pattern of `rules` matches in `text`.
    ///
    /// # Errors
    /// If a pattern of the tenant's own does not compile.
    fn matches(&self, rules: &Arc<PrivacyRules>, text: &str) -> Result<PatternCounts, ModelError>;
}
