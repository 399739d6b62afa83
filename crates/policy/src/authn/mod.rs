//! From a bearer token to a caller: verify, map to a tenant, find or provision the user, record.

pub mod access_token;
mod claims;
mod entry;
pub mod inspect;
pub mod jwks;
mod low_s;
mod reason;
mod refused;
mod sessions;
pub mod settings;
mod sign_in;
mod started;
mod tally;
mod token;
mod verify;

pub use low_s::has_high_s;
pub use reason::{Reason, Refusal};
pub use sessions::Belongs;
pub use sign_in::tenant_named_by;
pub use verify::{Issuer, Verified, verify};

use crate::caller::{Caller, Origin};
use crate::error::GateError;
use crate::keyed_hash::HashKey;
use chrono::TimeDelta;
use domain::credential::Credential;
use domain::decision::RefusalCode;
use domain::ids::{RequestId, TenantId, UserId};
use domain::ports::{Clock, Directory, IdGen, Store};
use domain::role::Grant;
use domain::scope::{Actor, TenantScope};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::user::{Membership, User};
use futures::future::join_all;
use jwks::kept::KeptKeys;
use jwks::pace::Pace;
use sessions::{Session, Sessions};
use settings::{IssuerSettings, KeySource};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tally::Tally;

/// What authentication trusts and holds.
#[derive(Clone, Debug)]
pub struct AuthnSettings {
    /// The trusted issuers.
    pub issuers: Vec<IssuerSettings>,
    /// Who is `platform_admin`: (issuer, subject) pairs.
    pub platform_admins: Vec<(String, String)>,
    /// Key for the hash under which a token is remembered.
    pub token_key: HashKey,
    /// Where the issuers' last good keys are kept for a restart; `None`: nowhere.
    pub key_cache_dir: Option<PathBuf>,
    /// After so many days without an interactive login, a user's personal access tokens are refused.
    pub login_max_age_days: u32,
    /// So often within a minute a user who is switched off learns that; after that, only to come back later.
    pub refusals_per_minute: u32,
}

/// Verifies tokens and finds their users.
pub struct Authenticator {
    issuers: Vec<Issuer>,
    platform_admins: Vec<(String, String)>,
    token_key: HashKey,
    login_max_age: TimeDelta,
    refusals_per_minute: u32,
    refusals: Tally,
    sessions: Sessions,
    store: Arc<dyn Store>,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl Authenticator {
    /// Prepares the issuers; nothing is fetched yet, but keys that were kept are known.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(
        settings: AuthnSettings,
        store: Arc<dyn Store>,
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            issuers: issuers(settings.issuers, settings.key_cache_dir.as_deref())?,
            platform_admins: settings.platform_admins,
            token_key: settings.token_key,
            login_max_age: TimeDelta::days(i64::from(settings.login_max_age_days)),
            refusals_per_minute: settings.refusals_per_minute,
            refusals: Tally::default(),
            sessions: Sessions::default(),
            store,
            directory,
            clock,
            ids,
        })
    }

    /// Keeps the issuers' keys fresh, so that no request waits for them. Never ends: run it beside the server, and drop
    /// it to stop.
    pub async fn keep_keys_fresh(&self) {
        join_all(self.issuers.iter().map(|issuer| issuer.keys.keep_fresh())).await;
    }

    /// The caller that a bearer token stands for.
    ///
    /// # Errors
    /// Where the token is refused, its tenant is unknown or off, its user is off, or keys or database are down.
    pub async fn authenticate(&self, bearer: Option<&str>, origin: Origin) -> Result<Caller, GateError> {
        let Some(token) = bearer else {
            return Err(self.refuse_token(Reason::Missing.into(), &origin).await);
        };
        let hash = self.hash(token);
        let session = match self.sessions.get(&hash, self.clock.now()) {
            Some(session) if session.is_fresh() => session,
            _ if access_token::is_meant_as_one(token) => self.by_access_token(token, &hash, &origin).await?,
            Some(session) if session.renewals == self.renewals() => self.refresh(&hash, session, &origin).await?,
            // New, or the issuers' keys are others since: the one that signed it may have been withdrawn.
            _ => {
                self.sessions.forget(&hash);
                self.first_use(token, &hash, &origin).await?
            }
        };
        let scope = user_scope(session.tenant.id, session.user_id(), origin.request);
        let caller = Caller::new(scope, session.tenant, session.user, session.entitlements);
        Ok(caller.with(session.credential))
    }

    /// The grants that the configuration gives to this user.
    #[must_use]
    pub fn configured_grants(&self, issuer: &str, subject: &str) -> Vec<Grant> {
        let named = self.platform_admins.iter().any(|(i, s)| i == issuer && s == subject);
        if named { vec![Grant::PlatformAdmin] } else { Vec::new() }
    }

    async fn refresh(&self, hash: &str, known: Session, origin: &Origin) -> Result<Session, GateError> {
        let Some(tenant) = self.tenant_of(&known).await? else {
            self.sessions.forget(hash);
            return Err(self.refuse(known.tenant.id, Some(known.user.id), RefusalCode::TenantUnmapped, origin).await);
        };
        let scope = user_scope(tenant.id, known.user.id, origin.request.clone());
        let mut tx = self.store.begin(&scope).await.map_err(GateError::Store)?;
        let membership = tx.users().membership(known.user.id).await.map_err(GateError::Store)?;
        drop(tx);
        let member = self.admit(hash, &tenant, membership, origin).await?;
        let Session { belongs, credential, expires_at, renewals, .. } = known;
        Ok(self.keep(hash, Kept { tenant, belongs, credential, expires_at, renewals }, member))
    }

    /// The session's tenant, if what said that the user belongs to it says so still.
    async fn tenant_of(&self, known: &Session) -> Result<Option<Tenant>, GateError> {
        let found = match &known.belongs {
            Belongs::Mapped { issuer, claim } => {
                self.directory.mapped_tenant(issuer, claim).await.map_err(GateError::Store)
            }
            _ => self.tenant(&known.tenant.id.to_string()).await,
        };
        Ok(found?.filter(|tenant| tenant.id == known.tenant.id))
    }

    async fn tenant(&self, id_or_slug: &str) -> Result<Option<Tenant>, GateError> {
        self.directory.tenant(id_or_slug).await.map_err(GateError::Store)
    }

    /// How often the issuers' keys were renewed, all together.
    fn renewals(&self) -> u64 {
        self.issuers.iter().map(|issuer| issuer.keys.renewals()).sum()
    }

    /// The keyed hash by which it is remembered that a token was seen: of what is signed, without the signature, of which
    /// there may be several.
    fn seen_hash(&self, token: &str) -> String {
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        self.hash(signed)
    }

    /// The grants that the configuration gives a user.
    pub(crate) fn grants_of(&self, user: &User) -> Vec<Grant> {
        self.configured_grants(&user.issuer, &user.external_id)
    }

    /// The keyed hash of a whole bearer token: by it a verified token's session is found, and a personal access token.
    pub(crate) fn hash(&self, token: &str) -> String {
        self.token_key.hash(token.as_bytes())
    }

    fn keep(&self, hash: &str, kept: Kept, member: Membership) -> Session {
        let entitlements = member.entitlements(&self.grants_of(&member.user));
        let Kept { tenant, belongs, credential, expires_at, renewals } = kept;
        let (user, read_at) = (member.user, Instant::now());
        let session = Session { tenant, user, entitlements, belongs, credential, expires_at, read_at, renewals };
        self.sessions.put(hash.to_owned(), session.clone(), self.clock.now());
        session
    }
}

/// What a session keeps beside the user.
struct Kept {
    tenant: Tenant,
    belongs: Belongs,
    credential: Arc<Credential>,
    expires_at: Timestamp,
    renewals: u64,
}

/// The issuers with their keys.
///
/// # Errors
/// Where no HTTP client can be made.
pub fn issuers(settings: Vec<IssuerSettings>, key_cache_dir: Option<&Path>) -> Result<Vec<Issuer>, reqwest::Error> {
    let http = jwks::fetch::client()?;
    let with_keys = |settings: IssuerSettings| {
        // A key file is there after a restart as it was before.
        let kept = key_cache_dir.filter(|_| !matches!(settings.keys, KeySource::File(_)));
        let kept = kept.map(|dir| KeptKeys::new(dir, &settings.issuer));
        let keys = jwks::Keys::new(&settings.issuer, settings.keys.clone(), http.clone(), kept, Pace::default());
        Issuer { settings: Arc::new(settings), keys }
    };
    Ok(settings.into_iter().map(with_keys).collect())
}

/// The scope of a colleague, for a simulation: decided and recorded for the one who asks, and never handed to a use case.
pub(crate) fn scope_of_colleague(asking: &TenantScope, colleague: UserId) -> TenantScope {
    user_scope(asking.tenant(), colleague, asking.request().clone())
}

#[expect(clippy::disallowed_methods, reason = "the one site: a verified token names the user")]
fn user_scope(tenant: TenantId, user: UserId, request: RequestId) -> TenantScope {
    TenantScope::mint(tenant, Actor::User(user), request)
}

#[expect(clippy::disallowed_methods, reason = "the one site: a token whose user is not known yet, or refused")]
fn system_scope(tenant: TenantId, request: RequestId) -> TenantScope {
    TenantScope::mint(tenant, Actor::System, request)
}
