//! Fixture: a tenant, an issuer with a generated key, and a gate with mocked use cases.

pub mod issuer;
pub mod unwritable_audit;

use self::issuer::{AUDIENCE, ISSUER, Signer};
use domain::audit::{AuditFilter, AuditRecord};
use domain::conversation::Conversation;
use domain::document::{Document, NewDocument, Revision};
use domain::ids::{ConversationId, RequestId, TenantId};
use domain::page::PageRequest;
use domain::ports::{
    AuditReader as _, Clock as _, IdGen as _, InsertDocumentOutcome, NewTenant, Store, TenantDirectory as _,
};
use domain::role::{Classification, Grant, Role};
use domain::scope::{Actor, TenantScope};
use domain::user::{User, UserPatch};
use fakes::store_contract::{identity, scope};
use fakes::{InMemoryStore, ManualClock, SequentialIds};
use futures::FutureExt as _;
use policy::authn::settings::{
    ClaimNames, GroupsOverage, IssuerSettings, IssuerTenantMapping, KeySource, SignatureAlgorithm, default_role_mapping,
};
use policy::authn::{Authenticator, AuthnSettings};
use policy::caller::Caller;
use policy::error::GateError;
use policy::gate::{AccessQueries, GateDependencies, GateKeys, PolicyGate, UseCases};
use policy::keyed_hash::HashKey;
use runtime::use_case::MockUseCases;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

pub struct Fixture {
    pub store: InMemoryStore,
    pub clock: Arc<ManualClock>,
    pub ids: Arc<SequentialIds>,
    pub tasks: TaskTracker,
    pub tenant: TenantId,
    pub signer: Signer,
    /// Directory of the issuer's `jwks.json`.
    pub key_dir: tempfile::TempDir,
}

impl Fixture {
    /// Creates the fixture with the tenant `plant-a`.
    pub async fn new() -> Self {
        let (clock, ids) = (Arc::new(ManualClock::default()), Arc::new(SequentialIds::default()));
        let store = InMemoryStore::new(clock.clone());
        let tenant = TenantId::from_uuid(ids.uuid());
        let new_tenant = NewTenant { id: tenant, name: "Plant A".to_owned(), slug: "plant-a".to_owned() };
        store.create_tenant(new_tenant).await.expect("a new tenant");
        let (signer, key_dir) = (Signer::new("k1"), tempfile::tempdir().expect("temporary directory"));
        // An RSA key, which does not fit the algorithm of the tokens. Its values do not matter.
        let rsa = json!({"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB"});
        let set = json!({"keys": [signer.jwk(), rsa]}).to_string();
        std::fs::write(key_dir.path().join("jwks.json"), set).expect("writable");
        Self { store, clock, ids, tasks: TaskTracker::new(), tenant, signer, key_dir }
    }

    pub fn issuer(&self, keys: KeySource) -> IssuerSettings {
        IssuerSettings {
            issuer: ISSUER.to_owned(),
            audiences: vec![AUDIENCE.to_owned()],
            algorithms: vec![SignatureAlgorithm::Es256],
            accept_high_s: false,
            keys,
            claims: ClaimNames::default(),
            roles: default_role_mapping(),
            tenants: IssuerTenantMapping::Mapped([("plant-a".to_owned(), "plant-a".to_owned())].into()),
            accepted_issuers: Vec::new(),
            required_scope: None,
            required_role: None,
            required_claim: Some(("tid".to_owned(), "t1".to_owned())),
            max_age_s: None,
            guest_directories: Vec::new(),
            groups_overage: GroupsOverage::Refuse,
        }
    }

    pub fn key_file(&self) -> KeySource {
        KeySource::File(self.key_dir.path().join("jwks.json"))
    }

    pub fn authenticator(&self) -> Authenticator {
        self.authenticator_with(vec![self.issuer(self.key_file())])
    }

    pub fn authenticator_with(&self, issuers: Vec<IssuerSettings>) -> Authenticator {
        let token_key = HashKey::derive(b"secret", "token");
        let settings = AuthnSettings {
            issuers,
            platform_admins: Vec::new(),
            token_key,
            key_cache_dir: None,
            login_max_age_days: 30,
            refusals_per_minute: 60,
        };
        let store = Arc::new(self.store.clone());
        Authenticator::new(settings, store.clone(), store, self.clock.clone(), self.ids.clone())
            .expect("an HTTP client")
    }

    /// Returns the hash of a token's JWS Signing Input, by which used tokens are recognized.
    pub fn signing_input_hash(&self, token: &str) -> String {
        let (signing_input, _) = token.rsplit_once('.').expect("a token");
        HashKey::derive(b"secret", "token").hash(signing_input.as_bytes())
    }

    /// Returns the claims of a valid token of `subject`.
    pub fn claims(&self, subject: &str, role: &str) -> Value {
        let now = self.clock.now().timestamp();
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "tid": "t1", "roles": [role],
            "extension_PlatformTenantId": "plant-a", "iat": now, "exp": now + 100,
        })
    }

    pub fn gate(&self, use_cases: UseCases) -> PolicyGate {
        self.gate_with_store(Arc::new(self.store.clone()), use_cases)
    }

    pub fn gate_with_store(&self, store: Arc<dyn Store>, mut use_cases: UseCases) -> PolicyGate {
        let authn = Arc::new(self.authenticator());
        use_cases.access = Arc::new(AccessQueries::new(Arc::clone(&authn), Arc::clone(&store)));
        let dependencies =
            GateDependencies { store, clock: self.clock.clone(), ids: self.ids.clone(), tasks: self.tasks.clone() };
        PolicyGate::new(authn, use_cases, GateKeys::derive(b"secret"), dependencies)
    }

    /// Waits until no command is in flight.
    pub async fn wait_for_commands(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub async fn user(&self, name: &str, role: Role) -> Caller {
        let mut tx = self.store.begin(&scope(self.tenant, Actor::System)).await.expect("in-memory store");
        let id = self.ids.uuid().into();
        let user =
            tx.users().sign_in(id, &identity(name, Some(role)), self.clock.now()).await.expect("in-memory store");
        let member = tx.users().membership(user.id).await.expect("in-memory store").expect("new user");
        tx.commit().await.expect("in-memory store");
        let tenant = self.store.tenant("plant-a").await.expect("in-memory store").expect("tenant of the fixture");
        Caller::new(scope(self.tenant, Actor::User(user.id)), tenant, user, member.entitlements(&[]))
    }

    pub async fn deactivate(&self, user: &User) {
        self.patch(user, UserPatch { is_active: Some(false), ..UserPatch::default() }).await;
    }

    pub async fn grant(&self, user: &User, grants: Vec<Grant>) {
        self.patch(user, UserPatch { grants: Some(grants), ..UserPatch::default() }).await;
    }

    pub async fn patch(&self, user: &User, patch: UserPatch) {
        let mut tx = self.store.begin(&scope(self.tenant, Actor::System)).await.expect("in-memory store");
        tx.users().update(user.id, patch, self.clock.now()).await.expect("in-memory store").expect("exists");
        tx.commit().await.expect("in-memory store");
    }

    pub async fn conversation(&self, owner: &Caller) -> ConversationId {
        let conversation = conversation(owner, self.ids.uuid().into(), self.clock.now());
        let mut tx = self.store.begin(owner.scope()).await.expect("in-memory store");
        tx.conversations().insert(&conversation).await.expect("in-memory store");
        tx.commit().await.expect("in-memory store");
        conversation.id
    }

    pub async fn document(&self, owner: &Caller, classification: Classification) -> Document {
        let new_document = NewDocument {
            id: self.ids.uuid().into(),
            filename: "sop.pdf".to_owned(),
            title: "SOP".to_owned(),
            mime_type: "application/pdf".to_owned(),
            file_size_bytes: 3,
            sha256: self.ids.uuid().simple().to_string().repeat(2),
            storage_path: "k".to_owned(),
            doc_type: None,
            tags: Vec::new(),
            classification,
            revision: Revision::default(),
            metadata: json!({}),
            uploaded_by: owner.user().id,
        };
        let mut tx = self.store.begin(owner.scope()).await.expect("in-memory store");
        let outcome = tx
            .documents()
            .insert(&new_document, Classification::Restricted, self.clock.now())
            .await
            .expect("in-memory store");
        tx.commit().await.expect("in-memory store");
        match outcome {
            InsertDocumentOutcome::New(document) => document,
            InsertDocumentOutcome::Duplicate(_) => panic!("the document is a duplicate"),
        }
    }

    /// Committed audit rows of a tenant, oldest first.
    pub fn audit_rows_of(&self, tenant: TenantId) -> Vec<AuditRecord> {
        committed_rows(&self.store, &scope(tenant, Actor::System))
    }

    pub fn audit_rows(&self) -> Vec<AuditRecord> {
        self.audit_rows_of(self.tenant)
    }
}

/// Committed audit rows of the scope's tenant, oldest first. Does not need to wait, since reads of the in-memory store
/// are always ready.
pub fn committed_rows(store: &InMemoryStore, scope: &TenantScope) -> Vec<AuditRecord> {
    let page = PageRequest::new(PageRequest::MAX_LIMIT, None).expect("within bounds");
    let filter = AuditFilter::default();
    let read = store.read(scope, &filter, &page).now_or_never().expect("ready");
    let mut rows = read.expect("in-memory store").items;
    rows.reverse();
    rows
}

pub fn conversation(owner: &Caller, id: ConversationId, now: domain::time::Timestamp) -> Conversation {
    Conversation {
        id,
        user_id: owner.user().id,
        title: None,
        model: None,
        metadata: json!({}),
        classification: Classification::Public,
        archived: false,
        active_message_id: None,
        is_busy: false,
        team_id: None,
        created_at: now,
        updated_at: now,
    }
}

pub async fn authenticate(authenticator: &Authenticator, token: &str) -> Result<Caller, GateError> {
    authenticator.authenticate(Some(token), request_id().into()).await
}

/// Sets the claim `name` to `value`, or removes it if `value` is null.
pub fn with_claim(mut claims: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        claims.as_object_mut().expect("an object").remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

pub fn request_id() -> RequestId {
    RequestId::parse("r-1").expect("well formed")
}

/// Use cases that panic when they are called.
pub fn unreachable_use_cases() -> UseCases {
    UseCases::new(MockUseCases::new())
}
