//! Cache of verified tokens, so that a signature is checked once per token and not once per request.
//!
//! Entries are found by a keyed hash of the token; the token itself is not stored. User and tenant are read from the
//! database again after [`MAX_STALENESS`], and by the gate at each decision, so that deactivating a user takes effect
//! at once.

use domain::credential::Credential;
use domain::ids::UserId;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::user::{Entitlements, User};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Maximum age of the cached tenant, role and clearance. After that, they are read again.
pub const MAX_STALENESS: Duration = Duration::from_secs(2);
/// Interval at which the use of a session is recorded.
pub const USE_RECORD_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum number of cached sessions.
const MAX_SESSIONS: usize = 20_000;

/// Source of the mapping from a token to its tenant. It is checked again when the session is stale.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TenantSource {
    /// The configuration, which does not change while the process runs.
    Configuration,
    /// A tenant mapping in the database.
    Mapping {
        /// Issuer of the mapping.
        issuer: String,
        /// Value of the tenant claim.
        claim: String,
    },
    /// The row of the personal access token.
    PersonalAccessToken,
}

/// The user and tenant of a verified token.
#[derive(Clone, Debug)]
pub struct Session {
    /// Tenant, as of `read_at`.
    pub tenant: Tenant,
    /// User, as of `read_at`.
    pub user: User,
    /// Role, grants and clearance, as of `read_at`.
    pub entitlements: Entitlements,
    /// Source of the mapping to the tenant.
    pub tenant_source: TenantSource,
    /// Credential that the gate's decisions use.
    pub credential: Arc<Credential>,
    /// When the token expires or its authentication becomes too old. The session is not used after that.
    pub expires_at: Timestamp,
    /// When tenant, user and entitlements were read.
    pub read_at: Instant,
    /// When the use of the session was last recorded in the database, by this process.
    pub use_recorded_at: Instant,
    /// Version of the issuers' keys when the token was verified; see `Authenticator::keys_version`.
    pub keys_version: u64,
}

impl Session {
    /// UUID of the user.
    pub fn user_id(&self) -> UserId {
        self.user.id
    }

    /// Whether [`USE_RECORD_INTERVAL`] has passed since the use of the session was last recorded.
    pub fn is_use_record_due(&self) -> bool {
        self.use_recorded_at.elapsed() >= USE_RECORD_INTERVAL
    }

    /// Whether tenant, user and entitlements can be used without reading them again.
    pub fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < MAX_STALENESS
    }
}

/// Sessions by the keyed hash of their token.
#[derive(Default)]
pub struct SessionCache(Mutex<HashMap<String, Session>>);

impl SessionCache {
    /// Returns the session of a token, unless it has expired.
    pub fn get(&self, token_hash: &str, now: Timestamp) -> Option<Session> {
        self.lock().get(token_hash).filter(|session| now < session.expires_at).cloned()
    }

    /// Inserts a session. A full cache first drops the expired sessions, and if that frees nothing, all sessions.
    pub fn insert(&self, token_hash: String, session: Session, now: Timestamp) {
        let mut sessions = self.lock();
        if sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, session| now < session.expires_at);
        }
        if sessions.len() >= MAX_SESSIONS {
            sessions.clear();
        }
        sessions.insert(token_hash, session);
    }

    /// Removes a session, so that the token is verified again on its next use.
    pub fn remove(&self, token_hash: &str) {
        self.lock().remove(token_hash);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
