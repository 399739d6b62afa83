//! What every store must do, whichever way it keeps its rows: one suite for PostgreSQL and for the in-memory fake.
//!
//! ```ignore
//! async fn world() -> Result<(World, impl Sized), CaseError> { … }   // a fresh one for each case, and what keeps it
//! alive fakes::store_suite!(world);
//! ```

mod access_tokens;
mod audit;
mod blobs;
mod conversations;
mod directory;
mod documents;
mod generations;
mod idempotency;
mod jobs;
mod search;
mod usage;
mod users;

pub use access_tokens::*;
pub use audit::*;
pub use blobs::*;
pub use conversations::*;
pub use directory::*;
pub use documents::*;
pub use generations::*;
pub use idempotency::*;
pub use jobs::*;
pub use search::*;
pub use usage::*;
pub use users::*;

use crate::{ManualClock, SequentialIds};
use chrono::TimeDelta;
use domain::document::{Document, NewDocument, Revision};
use domain::ids::{DocumentId, RequestId, TenantId, UserId};
use domain::ports::{
    AuditReader, BlobStore, Clock, Directory, IdGen, InsertedDocument, JobQueue, NewTenant, Store, TenantTx,
};
use domain::role::{Classification, Role};
use domain::scope::{Actor, TenantScope};
use domain::time::Timestamp;
use domain::user::Identity;
use serde_json::json;
use std::sync::Arc;

/// Why a case could not be carried out; a broken expectation panics instead.
pub type CaseError = Box<dyn std::error::Error + Send + Sync>;
/// What a case returns.
pub type CaseResult = Result<(), CaseError>;

/// A store with everything that belongs to it, empty at first.
pub struct World {
    /// Opens transactions of one tenant.
    pub store: Arc<dyn Store>,
    /// Finds and changes tenants.
    pub directory: Arc<dyn Directory>,
    /// The worker's side of the queue.
    pub queue: Arc<dyn JobQueue>,
    /// The auditor's side of the log.
    pub audit: Arc<dyn AuditReader>,
    /// Stores documents' bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// The time that the cases give to repositories.
    pub clock: Arc<ManualClock>,
    /// The ids that the cases give to rows.
    pub ids: Arc<SequentialIds>,
}

impl World {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A moment later than all before.
    pub(super) fn later(&self) -> Timestamp {
        self.clock.advance(TimeDelta::seconds(1));
        self.clock.now()
    }

    pub(super) fn id<T: From<uuid::Uuid>>(&self) -> T {
        self.ids.uuid().into()
    }

    pub(super) async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, CaseError> {
        Ok(self.store.begin(scope).await?)
    }

    /// A tenant with two users.
    pub(super) async fn plant(&self, slug: &str) -> Result<Plant, CaseError> {
        let tenant = NewTenant { id: self.id(), name: format!("Plant {slug}"), slug: slug.to_owned() };
        let tenant = self.directory.create_tenant(tenant).await?.id;
        let ada = self.user(tenant, "ada").await?;
        let bob = self.user(tenant, "bob").await?;
        Ok(Plant { tenant, ada, bob })
    }

    async fn user(&self, tenant: TenantId, name: &str) -> Result<TenantScope, CaseError> {
        let mut tx = self.begin(&scope(tenant, Actor::System)).await?;
        let user = tx.users().sign_in(self.id(), &identity(name, Some(Role::User)), self.now()).await?;
        tx.commit().await?;
        Ok(scope(tenant, Actor::User(user.id)))
    }

    /// Records a document of the scope's user.
    pub(super) async fn document(&self, scope: &TenantScope, sha: char) -> Result<Document, CaseError> {
        let new = self.new_document(owner(scope)?, sha);
        let mut tx = self.begin(scope).await?;
        let inserted = tx.documents().insert(&new, Classification::Restricted, self.later()).await?;
        tx.commit().await?;
        match inserted {
            InsertedDocument::New(document) => Ok(document),
            InsertedDocument::Duplicate(_) => Err("the document is there already".into()),
        }
    }

    pub(super) fn new_document(&self, uploaded_by: UserId, sha: char) -> NewDocument {
        let id: DocumentId = self.id();
        NewDocument {
            id,
            filename: format!("{sha}.pdf"),
            title: format!("Document {sha}"),
            mime_type: "application/pdf".to_owned(),
            file_size_bytes: 3,
            sha256: sha.to_string().repeat(64),
            storage_path: id.to_string(),
            doc_type: Some("manual".to_owned()),
            tags: vec!["pumps".to_owned()],
            classification: Classification::Internal,
            revision: Revision::default(),
            metadata: json!({}),
            uploaded_by,
        }
    }
}

/// A tenant and two of its users.
pub(super) struct Plant {
    pub(super) tenant: TenantId,
    pub(super) ada: TenantScope,
    pub(super) bob: TenantScope,
}

/// A scope for a test: whoever calls this plays the part of those who may say for whom work runs.
#[expect(clippy::disallowed_methods, reason = "the suite plays the part of those who may say for whom work runs")]
#[must_use]
pub fn scope(tenant: TenantId, actor: Actor) -> TenantScope {
    TenantScope::mint(tenant, actor, RequestId::from_uuid(uuid::Uuid::nil()))
}

pub(super) fn owner(scope: &TenantScope) -> Result<UserId, CaseError> {
    scope.user().ok_or_else(|| "the scope has no user".into())
}

/// A token's claims of a person whose subject, e-mail and name are alike.
#[must_use]
pub fn identity(subject: &str, role: Option<Role>) -> Identity {
    Identity {
        issuer: "https://issuer.test".to_owned(),
        subject: subject.to_owned(),
        email: Some(format!("{subject}@plant.test")),
        name: Some(subject.to_uppercase()),
        role,
        // After whatever a case does: what the token says of the role is heard.
        issued_at: Timestamp::from_timestamp(4_000_000_000, 0),
    }
}

/// What must be there.
pub(super) fn some<T>(value: Option<T>) -> Result<T, CaseError> {
    value.ok_or_else(|| "something that must be there is not".into())
}

/// Writes one test for each case of the suite. `$world` names an async function without arguments that returns
/// `Result<(World, K), CaseError>`: a fresh world, and a value that keeps it alive.
#[macro_export]
macro_rules! store_suite {
    ($world:path) => {
        $crate::store_suite! { @cases $world:
            conversations_are_listed_newest_first_page_by_page
            a_conversation_changes_only_where_the_patch_says
            nobody_else_sees_a_users_conversation
            messages_are_numbered_in_order_across_transactions
            concurrent_turns_never_share_a_seq
            an_answer_is_closed_once
            a_conversation_is_classified_as_high_as_its_answers
            abandoned_answers_are_closed
            deleting_a_conversation_takes_its_messages
            a_dropped_transaction_leaves_nothing
            memories_belong_to_one_user
            the_most_important_memories_come_first
            an_idempotency_key_is_claimed_once
            an_idempotency_key_is_given_up_or_spent
            an_idempotency_key_is_its_users_own
            expired_idempotency_keys_are_swept
            the_same_bytes_are_one_document_of_a_tenant
            the_same_bytes_that_are_hidden_are_a_new_document
            one_document_at_a_time_supersedes_another
            of_parallel_successors_one_gets_in
            of_parallel_copies_one_is_stored
            documents_are_listed_by_clearance_and_filter
            a_document_moves_through_ingestion
            progress_is_shown_while_a_document_is_processed
            a_revision_takes_its_place_when_it_is_searchable
            what_is_not_in_force_is_found_only_when_asked_for
            a_document_changes_only_where_the_patch_says
            passages_follow_their_documents_classification
            the_class_of_a_deleted_document_is_remembered
            what_a_tenant_keeps_is_counted_and_given_back
            calls_are_on_record_once_and_counted
            what_is_spent_counts_for_its_day_and_month
            parallel_reservations_never_pass_a_limit
            a_reservation_grows_and_is_settled
            an_expired_reservation_counts_no_longer
            calls_are_summed_by_group
            nobody_else_sees_a_tenants_calls
            nobody_else_sees_a_tenants_document
            passages_are_ranked_by_cosine_similarity
            passages_are_read_by_their_places
            passages_are_found_by_their_words
            a_search_keeps_to_clearance_and_filters
            published_passages_are_found_until_their_document_fails
            a_generation_is_searched_only_after_the_switch
            a_switch_waits_for_every_published_document
            publishing_during_a_change_of_model_keeps_the_old_one
            replacing_passages_leaves_none_of_the_old
            a_search_never_leaves_the_tenant
            a_user_is_provisioned_once_and_kept_up_to_date
            parallel_first_requests_make_one_user
            a_token_is_new_once
            a_membership_shows_the_tenants_state
            a_role_that_a_token_gave_goes_with_the_tokens
            a_role_is_kept_with_who_set_it_and_when
            a_login_is_kept_until_a_later_one
            an_identity_is_taken_once_per_tenant
            active_admins_are_told_from_others
            nobody_else_sees_a_tenants_users
            a_tenant_is_found_by_id_or_slug
            tenants_are_listed_newest_first
            names_and_slugs_of_tenants_are_taken_once
            settings_change_by_version_and_every_version_stays
            a_claim_stands_for_one_tenant
            a_change_from_outside_is_in_the_tenants_own_log
            access_tokens_are_found_by_hash_and_revoked_once
            access_tokens_are_listed_and_counted
            nobody_else_sees_a_tenants_access_tokens
            an_outcome_carries_the_id_of_its_intent
            the_audit_log_is_filtered_and_paged
            the_platforms_own_events_belong_to_no_tenant
            a_claimed_job_brings_its_tenants_scope
            a_claimed_job_is_not_claimed_again
            a_lost_lease_finishes_nothing
            a_job_put_back_waits_and_counts_as_said
            a_document_has_one_job_and_takes_it_along
            a_tenant_with_many_jobs_does_not_hold_up_another
            tenants_take_turns
            small_documents_go_first
            a_tenant_has_one_job_of_each_kind_for_itself
            a_job_given_up_rests_until_it_is_queued_again
            a_lease_is_its_holders_alone
            a_tenant_that_is_switched_off_is_not_served
            the_depth_counts_what_is_due_in_hand_and_dead
            documents_of_other_models_are_queued_again
            a_job_put_back_without_delay_wakes_all_who_wait
            a_queued_job_wakes_a_waiting_worker
            a_blob_comes_back_whole_or_in_part
            a_blob_too_large_or_broken_off_leaves_nothing
            nobody_else_opens_a_tenants_blob
        }
    };
    (@cases $world:path: $($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() -> $crate::suite::CaseResult {
            let (world, _alive) = $world().await?;
            $crate::suite::$case(&world).await
        })*
    };
}
