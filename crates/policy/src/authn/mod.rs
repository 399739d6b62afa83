//! Authentication: verifies a bearer token, resolves its tenant, finds or creates its user, and records the login.

pub mod access_token;
mod admission;
mod claims;
mod ecdsa;
pub mod inspect;
pub mod jwks;
mod jws;
mod refusal_counter;
mod refusals;
mod session_cache;
pub mod settings;
mod sign_in;
mod startup;
mod token_error;
mod verify;

pub use ecdsa::has_high_s;
pub use session_cache::TenantSource;
pub use sign_in::resolve_tenant;
pub use token_error::{RefusedToken, TokenError};
pub use verify::{Issuer, VerifiedToken, verify};

use crate::caller::{Caller, RequestOrigin};
use crate::error::GateError;
use crate::keyed_hash::HashKey;
use chrono::TimeDelta;
use domain::credential::Credential;
use domain::decision::RefusalCode;
use domain::ids::{RequestId, SessionId, TenantId, UserId};
use domain::ports::{Clock, IdGen, Store, StoreError, TenantDirectory};
use domain::role::Grant;
use domain::scope::{Actor, TenantScope};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::user::{Membership, User};
use futures::future::join_all;
use jwks::disk_cache::DiskCache;
use jwks::refresh::RefreshPolicy;
use refusal_counter::RefusalCounter;
use serde_json::json;
use session_cache::{Session, SessionCache};
use settings::{IssuerSettings, KeySource};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Settings of the [`Authenticator`].
#[derive(Clone, Debug)]
pub struct AuthnSettings {
    /// Issuers whose tokens are accepted.
    pub issuers: Vec<IssuerSettings>,
    /// Issuer and subject of each user with the grant `platform_admin`.
    pub platform_admins: Vec<(String, String)>,
    /// Key for the hashes of tokens.
    pub token_key: HashKey,
    /// Directory of the disk cache of the issuers' keys, which is read after a restart; `None` disables the cache.
    pub key_cache_dir: Option<PathBuf>,
    /// Maximum age of a user's last interactive login, in days. The user's personal access tokens are refused after
    /// that.
    pub login_max_age_days: u32,
    /// Maximum number of refusals per minute for which a known user gets the reason in the response. Further requests
    /// are answered as rate-limited.
    pub refusals_per_minute: u32,
}

/// Verifies bearer tokens and finds their users.
pub struct Authenticator {
    issuers: Vec<Issuer>,
    platform_admins: Vec<(String, String)>,
    token_key: HashKey,
    login_max_age: TimeDelta,
    refusals_per_minute: u32,
    refusals: RefusalCounter,
    sessions: SessionCache,
    store: Arc<dyn Store>,
    directory: Arc<dyn TenantDirectory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

/// The age of an issuer's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyAge<'a> {
    /// The issuer, as configured.
    pub issuer: &'a str,
    /// Time since the keys were last fetched; before the first fetch, since the start.
    pub age: Duration,
}

impl Authenticator {
    /// Creates an authenticator. Reads the disk cache of keys, but fetches nothing yet.
    ///
    /// # Errors
    /// If the HTTP client cannot be created.
    pub fn new(
        settings: AuthnSettings,
        store: Arc<dyn Store>,
        directory: Arc<dyn TenantDirectory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            issuers: build_issuers(settings.issuers, settings.key_cache_dir.as_deref())?,
            platform_admins: settings.platform_admins,
            token_key: settings.token_key,
            login_max_age: TimeDelta::days(i64::from(settings.login_max_age_days)),
            refusals_per_minute: settings.refusals_per_minute,
            refusals: RefusalCounter::default(),
            sessions: SessionCache::default(),
            store,
            directory,
            clock,
            ids,
        })
    }

    /// Refreshes the issuers' keys in the background, so that no request waits for a known key. Never returns; drop the
    /// future to stop.
    pub async fn keep_keys_fresh(&self) {
        join_all(self.issuers.iter().map(|issuer| issuer.keys.keep_fresh())).await;
    }

    /// The age of each issuer's keys.
    pub fn key_ages(&self) -> impl Iterator<Item = KeyAge<'_>> {
        self.issuers.iter().map(|issuer| KeyAge { issuer: &issuer.settings.issuer, age: issuer.keys.age() })
    }

    /// Authenticates the caller by a bearer token.
    ///
    /// # Errors
    /// If the token is refused, its tenant is unknown or inactive, its user is inactive, or the keys or the database
    /// are not available.
    pub async fn authenticate(&self, bearer: Option<&str>, origin: RequestOrigin) -> Result<Caller, GateError> {
        let Some(token) = bearer else {
            return Err(self.refuse_token(TokenError::Missing.into(), &origin).await);
        };
        let token_hash = self.token_hash(token);
        let session = match self.sessions.get(&token_hash, self.clock.now()) {
            Some(session) if session.is_fresh() => session,
            _ if access_token::has_prefix(token) => self.authenticate_access_token(token, &token_hash, &origin).await?,
            Some(session) if session.keys_version == self.keys_version() => {
                self.refresh_session(&token_hash, session, &origin).await?
            }
            // The token is new, or the issuers' keys were refreshed since it was verified: its key may have been
            // withdrawn.
            _ => {
                self.sessions.remove(&token_hash);
                self.authenticate_new_token(token, &token_hash, &origin).await?
            }
        };
        let scope =
            user_scope(session.tenant.id, session.user_id(), origin.request).in_session(session.credential.session);
        let caller = Caller::new(scope, session.tenant, session.user, session.entitlements);
        Ok(caller.with_credential(session.credential))
    }

    /// Grants that the configuration gives to the user `subject` of `issuer`.
    #[must_use]
    pub fn configured_grants(&self, issuer: &str, subject: &str) -> Vec<Grant> {
        let is_platform_admin = self.platform_admins.iter().any(|(i, s)| i == issuer && s == subject);
        if is_platform_admin { vec![Grant::PlatformAdmin] } else { Vec::new() }
    }

    async fn refresh_session(
        &self,
        token_hash: &str,
        session: Session,
        origin: &RequestOrigin,
    ) -> Result<Session, GateError> {
        let Some(tenant) = self.confirmed_tenant(&session).await? else {
            self.sessions.remove(token_hash);
            return Err(self
                .refuse_caller(session.tenant.id, Some(session.user.id), RefusalCode::TenantUnmapped, origin)
                .await);
        };
        let (membership, use_recorded_at) =
            self.read_membership(tenant.id, &session, origin).await.map_err(GateError::Store)?;
        let member = self.admit(token_hash, &tenant, membership, origin).await?;
        let Session { tenant_source, credential, expires_at, keys_version, .. } = session;
        let new = NewSession { tenant, tenant_source, credential, expires_at, keys_version, use_recorded_at };
        Ok(self.start_session(token_hash, new, member))
    }

    /// Reads the membership of the session's user again and, at most once a minute, records that the session is in use.
    /// Also returns when that was last recorded.
    async fn read_membership(
        &self,
        tenant: TenantId,
        session: &Session,
        origin: &RequestOrigin,
    ) -> Result<(Option<Membership>, Instant), StoreError> {
        let id = session.credential.session;
        let scope = user_scope(tenant, session.user.id, origin.request.clone()).in_session(id);
        let mut tx = self.store.begin(&scope).await?;
        let membership = tx.users().membership(session.user.id).await?;
        let is_admitted = membership.as_ref().is_some_and(|member| member.refusal().is_none());
        match id.filter(|_| is_admitted && session.is_use_record_due()) {
            Some(id) => {
                tx.sessions().record_use(id, self.clock.now()).await?;
                tx.commit().await?;
                Ok((membership, Instant::now()))
            }
            None => Ok((membership, session.use_recorded_at)),
        }
    }

    /// Returns the session's tenant if the user still belongs to it.
    async fn confirmed_tenant(&self, session: &Session) -> Result<Option<Tenant>, GateError> {
        let found = match &session.tenant_source {
            TenantSource::Mapping { issuer, claim } => {
                self.directory.mapped_tenant(issuer, claim).await.map_err(GateError::Store)
            }
            _ => self.tenant(&session.tenant.id.to_string()).await,
        };
        Ok(found?.filter(|tenant| tenant.id == session.tenant.id))
    }

    async fn tenant(&self, id_or_slug: &str) -> Result<Option<Tenant>, GateError> {
        self.directory.tenant(id_or_slug).await.map_err(GateError::Store)
    }

    /// Sum of the versions of all issuers' keys; it grows with each refresh.
    fn keys_version(&self) -> u64 {
        self.issuers.iter().map(|issuer| issuer.keys.version()).sum()
    }

    /// Keyed hash of a token's JWS Signing Input (RFC 7515 §2). It identifies a token that was used before. The
    /// signature is excluded, since one signing input can have several valid signatures.
    fn signing_input_hash(&self, token: &str) -> String {
        let signing_input = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        self.token_hash(signing_input)
    }

    /// Id of the session that a token belongs to. All tokens of one sign-in (`sid`) share a session; without a `sid`,
    /// each token (`jti`, or else its signing input) has its own. The id is a keyed hash of the user and the claim, so
    /// every process computes the same id without a lookup, and no token can name another user's session.
    fn session_id(&self, tenant: TenantId, verified: &VerifiedToken, signing_input_hash: &str) -> SessionId {
        let (kind, name) = match (verified.provider_session(), &verified.token_id) {
            (Some(sid), _) => ("sid", sid),
            (None, Some(token_id)) => ("jti", token_id.as_str()),
            (None, None) => ("token", signing_input_hash),
        };
        let identity = &verified.identity;
        let parts = json!(["session", tenant, identity.issuer, identity.subject, kind, name]);
        let hash = self.token_key.hash(parts.to_string().as_bytes());
        let leading_bytes = u128::from_str_radix(&hash[..32], 16).unwrap_or_default();
        SessionId::from_uuid(uuid::Builder::from_custom_bytes(leading_bytes.to_be_bytes()).into_uuid())
    }

    /// Grants that the configuration gives to `user`.
    pub(crate) fn configured_grants_of(&self, user: &User) -> Vec<Grant> {
        self.configured_grants(&user.issuer, &user.external_id)
    }

    /// Keyed hash of a complete bearer token. Sessions and personal access tokens are found by it.
    pub(crate) fn token_hash(&self, token: &str) -> String {
        self.token_key.hash(token.as_bytes())
    }

    fn start_session(&self, token_hash: &str, new_session: NewSession, member: Membership) -> Session {
        let entitlements = member.entitlements(&self.configured_grants_of(&member.user));
        let NewSession { tenant, tenant_source, credential, expires_at, keys_version, use_recorded_at } = new_session;
        let (user, read_at) = (member.user, Instant::now());
        let session = Session {
            tenant,
            user,
            entitlements,
            tenant_source,
            credential,
            expires_at,
            read_at,
            use_recorded_at,
            keys_version,
        };
        self.sessions.insert(token_hash.to_owned(), session.clone(), self.clock.now());
        session
    }
}

/// Contents of a new session, without its user.
struct NewSession {
    tenant: Tenant,
    tenant_source: TenantSource,
    credential: Arc<Credential>,
    expires_at: Timestamp,
    keys_version: u64,
    use_recorded_at: Instant,
}

/// Creates the issuers with their keys.
///
/// # Errors
/// If the HTTP client cannot be created.
pub fn build_issuers(
    settings: Vec<IssuerSettings>,
    key_cache_dir: Option<&Path>,
) -> Result<Vec<Issuer>, reqwest::Error> {
    let http = jwks::fetch::http_client()?;
    let build_issuer = |settings: IssuerSettings| {
        // A local key file needs no cache.
        let cache_dir = key_cache_dir.filter(|_| !matches!(settings.keys, KeySource::File(_)));
        let cache = cache_dir.map(|dir| DiskCache::new(dir, &settings.issuer));
        let keys = jwks::IssuerKeys::new(
            &settings.issuer,
            settings.keys.clone(),
            http.clone(),
            cache,
            RefreshPolicy::default(),
        );
        Issuer { settings: Arc::new(settings), keys }
    };
    Ok(settings.into_iter().map(build_issuer).collect())
}

/// Returns the scope of another user of the tenant, to simulate a decision. Audit rows of the simulation name the user
/// who requested it, and the scope is never passed to a use case.
pub(crate) fn simulation_scope(requester: &TenantScope, user: UserId) -> TenantScope {
    user_scope(requester.tenant(), user, requester.request().clone())
}

#[expect(clippy::disallowed_methods, reason = "only minted here, after a verified token named the user")]
fn user_scope(tenant: TenantId, user: UserId, request: RequestId) -> TenantScope {
    TenantScope::mint(tenant, Actor::User(user), request)
}

#[expect(clippy::disallowed_methods, reason = "only minted here, for a token whose user is unknown or refused")]
fn system_scope(tenant: TenantId, request: RequestId) -> TenantScope {
    TenantScope::mint(tenant, Actor::System, request)
}
