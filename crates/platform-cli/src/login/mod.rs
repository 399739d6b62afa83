//! Signing in, staying signed in, and signing out.
//!
//! OAuth 2.0 is the `oauth2` crate's: PKCE, the device flow with its polling, and refreshing. (`openidconnect`,
//! which reads discovery documents too, brings in the crate `rsa`, which deny.toml keeps out.)

mod issuer;
mod loopback;
mod session;
mod store;

pub use issuer::Issuer;
pub use loopback::Loopback;
pub use session::{FixedToken, NotSignedIn, StoredSession};
pub use store::{Login, Store};
