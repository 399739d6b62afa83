//! Repositories: what can be done with rows, in domain words. They never begin or commit; not-found is `Ok(None)`.

use crate::access_token::{AccessToken, NewAccessToken};
use crate::audit::{AuditSubject, Outcome};
use crate::authorized::AuditReceipt;
use crate::budget::{Budgets, Reservation, ReserveOutcome, Spending};
use crate::conversation::{Conversation, ConversationPatch, FinishedAnswer, Message, NewMessage};
use crate::document::{
    Document, DocumentFilter, DocumentPatch, IngestionProgress, NewChunk, NewDocument, StatusChange,
};
use crate::idempotency::{IdempotencyRecord, StoredOutcome};
use crate::ids::{
    AccessTokenId, AuditId, ChunkId, ConversationId, DocumentId, MemoryId, MessageId, ReservationId, UserId,
};
use crate::ledger::{LedgerEntry, LedgerSums, UsageQuery};
use crate::login::Login;
use crate::memory::Memory;
use crate::page::{Page, PageRequest};
use crate::role::Classification;
use crate::search::{Passage, RankedPassage, SearchScope};
use crate::store_error::StoreError;
use crate::tenant::{StorageUsage, TenantSettings};
use crate::time::Timestamp;
use crate::user::{Identity, Membership, NewUser, User, UserPatch};
use async_trait::async_trait;

/// Conversations of the scope's user.
#[async_trait]
pub trait ConversationRepo: Send {
    /// Stores a new row.
    async fn insert(&mut self, conversation: &Conversation) -> Result<(), StoreError>;
    /// Reads one row; `None` if it does not exist or row security hides it.
    async fn get(&mut self, id: ConversationId) -> Result<Option<Conversation>, StoreError>;
    /// Lists a page, newest first.
    async fn list(&mut self, page: &PageRequest) -> Result<Page<Conversation>, StoreError>;
    /// Changes one row; `None` if there is none.
    async fn update(
        &mut self,
        id: ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError>;
    /// Deletes one with its messages; `false` where there is none.
    async fn delete(&mut self, id: ConversationId) -> Result<bool, StoreError>;
}

/// Messages of the scope's user.
#[async_trait]
pub trait MessageRepo: Send {
    /// Appends messages in this order, each with the next `seq`; concurrent turns never share one. `None` where the
    /// conversation is not there.
    async fn append(
        &mut self,
        conversation: ConversationId,
        messages: &[NewMessage],
        now: Timestamp,
    ) -> Result<Option<Vec<Message>>, StoreError>;
    /// Closes an answer that was appended as `streaming`, and raises its conversation's classification to it; `false`
    /// where it is not there or closed already.
    async fn finish(&mut self, id: MessageId, answer: &FinishedAnswer) -> Result<bool, StoreError>;
    /// The newest `limit` messages, oldest of them first.
    async fn newest(&mut self, conversation: ConversationId, limit: u32) -> Result<Vec<Message>, StoreError>;
    /// Closes answers that still say `streaming` and were begun before `before`: their process died. Returns how many.
    async fn fail_stale_answers(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}

/// What came of inserting a document.
#[derive(Clone, PartialEq, Debug)]
pub enum InsertedDocument {
    /// It is new.
    New(Document),
    /// The tenant has a document with the same bytes.
    Duplicate(Document),
}

/// Documents of the tenant.
#[async_trait]
pub trait DocumentRepo: Send {
    /// Stores a new one, or finds the one with the same bytes within `clearance`. One that is above it does not show:
    /// the new one is stored beside it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another that did not fail supersedes the same document.
    async fn insert(
        &mut self,
        document: &NewDocument,
        clearance: Classification,
        now: Timestamp,
    ) -> Result<InsertedDocument, StoreError>;
    /// Reads one within `clearance`.
    async fn get(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError>;
    /// Lists those within `clearance`, newest first.
    async fn list(
        &mut self,
        filter: &DocumentFilter,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Document>, StoreError>;
    /// Reads one within `clearance`; nobody else changes it until this transaction ends.
    async fn lock(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError>;
    /// Changes one; its passages follow its classification.
    async fn update(
        &mut self,
        id: DocumentId,
        patch: &DocumentPatch,
        now: Timestamp,
    ) -> Result<Option<Document>, StoreError>;
    /// How these are classified, or were when they were deleted, in no particular order. Those that never were there
    /// are left out.
    async fn classes(&mut self, ids: &[DocumentId]) -> Result<Vec<(DocumentId, Classification)>, StoreError>;
    /// Moves one on in ingestion; `false` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it had failed, and another supersedes the same document by now.
    async fn advance(&mut self, id: DocumentId, progress: &StatusChange, now: Timestamp) -> Result<bool, StoreError>;
    /// Notes how far ingestion has come; `false`, and nothing is noted, where the document is not being processed.
    async fn report(&mut self, id: DocumentId, progress: IngestionProgress) -> Result<bool, StoreError>;
    /// Deletes one with its passages and queued work; returns it, so that its bytes can follow.
    async fn delete(&mut self, id: DocumentId) -> Result<Option<Document>, StoreError>;
}

/// Passages of the tenant's documents.
///
/// A document's passages may be there in two generations, told apart by the embedding model: the one that is searched,
/// and one that is being made by the next model. Searches and readings see the first alone.
#[async_trait]
pub trait ChunkRepo: Send {
    /// Publishes a document: these passages, embedded by `model`, take the place of all that it had. `model` becomes
    /// the tenant's model in use, except while the tenant's documents are being embedded anew. Queues the building of
    /// a vector index where the tenant has grown past the limit.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the tenant has no such document; where the database is not available.
    async fn replace(
        &mut self,
        document: DocumentId,
        model: &str,
        chunks: &[NewChunk],
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Adds passages by the next model to a published document, or swaps those that were added before; searches go on
    /// with the old ones. Nothing happens where the document is published with `model` already.
    ///
    /// # Errors
    /// As [`Self::replace`].
    async fn stage(
        &mut self,
        document: DocumentId,
        model: &str,
        chunks: &[NewChunk],
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Published documents that have no passages by `model`, oldest first. Those that failed or were never published
    /// are not among them.
    ///
    /// # Errors
    /// If the database is not available.
    async fn unstaged(&mut self, model: &str, limit: u32) -> Result<Vec<DocumentId>, StoreError>;
    /// Makes `model` the one that is searched, for all documents at once, and removes what other models made. Changes
    /// nothing where documents are [`Self::unstaged`]: returns how many, 0 where the switch is done.
    ///
    /// # Errors
    /// If the database is not available.
    async fn switch_to(&mut self, model: &str, now: Timestamp) -> Result<usize, StoreError>;
    /// The model whose passages are searched; `None` before the first document is published.
    ///
    /// # Errors
    /// If the database is not available.
    async fn model_in_use(&mut self) -> Result<Option<String>, StoreError>;
    /// As [`Self::model_in_use`], and locks it: the model in use does not change until this transaction ends.
    ///
    /// # Errors
    /// If the database is not available.
    async fn lock_model_in_use(&mut self) -> Result<Option<String>, StoreError>;
    /// The passages nearest to a unit vector of `model`, by cosine similarity, best first: `limit`, or all that there
    /// are. Only of documents that are published and did not fail since, and that are in force today (UTC) unless the
    /// filters say otherwise.
    async fn nearest(
        &mut self,
        embedding: &[f32],
        model: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedPassage>, StoreError>;
    /// The passages that hold words of the query, by BM25, best first. Of the same documents as [`Self::nearest`],
    /// whatever their model.
    async fn lexical(&mut self, query: &str, scope: &SearchScope, limit: u32)
    -> Result<Vec<RankedPassage>, StoreError>;
    /// A document's passages in order, from `from_index` on.
    async fn of_document(
        &mut self,
        document: DocumentId,
        clearance: Classification,
        from_index: i32,
        limit: u32,
    ) -> Result<Vec<Passage>, StoreError>;
    /// The passages at these places (document, index), as far as they are there, searchable and within `clearance`, in
    /// no particular order.
    async fn at_positions(
        &mut self,
        places: &[(DocumentId, i32)],
        clearance: Classification,
    ) -> Result<Vec<Passage>, StoreError>;
    /// These passages, as far as they are there and within `clearance`, in no particular order.
    async fn by_ids(&mut self, ids: &[ChunkId], clearance: Classification) -> Result<Vec<Passage>, StoreError>;
}

/// Memories of the scope's user.
#[async_trait]
pub trait MemoryRepo: Send {
    /// Stores a new row.
    async fn insert(&mut self, memory: &Memory) -> Result<(), StoreError>;
    /// Reads one row; `None` if it does not exist or row security hides it.
    async fn get(&mut self, id: MemoryId) -> Result<Option<Memory>, StoreError>;
    /// Lists a page, newest first.
    async fn list(&mut self, page: &PageRequest) -> Result<Page<Memory>, StoreError>;
    /// The most important ones within `clearance` that have not expired, at most `limit`.
    async fn most_important(
        &mut self,
        now: Timestamp,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError>;
    /// Deletes one; `false` where there is none.
    async fn delete(&mut self, id: MemoryId) -> Result<bool, StoreError>;
}

/// Idempotency keys of the scope's user. Keys and fingerprints are keyed hashes.
#[async_trait]
pub trait IdempotencyRepo: Send {
    /// Claims a key until `expires_at` and returns `None`; if it is claimed and has not expired, returns the record of
    /// the earlier request. Of concurrent claims, one succeeds.
    async fn claim(
        &mut self,
        key_hash: &str,
        fingerprint: Option<&str>,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<IdempotencyRecord>, StoreError>;
    /// Stores the outcome of the request.
    async fn settle(&mut self, key_hash: &str, fingerprint: &str, kept: &StoredOutcome) -> Result<(), StoreError>;
    /// Releases a key whose request had no effect.
    async fn release(&mut self, key_hash: &str) -> Result<(), StoreError>;
}

/// Personal access tokens of the tenant. Revoked and expired ones stay, to be seen.
#[async_trait]
pub trait AccessTokenRepo: Send {
    /// Stores a new row.
    async fn insert(&mut self, token: &NewAccessToken, now: Timestamp) -> Result<AccessToken, StoreError>;
    /// Reads one row; `None` if it does not exist or row security hides it.
    async fn get(&mut self, id: AccessTokenId) -> Result<Option<AccessToken>, StoreError>;
    /// Lists them, newest first; only this user's if one is given.
    async fn list(&mut self, user: Option<UserId>, page: &PageRequest) -> Result<Page<AccessToken>, StoreError>;
    /// How many of a user's can be used at this time.
    async fn count_usable(&mut self, user: UserId, now: Timestamp) -> Result<u64, StoreError>;
    /// Revokes one; the time of an earlier revocation stays. `None` where there is none.
    async fn revoke(&mut self, id: AccessTokenId, now: Timestamp) -> Result<Option<AccessToken>, StoreError>;
    /// Records that one was used, unless that was recorded within the last minute.
    async fn record_use(&mut self, id: AccessTokenId, now: Timestamp) -> Result<(), StoreError>;
}

/// The audit log, to write to. Rows are only ever inserted.
#[async_trait]
pub trait AuditRepo: Send {
    /// Records that something is about to start. The receipt is worth something once the transaction committed.
    async fn intent(&mut self, id: AuditId, subject: &AuditSubject, now: Timestamp)
    -> Result<AuditReceipt, StoreError>;
    /// Records how it ended.
    async fn outcome(
        &mut self,
        id: AuditId,
        receipt: AuditReceipt,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Records something that needs no pair: a login, a refusal.
    async fn event(&mut self, id: AuditId, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError>;
}

/// Users of the tenant.
#[async_trait]
pub trait UserRepo: Send {
    /// Provisions the user at first login; at a later one brings e-mail, name and `last_login` up to date, and the role
    /// as [`AssignedRole::with_role_claim`](crate::assigned_role::AssignedRole::with_role_claim) says. Safe for parallel first
    /// requests: one row.
    async fn sign_in(&mut self, id: UserId, identity: &Identity, now: Timestamp) -> Result<User, StoreError>;
    /// Stores the facts of the user's login, unless those of a later token are stored already.
    async fn record_login(&mut self, user: UserId, login: &Login) -> Result<(), StoreError>;
    /// The facts of the user's last login; `None` if none are stored.
    async fn last_login(&mut self, user: UserId) -> Result<Option<Login>, StoreError>;
    /// The user who was signed in with a token (by the keyed hash of it) before, here or in another process.
    async fn user_by_token(&mut self, token_hash: &str) -> Result<Option<UserId>, StoreError>;
    /// Records that a token (by the keyed hash of it) was seen; `true` the first time.
    async fn record_token(&mut self, user: UserId, token_hash: &str, expires_at: Timestamp)
    -> Result<bool, StoreError>;
    /// The tenant's settings, for work that no user asked for.
    async fn settings(&mut self) -> Result<TenantSettings, StoreError>;
    /// The user with the tenant's state.
    async fn membership(&mut self, id: UserId) -> Result<Option<Membership>, StoreError>;
    /// Reads one row; `None` if it does not exist or row security hides it.
    async fn get(&mut self, id: UserId) -> Result<Option<User>, StoreError>;
    /// Lists a page, newest first.
    async fn list(&mut self, page: &PageRequest) -> Result<Page<User>, StoreError>;
    /// Creates one; a conflict if (issuer, external id) is taken.
    async fn insert(&mut self, user: &NewUser, now: Timestamp) -> Result<User, StoreError>;
    /// Changes one row; `None` if there is none.
    async fn update(&mut self, id: UserId, patch: UserPatch, now: Timestamp) -> Result<Option<User>, StoreError>;
    /// Locks the active admins until this transaction ends, and returns their ids.
    async fn lock_admins(&mut self) -> Result<Vec<UserId>, StoreError>;
}

/// What the tenant uses.
#[async_trait]
pub trait UsageRepo: Send {
    /// Stored documents and bytes, those of this transaction included. Once a transaction has added documents, others
    /// that add documents wait until it ends, so a quota that is checked against this stays met.
    async fn storage(&mut self) -> Result<StorageUsage, StoreError>;
    /// Records model calls of the scope's user. A call that is recorded already stays as it is and is not counted
    /// again.
    async fn record(&mut self, calls: &[LedgerEntry]) -> Result<(), StoreError>;
    /// What the tenant and the scope's user have spent in the day and month (UTC) of `now`, and what is reserved.
    async fn spending(&mut self, now: Timestamp) -> Result<Spending, StoreError>;
    /// Reserves an amount for the scope's user, or extends the reservation of the same id, as far as `budgets` allow.
    /// Other reservations of the tenant wait until this transaction ends, so spending and reservations together never
    /// exceed a limit.
    async fn reserve(
        &mut self,
        asked: &Reservation,
        budgets: &Budgets,
        now: Timestamp,
    ) -> Result<ReserveOutcome, StoreError>;
    /// Releases a reservation. An unknown id is not an error.
    async fn release(&mut self, id: ReservationId) -> Result<(), StoreError>;
    /// Sums of the tenant's model calls.
    async fn sums(&mut self, query: &UsageQuery) -> Result<LedgerSums, StoreError>;
}
