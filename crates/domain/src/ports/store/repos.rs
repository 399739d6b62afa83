//! Repositories: operations on rows as domain types. They never begin or commit a transaction; a missing row is
//! `Ok(None)`.

use crate::access_token::{AccessToken, NewAccessToken};
use crate::audit::{AuditedOperation, Outcome};
use crate::authorized::AuditReceipt;
use crate::budget::{Budgets, ReservationOutcome, ReservationRequest, Spending};
use crate::conversation::{
    BranchSummary, Conversation, ConversationFilter, ConversationPatch, FinishedAnswer, Message, NewMessage,
};
use crate::document::{
    Document, DocumentFilter, DocumentPatch, IngestionProgress, NewChunk, NewDocument, StatusChange,
};
use crate::feedback::{Feedback, Rating};
use crate::idempotency::{IdempotencyRecord, StoredOutcome};
use crate::ids::{AccessTokenId, AuditId, ChunkId, ConversationId, DocumentId, MessageId, ReservationId, UserId};
use crate::ledger::{LedgerAggregates, LedgerEntry, UsageQuery};
use crate::login::LoginClaims;
use crate::page::{Page, PageRequest};
use crate::role::Classification;
use crate::search::{LexicalQuery, Passage, RankedCandidate, SearchScope};
use crate::store_error::StoreError;
use crate::tenant::{StorageUsage, TenantSettings};
use crate::time::Timestamp;
use crate::user::{Identity, Membership, NewUser, User, UserPatch};
use async_trait::async_trait;
use uuid::Uuid;

/// Conversations of the scope's user.
#[async_trait]
pub trait ConversationRepo: Send {
    /// Inserts a conversation.
    async fn insert(&mut self, conversation: &Conversation) -> Result<(), StoreError>;
    /// Reads one row; `None` if it does not exist or row security hides it.
    async fn get(&mut self, id: ConversationId) -> Result<Option<Conversation>, StoreError>;
    /// Lists the conversations that match the filter, newest first. The text search skips answers that are above
    /// `clearance` or whose sources now are.
    async fn list(
        &mut self,
        filter: &ConversationFilter,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Conversation>, StoreError>;
    /// Changes one row; `None` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the active message does not belong to the conversation.
    async fn update(
        &mut self,
        id: ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError>;
    /// Gives the conversation a title; `false`, without a change, if it does not exist or already has a title.
    async fn set_first_title(&mut self, id: ConversationId, title: &str) -> Result<bool, StoreError>;
    /// Deletes a conversation with its messages; `false` if it does not exist.
    async fn delete(&mut self, id: ConversationId) -> Result<bool, StoreError>;
}

/// Messages of the scope's user.
#[async_trait]
pub trait MessageRepo: Send {
    /// Appends messages in this order: the first follows `parent`, each other one the message before it, and the last
    /// becomes the end of the active branch. Each gets the next `seq`, which is unique even among concurrent turns.
    /// `None` if the conversation does not exist, or there are no messages.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if one of them is `streaming` while another answer of the conversation is streaming, or
    /// if `parent` is not a message of the conversation. The transaction cannot continue.
    async fn append(
        &mut self,
        conversation: ConversationId,
        parent: Option<MessageId>,
        messages: &[NewMessage],
        now: Timestamp,
    ) -> Result<Option<Vec<Message>>, StoreError>;
    /// Reads one row; `None` if it does not exist or row security hides it.
    async fn get(&mut self, id: MessageId) -> Result<Option<Message>, StoreError>;
    /// The branch that leads to `last`: at most the newest `limit` messages of it, in ascending order. Empty if `last`
    /// is not a message of the conversation.
    async fn branch(
        &mut self,
        conversation: ConversationId,
        last: MessageId,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError>;
    /// Completes an answer that was appended as `streaming`, and raises its conversation's classification to that of
    /// the answer if it is higher; `false` if the answer does not exist or was completed before. Also completes an
    /// answer that [`Self::fail_abandoned_answers`] has marked as failed.
    async fn finish(&mut self, id: MessageId, answer: &FinishedAnswer) -> Result<bool, StoreError>;
    /// Stores the summary of the branch that leads to `last`, in place of an earlier one; `false` if the message does
    /// not exist.
    async fn summarize(&mut self, last: MessageId, summary: &BranchSummary) -> Result<bool, StoreError>;
    /// The newest `limit` messages of all branches, in ascending order.
    async fn newest(&mut self, conversation: ConversationId, limit: u32) -> Result<Vec<Message>, StoreError>;
    /// Marks as failed the answers that are still `streaming` although their process has died or they were started
    /// before `before`. Returns how many.
    async fn fail_abandoned_answers(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}

/// Feedback on answers: users change only their own feedback; lists contain that of the whole tenant.
#[async_trait]
pub trait FeedbackRepo: Send {
    /// Stores the rating of an answer, in place of an earlier one. `None` if the scope's user has no such answer.
    async fn rate(
        &mut self,
        message: MessageId,
        rating: Rating,
        comment: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Feedback>, StoreError>;
    /// Removes the user's rating of an answer; `false` if there is none.
    async fn delete(&mut self, message: MessageId) -> Result<bool, StoreError>;
    /// Lists the tenant's feedback, newest first; only of one rating if one is given.
    async fn list(&mut self, rating: Option<Rating>, page: &PageRequest) -> Result<Page<Feedback>, StoreError>;
}

/// The result of inserting a document.
#[derive(Clone, PartialEq, Debug)]
pub enum InsertDocumentOutcome {
    /// The document was inserted.
    New(Document),
    /// The tenant already has a document with the same content; nothing was inserted.
    Duplicate(Document),
}

/// Documents of the tenant.
#[async_trait]
pub trait DocumentRepo: Send {
    /// Inserts a document, or returns the existing one with the same content within `clearance`. An existing one above
    /// `clearance` is not disclosed: the new document is stored in addition.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another document, which has not failed, supersedes the same document.
    async fn insert(
        &mut self,
        document: &NewDocument,
        clearance: Classification,
        now: Timestamp,
    ) -> Result<InsertDocumentOutcome, StoreError>;
    /// Reads a document; `None` if it does not exist or is above `clearance`.
    async fn get(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError>;
    /// Lists the documents within `clearance` that match the filter, newest first.
    async fn list(
        &mut self,
        filter: &DocumentFilter,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Document>, StoreError>;
    /// Like [`Self::get`], and locks the row until this transaction ends.
    async fn lock(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError>;
    /// Changes a document; its passages get the same classification. `None` if it does not exist.
    async fn update(
        &mut self,
        id: DocumentId,
        patch: &DocumentPatch,
        now: Timestamp,
    ) -> Result<Option<Document>, StoreError>;
    /// The classifications of these documents, in no particular order; for a deleted document, the one that it had when
    /// it was deleted. Unknown ids are omitted.
    async fn classifications(&mut self, ids: &[DocumentId]) -> Result<Vec<(DocumentId, Classification)>, StoreError>;
    /// Changes the ingestion status of a document; `false` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the document had failed and another one now supersedes the same document.
    async fn set_status(&mut self, id: DocumentId, change: &StatusChange, now: Timestamp) -> Result<bool, StoreError>;
    /// Stores the progress of ingestion; `false`, without a change, if the document is not being processed.
    async fn update_progress(&mut self, id: DocumentId, progress: IngestionProgress) -> Result<bool, StoreError>;
    /// Deletes a document with its passages and queued jobs. Returns it, so that the caller can delete its file.
    async fn delete(&mut self, id: DocumentId) -> Result<Option<Document>, StoreError>;
}

/// Passages of the tenant's documents.
///
/// A document may have two generations of passages, distinguished by the embedding model: the one that is searched, and
/// one that is being built with the next model. Searches and reads see only the first.
#[async_trait]
pub trait ChunkRepo: Send {
    /// Publishes a document: replaces all its passages with these, embedded by `model`. `model` becomes the tenant's
    /// model in use, except during a reindex. Queues the building of a vector index if the tenant has grown beyond the
    /// limit.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the tenant has no such document; or if the database is not available.
    async fn replace(
        &mut self,
        document: DocumentId,
        model: &str,
        chunks: &[NewChunk],
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Stores passages embedded by the next model for a published document, replacing any that were staged before;
    /// searches continue to use the old ones. Does nothing if the document is already published with `model`.
    ///
    /// # Errors
    /// The same as for [`Self::replace`].
    async fn stage(
        &mut self,
        document: DocumentId,
        model: &str,
        chunks: &[NewChunk],
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Published documents without passages embedded by `model`, oldest first. Documents that failed or were never
    /// published are not included.
    ///
    /// # Errors
    /// If the database is not available.
    async fn list_unstaged(&mut self, model: &str, limit: u32) -> Result<Vec<DocumentId>, StoreError>;
    /// Makes `model` the model in use for all documents at once, and deletes the passages of other models. Changes
    /// nothing while there are documents that [`Self::list_unstaged`] would list; returns their number, 0 if the switch
    /// was made.
    ///
    /// # Errors
    /// If the database is not available.
    async fn switch_model(&mut self, model: &str, now: Timestamp) -> Result<usize, StoreError>;
    /// The model whose passages are searched; `None` before the first document is published.
    ///
    /// # Errors
    /// If the database is not available.
    async fn model_in_use(&mut self) -> Result<Option<String>, StoreError>;
    /// Like [`Self::model_in_use`], but locks it: the model in use cannot change until this transaction ends.
    ///
    /// # Errors
    /// If the database is not available.
    async fn lock_model_in_use(&mut self) -> Result<Option<String>, StoreError>;
    /// The `limit` passages nearest to a unit vector of `model`, by cosine similarity, best first. Includes only
    /// published documents that have not failed since and, unless the filters include superseded ones, are in force
    /// today (UTC). The caller reads the texts with [`Self::get_by_ids`]. In one transaction, call this after
    /// [`Self::search_lexical`]: it may leave planner settings that suit only simple reads.
    async fn search_vector(
        &mut self,
        embedding: &[f32],
        model: &str,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedCandidate>, StoreError>;
    /// The passages that contain words of the query or their synonyms, ranked by BM25, best first. Considers the same
    /// documents as [`Self::search_vector`], regardless of their model.
    async fn search_lexical(
        &mut self,
        query: &LexicalQuery,
        scope: &SearchScope,
        limit: u32,
    ) -> Result<Vec<RankedCandidate>, StoreError>;
    /// A document's passages in order, starting at index `from_index`.
    async fn list_by_document(
        &mut self,
        document: DocumentId,
        clearance: Classification,
        from_index: i32,
        limit: u32,
    ) -> Result<Vec<Passage>, StoreError>;
    /// The passages at these positions (document, index) that exist, are searchable and are within `clearance`, in no
    /// particular order.
    async fn get_by_positions(
        &mut self,
        positions: &[(DocumentId, i32)],
        clearance: Classification,
    ) -> Result<Vec<Passage>, StoreError>;
    /// The passages with these ids that exist, are searchable and are within `clearance`, in no particular order.
    async fn get_by_ids(&mut self, ids: &[ChunkId], clearance: Classification) -> Result<Vec<Passage>, StoreError>;
}

/// Idempotency keys of the scope's user. Keys and fingerprints are passed as keyed hashes.
#[async_trait]
pub trait IdempotencyRepo: Send {
    /// Claims a key until `expires_at` and returns `None`. If the key is already claimed and has not expired, returns
    /// the record of the earlier request. Of concurrent claims, exactly one succeeds.
    async fn claim(
        &mut self,
        key_hash: &str,
        fingerprint: Option<&str>,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<IdempotencyRecord>, StoreError>;
    /// Stores the outcome of the request.
    async fn complete(&mut self, key_hash: &str, fingerprint: &str, outcome: &StoredOutcome) -> Result<(), StoreError>;
    /// Releases a key whose request had no effect.
    async fn release(&mut self, key_hash: &str) -> Result<(), StoreError>;
}

/// Personal access tokens of the tenant. Revoked and expired tokens are kept and listed.
#[async_trait]
pub trait AccessTokenRepo: Send {
    /// Inserts a token and returns its row.
    async fn insert(&mut self, token: &NewAccessToken, now: Timestamp) -> Result<AccessToken, StoreError>;
    /// Reads one row; `None` if it does not exist or row security hides it.
    async fn get(&mut self, id: AccessTokenId) -> Result<Option<AccessToken>, StoreError>;
    /// Lists the tokens, newest first; only those of `user` if one is given.
    async fn list(&mut self, user: Option<UserId>, page: &PageRequest) -> Result<Page<AccessToken>, StoreError>;
    /// Number of a user's tokens that are neither revoked nor expired at `now`.
    async fn count_usable(&mut self, user: UserId, now: Timestamp) -> Result<u64, StoreError>;
    /// Revokes a token; if it was revoked before, the earlier time is kept. `None` if it does not exist.
    async fn revoke(&mut self, id: AccessTokenId, now: Timestamp) -> Result<Option<AccessToken>, StoreError>;
    /// Records the use of a token, unless one was recorded within the last minute.
    async fn record_use(&mut self, id: AccessTokenId, now: Timestamp) -> Result<(), StoreError>;
}

/// The audit log, for inserting rows. Rows are never changed.
#[async_trait]
pub trait AuditRepo: Send {
    /// Records that an operation is about to start. The receipt is valid only once the transaction has committed.
    async fn record_intent(
        &mut self,
        id: AuditId,
        operation: &AuditedOperation,
        now: Timestamp,
    ) -> Result<AuditReceipt, StoreError>;
    /// Records the outcome of an operation.
    async fn record_outcome(
        &mut self,
        id: AuditId,
        receipt: AuditReceipt,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Records an event without an intent: a login or a refusal, for instance.
    async fn record_event(&mut self, id: AuditId, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError>;
    /// Records one of several events of an operation that takes longer than a request, such as an approval. All have
    /// the same `correlation`, which is not the id of an intent.
    async fn record_correlated_event(
        &mut self,
        id: AuditId,
        correlation: Uuid,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}

/// Users of the tenant.
#[async_trait]
pub trait UserRepo: Send {
    /// Creates the user at the first login; at later ones updates email, name and `last_login`, and the role according
    /// to [`AssignedRole::with_role_claim`](crate::assigned_role::AssignedRole::with_role_claim). Concurrent first
    /// requests create only one row.
    async fn sign_in(&mut self, id: UserId, identity: &Identity, now: Timestamp) -> Result<User, StoreError>;
    /// Stores the claims of the user's login, unless those of a later token are stored.
    async fn record_login(&mut self, user: UserId, login: &LoginClaims) -> Result<(), StoreError>;
    /// The claims of the user's last login; `None` if none are stored.
    async fn last_login_claims(&mut self, user: UserId) -> Result<Option<LoginClaims>, StoreError>;
    /// The user whose token with this keyed hash any process has seen; `None` if none has.
    async fn user_by_token(&mut self, token_hash: &str) -> Result<Option<UserId>, StoreError>;
    /// Adds the keyed hash of a token to the hashes of the tokens already seen, so that each token is recorded as a
    /// login only once; `true` if it had not been seen.
    async fn mark_token_seen(
        &mut self,
        user: UserId,
        token_hash: &str,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError>;
    /// The tenant's settings, for work without a user.
    async fn tenant_settings(&mut self) -> Result<TenantSettings, StoreError>;
    /// The user with the user's tenant; `None` if the user does not exist.
    async fn membership(&mut self, id: UserId) -> Result<Option<Membership>, StoreError>;
    /// Reads one row; `None` if it does not exist or row security hides it.
    async fn get(&mut self, id: UserId) -> Result<Option<User>, StoreError>;
    /// Lists a page of the users, newest first.
    async fn list(&mut self, page: &PageRequest) -> Result<Page<User>, StoreError>;
    /// Creates a user; [`StoreError::Conflict`] if another user has the same issuer and external id.
    async fn insert(&mut self, user: &NewUser, now: Timestamp) -> Result<User, StoreError>;
    /// Changes one row; `None` if it does not exist.
    async fn update(&mut self, id: UserId, patch: UserPatch, now: Timestamp) -> Result<Option<User>, StoreError>;
    /// The active users among `named`, and with `with_grant` those who have the grant `approver`, at most 500.
    async fn active_approvers(&mut self, named: &[UserId], with_grant: bool) -> Result<Vec<User>, StoreError>;
    /// Locks the rows of the active admins until this transaction ends, and returns their ids.
    async fn lock_admins(&mut self) -> Result<Vec<UserId>, StoreError>;
}

/// Storage, spending and model calls of the tenant.
#[async_trait]
pub trait UsageRepo: Send {
    /// Stored documents and bytes, including those of this transaction. Once a transaction has added documents, others
    /// that add documents wait until it ends, so a quota checked against this value is not exceeded.
    async fn storage_usage(&mut self) -> Result<StorageUsage, StoreError>;
    /// Records model calls of the scope's user. A call that is already recorded is left unchanged and not counted
    /// again.
    async fn record_calls(&mut self, calls: &[LedgerEntry]) -> Result<(), StoreError>;
    /// Spending of the tenant and the scope's user in the day and month (UTC) of `now`, and their reservations.
    async fn spending(&mut self, now: Timestamp) -> Result<Spending, StoreError>;
    /// Reserves an amount for the scope's user, or extends the reservation of the same id, as far as `budgets` allow.
    /// Other reservations of the tenant wait until this transaction ends, so spending and reservations together never
    /// exceed a limit.
    async fn reserve(
        &mut self,
        request: &ReservationRequest,
        budgets: &Budgets,
        now: Timestamp,
    ) -> Result<ReservationOutcome, StoreError>;
    /// Releases a reservation. An unknown id is not an error.
    async fn release_reservation(&mut self, id: ReservationId) -> Result<(), StoreError>;
    /// Aggregates the tenant's model calls that match the query.
    async fn aggregate_calls(&mut self, query: &UsageQuery) -> Result<LedgerAggregates, StoreError>;
}
