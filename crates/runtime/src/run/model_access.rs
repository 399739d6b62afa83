//! On whose behalf models are called, and what they may see.

use domain::model::ModelTier;
use domain::model_call::ModelCaller;
use domain::ports::ChatModel;
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::tenant::TenantSettings;

/// The caller that models get to see for work in this scope.
pub fn caller(scope: &TenantScope, settings: &TenantSettings) -> ModelCaller {
    ModelCaller { tenant: scope.tenant(), user: scope.user(), cloud_limit: settings.cloud_limit() }
}

/// The highest class that may go into a prompt: what the tier's models may see, or less if the tenant says so.
pub fn classification_limit(
    model: &dyn ChatModel,
    tier: ModelTier,
    caller: &ModelCaller,
    settings: &TenantSettings,
) -> Classification {
    let highest = model.highest_classification(tier, caller);
    settings.model_classification.map_or(highest, |limit| limit.min(highest))
}
