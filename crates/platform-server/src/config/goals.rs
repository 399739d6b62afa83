//! The section `goals` of the settings.

use runtime::goals::GoalWorkerSettings;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Goals: how workers execute their steps.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Goals {
    /// Maximum number of steps of one tenant that run at the same time, in all processes; further ones wait. A tenant's
    /// setting can lower it.
    #[schemars(range(min = 1))]
    pub steps_per_tenant: u32,
    /// Maximum number of steps that one worker process executes at the same time.
    #[schemars(range(min = 1))]
    pub concurrency: usize,
    /// Seconds without a heartbeat after which another worker takes a step over.
    #[schemars(range(min = 3))]
    pub lease_s: u64,
}

impl Default for Goals {
    fn default() -> Self {
        Self { steps_per_tenant: 8, concurrency: 32, lease_s: 10 }
    }
}

impl From<&Goals> for GoalWorkerSettings {
    fn from(goals: &Goals) -> Self {
        Self {
            concurrency: goals.concurrency.max(1),
            max_per_tenant: goals.steps_per_tenant.max(1),
            lease: Duration::from_secs(goals.lease_s.max(3)),
            ..Self::default()
        }
    }
}
