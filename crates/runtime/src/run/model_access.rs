//! The caller of model requests, and the highest classification that models may see.

use domain::model::ModelTier;
use domain::model_call::ModelCaller;
use domain::ports::ChatModel;
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::tenant::TenantSettings;

/// Returns the caller that model requests in this scope are attributed to.
pub fn caller(scope: &TenantScope, settings: &TenantSettings) -> ModelCaller {
    ModelCaller {
        tenant: scope.tenant(),
        user: scope.user(),
        max_cloud_classification: settings.max_cloud_classification(),
        conversation: None,
        privacy: settings.pii_sanitization.rules(),
    }
}

/// Returns the highest classification that may go into a prompt: the limit of the tier's models, or the tenant's if
/// that is lower.
pub fn classification_limit(
    model: &dyn ChatModel,
    tier: ModelTier,
    caller: &ModelCaller,
    settings: &TenantSettings,
) -> Classification {
    let highest = model.max_input_classification(tier, caller);
    settings.model_classification.map_or(highest, |limit| limit.min(highest))
}
