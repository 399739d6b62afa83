//! Whether the parts that the server rests on are up, as the server tells it.

use async_trait::async_trait;

/// A part of the server and its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Component {
    /// Its name: `database`, `storage`, `model:fast`, …
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// Whether the server can do nothing useful without it.
    pub required: bool,
    /// A few words on its state. Anybody may read them: no addresses, no secrets.
    pub detail: Option<String>,
}

/// Looks at the parts. Called for every `GET /ready`, without authentication: an implementation answers quickly.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Every part with its state.
    async fn check(&self) -> Vec<Component>;
}

/// Nothing to wait for: for examples and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysReady;

#[async_trait]
impl Readiness for AlwaysReady {
    async fn check(&self) -> Vec<Component> {
        Vec::new()
    }
}
