//! Signing in, staying signed in, and signing out.
//!
//! The `oauth2` crate implements OAuth 2.0: PKCE, the device flow with its polling, and refreshing. (`openidconnect`,
//! which also reads discovery documents, depends on the crate `rsa`, which deny.toml forbids.)

mod issuer;
mod loopback;
mod session;
mod store;

pub use issuer::{Issuer, Prompt};
pub use loopback::LoopbackListener;
pub use session::{FixedTokenSource, NoTokenSource, RefreshingTokenSource};
pub use store::{CredentialStore, StoredTokens};
