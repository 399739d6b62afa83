//! Health of the components that the server depends on.

use async_trait::async_trait;

/// The health of one component.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Component {
    /// Name of the component: `database`, `storage`, `model:fast`, …
    pub name: String,
    /// Whether the component works.
    pub is_up: bool,
    /// Whether the server is unavailable without the component.
    pub required: bool,
    /// Short description of the health. Public, so it must not contain addresses or secrets.
    pub detail: Option<String>,
}

/// Checks the components. Called for each `GET /ready`, without authentication, so it must be fast.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Returns the health of all components.
    async fn check(&self) -> Vec<Component>;
}

/// Readiness of a server without components, for examples and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysReady;

#[async_trait]
impl Readiness for AlwaysReady {
    async fn check(&self) -> Vec<Component> {
        Vec::new()
    }
}
