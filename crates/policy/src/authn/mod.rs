//! From a bearer token to a caller: verify, map to a tenant, find or provision the user, record.

mod claims;
pub mod jwks;
mod sessions;
pub mod settings;
mod token;
mod verify;

use crate::caller::Caller;
use crate::decision::{self, Trace};
use crate::error::GateError;
use crate::keyed_hash::HashKey;
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::ids::{AuditId, RequestId, TenantId, UserId};
use domain::ports::{Clock, Directory, IdGen, Store, StoreError, TenantTx};
use domain::role::Grant;
use domain::scope::{Actor, TenantScope};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::user::Membership;
use serde_json::json;
use sessions::{Session, Sessions};
use settings::IssuerSettings;
use std::sync::Arc;
use std::time::{Duration, Instant};
use verify::{Issuer, Verified};

/// Why a token was refused: one code per check, for the log and the audit row. The caller learns only that it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each name is its check; `code` has the words")]
pub enum Reason {
    Missing,
    TooLarge,
    Malformed,
    Crit,
    Type,
    Algorithm,
    Issuer,
    KeyId,
    UnknownKey,
    KeyType,
    NoKeys,
    Signature,
    Expiry,
    Expired,
    NotYet,
    IssuedInFuture,
    Audience,
    RequiredClaim,
    Kind,
    Subject,
}

impl Reason {
    /// The code in log and audit.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::TooLarge => "token_too_large",
            Self::Malformed => "token_malformed",
            Self::Crit => "header_crit",
            Self::Type => "header_typ",
            Self::Algorithm => "algorithm_not_allowed",
            Self::Issuer => "issuer_unknown",
            Self::KeyId => "key_id_missing",
            Self::UnknownKey => "key_unknown",
            Self::KeyType => "key_type_mismatch",
            Self::NoKeys => "keys_unavailable",
            Self::Signature => "signature_invalid",
            Self::Expiry => "expiry_invalid",
            Self::Expired => "token_expired",
            Self::NotYet => "token_not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::Audience => "audience_mismatch",
            Self::RequiredClaim => "required_claim_mismatch",
            Self::Kind => "not_an_access_token",
            Self::Subject => "subject_missing",
        }
    }
}

/// What authentication trusts and holds.
#[derive(Clone, Debug)]
pub struct AuthnSettings {
    /// The trusted issuers.
    pub issuers: Vec<IssuerSettings>,
    /// Who is `platform_admin`: (issuer, subject) pairs.
    pub platform_admins: Vec<(String, String)>,
    /// Key for the hash under which a token is remembered.
    pub token_key: HashKey,
}

/// Verifies tokens and finds their users.
pub struct Authenticator {
    issuers: Vec<Issuer>,
    platform_admins: Vec<(String, String)>,
    token_key: HashKey,
    sessions: Sessions,
    store: Arc<dyn Store>,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl Authenticator {
    /// Prepares the issuers; nothing is fetched yet.
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
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(5))
            .build()?;
        let issuers = settings
            .issuers
            .into_iter()
            .map(|settings| Issuer {
                keys: jwks::Keys::new(&settings.issuer, settings.keys.clone(), http.clone()),
                settings,
            })
            .collect();
        Ok(Self {
            issuers,
            platform_admins: settings.platform_admins,
            token_key: settings.token_key,
            sessions: Sessions::default(),
            store,
            directory,
            clock,
            ids,
        })
    }

    /// The caller that a bearer token stands for.
    ///
    /// # Errors
    /// Where the token is refused, its tenant is unknown or off, its user is off, or keys or database are down.
    pub async fn authenticate(&self, bearer: Option<&str>, request: RequestId) -> Result<Caller, GateError> {
        let Some(token) = bearer else {
            return Err(self.refuse_token(Reason::Missing, request).await);
        };
        let hash = self.token_key.hash(token.as_bytes());
        let session = match self.sessions.get(&hash, self.clock.now()) {
            Some(session) if session.is_fresh() => session,
            Some(session) => self.refresh(&hash, session, &request).await?,
            None => self.first_use(token, &hash, &request).await?,
        };
        Ok(Caller::new(
            user_scope(session.tenant.id, session.user_id(), request),
            session.tenant,
            session.user,
            session.standing,
        ))
    }

    /// The grants that the configuration gives to this user.
    #[must_use]
    pub fn configured_grants(&self, issuer: &str, subject: &str) -> Vec<Grant> {
        let named = self.platform_admins.iter().any(|(i, s)| i == issuer && s == subject);
        if named { vec![Grant::PlatformAdmin] } else { Vec::new() }
    }

    async fn refresh(&self, hash: &str, known: Session, request: &RequestId) -> Result<Session, GateError> {
        let Some(tenant) = self.tenant(&known.tenant.id.to_string()).await? else {
            self.sessions.forget(hash);
            return Err(self.refuse(known.tenant.id, Some(known.user.id), "tenant_unmapped", request).await);
        };
        let scope = user_scope(tenant.id, known.user.id, request.clone());
        let mut tx = self.store.begin(&scope).await.map_err(GateError::Store)?;
        let membership = tx.users().membership(known.user.id).await.map_err(GateError::Store)?;
        drop(tx);
        let member = self.admit(hash, &tenant, membership, request).await?;
        Ok(self.keep(hash, tenant, member, known.expires_at))
    }

    async fn first_use(&self, token: &str, hash: &str, request: &RequestId) -> Result<Session, GateError> {
        let verified = match verify::verify(token, &self.issuers, self.clock.now()).await {
            Ok(verified) => verified,
            Err(reason) => return Err(self.refuse_token(reason, request.clone()).await),
        };
        let tenant = match &verified.tenant {
            Some(id_or_slug) => self.tenant(id_or_slug).await?,
            None => None,
        };
        let Some(tenant) = tenant else {
            return Err(self.refuse(TenantId::PLATFORM, None, "tenant_unmapped", request).await);
        };
        if let Some(code) = refusal(&tenant, &verified) {
            return Err(self.refuse(tenant.id, None, code, request).await);
        }
        let membership = self.sign_in(tenant.id, &verified, hash, request).await.map_err(GateError::Store)?;
        let member = self.admit(hash, &tenant, membership, request).await?;
        Ok(self.keep(hash, tenant, member, verified.expires_at))
    }

    /// Provisions or updates the user, and records the login if this token is new and the user switched on.
    async fn sign_in(
        &self,
        tenant: TenantId,
        verified: &Verified,
        hash: &str,
        request: &RequestId,
    ) -> Result<Option<Membership>, StoreError> {
        let now = self.clock.now();
        let new_id = UserId::from_uuid(self.ids.uuid());
        let mut tx = self.store.begin(&system_scope(tenant, request.clone())).await?;
        // Only a new token says what the user is now: one that was seen before, here or in another process, must not
        // undo what an admin has changed since.
        let user = match tx.users().user_of_token(hash).await? {
            Some(known) => known,
            None => tx.users().sign_in(new_id, &verified.identity, now).await?.id,
        };
        tx.commit().await?;

        let mut tx = self.store.begin(&user_scope(tenant, user, request.clone())).await?;
        let membership = tx.users().membership(user).await?;
        let is_on = membership.as_ref().is_some_and(|member| member.tenant_active && member.user.is_active);
        if is_on && tx.users().first_use_of_token(user, hash, verified.expires_at).await? {
            let metadata = json!({ "issuer": verified.identity.issuer });
            self.event(&mut *tx, EventType::AuthLogin, ResultStatus::Success, metadata).await?;
        }
        tx.commit().await?;
        Ok(membership)
    }

    /// The membership if user and tenant are switched on; otherwise the session ends.
    async fn admit(
        &self,
        hash: &str,
        tenant: &Tenant,
        membership: Option<Membership>,
        request: &RequestId,
    ) -> Result<Membership, GateError> {
        let user = membership.as_ref().map(|member| member.user.id);
        let code = match membership {
            Some(member) if member.tenant_active && tenant.is_active && member.user.is_active => return Ok(member),
            Some(member) if member.user.is_active => "tenant_suspended",
            _ => "user_disabled",
        };
        self.sessions.forget(hash);
        Err(self.refuse(tenant.id, user, code, request).await)
    }

    fn keep(&self, hash: &str, tenant: Tenant, member: Membership, expires_at: Timestamp) -> Session {
        let standing = member.standing(&self.configured_grants(&member.user.issuer, &member.user.external_id));
        let session = Session { tenant, user: member.user, standing, expires_at, read_at: Instant::now() };
        self.sessions.put(hash.to_owned(), session.clone(), self.clock.now());
        session
    }

    async fn tenant(&self, id_or_slug: &str) -> Result<Option<Tenant>, GateError> {
        self.directory.tenant(id_or_slug).await.map_err(GateError::Store)
    }

    async fn refuse_token(&self, reason: Reason, request: RequestId) -> GateError {
        tracing::warn!(request_id = %request, reason = reason.code(), "token refused");
        let metadata = json!({ "reason": reason.code() });
        self.record_refusal(TenantId::PLATFORM, None, metadata, request).await;
        match reason {
            Reason::NoKeys => GateError::KeysUnavailable,
            Reason::Missing => GateError::TokenMissing,
            other => GateError::Unauthenticated { reason: other.code() },
        }
    }

    async fn refuse(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        code: &'static str,
        request: &RequestId,
    ) -> GateError {
        let grounds = decision::recorded(&Trace::refused_at_the_door(code));
        let decision = self.record_refusal(tenant, user, grounds, request.clone()).await;
        let decision_id = decision.map(tracing::field::display);
        tracing::warn!(request_id = %request, tenant_id = %tenant, decision_id, reason = code, "caller refused");
        GateError::Refused { code, decision }
    }

    /// A refusal stands whether or not it can be recorded: nothing runs either way. Returns the row's id.
    async fn record_refusal(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        metadata: serde_json::Value,
        request: RequestId,
    ) -> Option<AuditId> {
        let scope = match user {
            Some(user) => user_scope(tenant, user, request.clone()),
            None => system_scope(tenant, request.clone()),
        };
        let recorded = async {
            let mut tx = self.store.begin(&scope).await?;
            let id = self.event(&mut *tx, EventType::AuthDenied, ResultStatus::Denied, metadata).await?;
            tx.commit().await.map(|()| id)
        };
        match recorded.await {
            Ok(id) => Some(id),
            Err(error) => {
                tracing::error!(request_id = %request, error = %error, "a refusal could not be recorded");
                None
            }
        }
    }

    async fn event(
        &self,
        tx: &mut dyn TenantTx,
        event: EventType,
        status: ResultStatus,
        metadata: serde_json::Value,
    ) -> Result<AuditId, StoreError> {
        let subject =
            AuditSubject { event, resource: None, resource_id: None, session: None, request_hash: None, metadata };
        let outcome = Outcome { subject, status, model: None, tools_used: Vec::new() };
        let id = AuditId::from_uuid(self.ids.uuid());
        tx.audit().event(id, &outcome, self.clock.now()).await.map(|()| id)
    }
}

fn refusal(tenant: &Tenant, verified: &Verified) -> Option<&'static str> {
    if !tenant.is_active {
        Some("tenant_suspended")
    } else if verified.groups_overage && verified.identity.role.is_none() {
        Some("groups_overage")
    } else if !verified.in_scope {
        Some("insufficient_scope")
    } else {
        None
    }
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
