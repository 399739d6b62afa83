//! Tokens verified a moment ago, so that the signature is checked once per token and not once per request.
//!
//! Kept by a keyed hash of the token, never the token. What the database says of user and tenant is read again after
//! [`FRESH_FOR`], and by the gate at each decision, so that switching a user off takes effect at once.

use domain::credential::Credential;
use domain::ids::UserId;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::user::{Entitlements, User};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long tenant, role and clearance are taken as read.
pub const FRESH_FOR: Duration = Duration::from_secs(2);
/// Most tokens kept.
const CAPACITY: usize = 20_000;

/// What says that a token's bearer belongs to the tenant, to be asked again when the session is no longer fresh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Belongs {
    /// The configuration, which does not change while the process runs.
    Configured,
    /// A mapping in the database, by issuer and claim value.
    Mapped {
        /// The issuer.
        issuer: String,
        /// The claim's value.
        claim: String,
    },
    /// The personal access token's own row.
    ByAccessToken,
}

/// A verified token's user.
#[derive(Clone, Debug)]
pub struct Session {
    /// The tenant, as last read.
    pub tenant: Tenant,
    /// The user, as last read.
    pub user: User,
    /// What the user may do, as last read.
    pub entitlements: Entitlements,
    /// What says that the user belongs to the tenant.
    pub belongs: Belongs,
    /// What the token tells later decisions.
    pub credential: Arc<Credential>,
    /// When the token is to be looked at again.
    pub expires_at: Timestamp,
    /// When the above was read.
    pub read_at: Instant,
    /// How often the issuers' keys had been renewed when the token was verified.
    pub renewals: u64,
}

impl Session {
    /// The user's id.
    pub fn user_id(&self) -> UserId {
        self.user.id
    }

    /// Whether tenant, role and clearance may be taken as read.
    pub fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < FRESH_FOR
    }
}

/// The verified tokens.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// The session of a token that has not expired.
    pub fn get(&self, token_hash: &str, now: Timestamp) -> Option<Session> {
        self.lock().get(token_hash).filter(|session| now < session.expires_at).cloned()
    }

    /// Keeps a session; drops what has expired when there are many, and everything when that was not enough.
    pub fn put(&self, token_hash: String, session: Session, now: Timestamp) {
        let mut sessions = self.lock();
        if sessions.len() >= CAPACITY {
            sessions.retain(|_, session| now < session.expires_at);
        }
        if sessions.len() >= CAPACITY {
            sessions.clear();
        }
        sessions.insert(token_hash, session);
    }

    /// Forgets a session.
    pub fn forget(&self, token_hash: &str) {
        self.lock().remove(token_hash);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
