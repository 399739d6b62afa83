//! Test cases that every store must pass: one suite for PostgreSQL and for the in-memory fake.
//!
//! ```ignore
//! // Creates the context of one case, and a value that keeps it alive.
//! async fn context() -> Result<(TestContext, impl Sized), CaseError> { … }
//!
//! fakes::store_contract!(context);
//! ```

mod access_tokens;
mod approvals;
mod audit;
mod blobs;
mod branches;
mod channels;
mod connectors;
mod conversations;
mod directory;
mod documents;
mod generations;
mod glossary;
mod goals;
mod idempotency;
mod jobs;
mod mcp_servers;
mod memories;
mod search;
mod sessions;
mod teams;
mod usage;
mod users;

pub use access_tokens::*;
pub use approvals::*;
pub use audit::*;
pub use blobs::*;
pub use branches::*;
pub use channels::*;
pub use connectors::*;
pub use conversations::*;
pub use directory::*;
pub use documents::*;
pub use generations::*;
pub use glossary::*;
pub use goals::*;
pub use idempotency::*;
pub use jobs::*;
pub use mcp_servers::*;
pub use memories::*;
pub use search::*;
pub use sessions::*;
pub use teams::*;
pub use usage::*;
pub use users::*;

use crate::{ManualClock, SequentialIds};
use chrono::TimeDelta;
use domain::document::{Document, NewDocument, Revision};
use domain::ids::{DocumentId, RequestId, TenantId, UserId};
use domain::ports::{
    AuditReader, BlobStore, Clock, GoalQueue, IdGen, InsertDocumentOutcome, JobQueue, NewTenant, Store,
    TenantDirectory, TenantTx,
};
use domain::role::{Classification, Role};
use domain::scope::{Actor, TenantScope};
use domain::time::Timestamp;
use domain::user::Identity;
use serde_json::json;
use std::sync::Arc;

/// An error that prevented a case from running; a failed assertion panics instead.
pub type CaseError = Box<dyn std::error::Error + Send + Sync>;
/// The result of a case.
pub type CaseResult = Result<(), CaseError>;

/// A store with all its parts, initially empty.
pub struct TestContext {
    /// Opens transactions of one tenant.
    pub store: Arc<dyn Store>,
    /// The directory of tenants.
    pub directory: Arc<dyn TenantDirectory>,
    /// The job queue, as a worker uses it.
    pub queue: Arc<dyn JobQueue>,
    /// The queue of goals' work, as a worker uses it.
    pub goal_queue: Arc<dyn GoalQueue>,
    /// The audit log, as its readers use it.
    pub audit: Arc<dyn AuditReader>,
    /// The blob store.
    pub blobs: Arc<dyn BlobStore>,
    /// The clock for the times that the cases pass to repositories.
    pub clock: Arc<ManualClock>,
    /// The generator of the ids that the cases pass to repositories.
    pub ids: Arc<SequentialIds>,
}

impl TestContext {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Advances the clock by one second and returns the new time.
    pub(super) fn advance_clock(&self) -> Timestamp {
        self.clock.advance(TimeDelta::seconds(1));
        self.clock.now()
    }

    pub(super) fn new_id<T: From<uuid::Uuid>>(&self) -> T {
        self.ids.uuid().into()
    }

    pub(super) async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, CaseError> {
        Ok(self.store.begin(scope).await?)
    }

    /// Creates a tenant with two users.
    pub(super) async fn create_tenant(&self, slug: &str) -> Result<TestTenant, CaseError> {
        let tenant = NewTenant { id: self.new_id(), name: format!("Plant {slug}"), slug: slug.to_owned() };
        let tenant = self.directory.create_tenant(tenant).await?.id;
        let ada = self.create_user(tenant, "ada").await?;
        let bob = self.create_user(tenant, "bob").await?;
        Ok(TestTenant { id: tenant, ada, bob })
    }

    async fn create_user(&self, tenant: TenantId, name: &str) -> Result<TenantScope, CaseError> {
        let mut tx = self.begin(&scope(tenant, Actor::System)).await?;
        let user = tx.users().sign_in(self.new_id(), &identity(name, Some(Role::User)), self.now()).await?;
        tx.commit().await?;
        Ok(scope(tenant, Actor::User(user.id)))
    }

    /// Inserts a document of the scope's user.
    pub(super) async fn insert_document(&self, scope: &TenantScope, sha: char) -> Result<Document, CaseError> {
        let new = self.new_document(user_id(scope)?, sha);
        let mut tx = self.begin(scope).await?;
        let inserted = tx.documents().insert(&new, Classification::Restricted, self.advance_clock()).await?;
        tx.commit().await?;
        match inserted {
            InsertDocumentOutcome::New(document) => Ok(document),
            InsertDocumentOutcome::Duplicate(_) => Err("the document already exists".into()),
        }
    }

    pub(super) fn new_document(&self, uploaded_by: UserId, sha: char) -> NewDocument {
        let id: DocumentId = self.new_id();
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
pub(super) struct TestTenant {
    pub(super) id: TenantId,
    pub(super) ada: TenantScope,
    pub(super) bob: TenantScope,
}

/// A scope for a test, created without a verified token or a claimed job.
#[expect(clippy::disallowed_methods, reason = "the suite stands in for authentication and the job queue")]
#[must_use]
pub fn scope(tenant: TenantId, actor: Actor) -> TenantScope {
    TenantScope::mint(tenant, actor, RequestId::from_uuid(uuid::Uuid::nil()))
}

pub(super) fn user_id(scope: &TenantScope) -> Result<UserId, CaseError> {
    scope.user().ok_or_else(|| "the scope has no user".into())
}

/// The identity of a user whose e-mail and name are derived from the subject.
#[must_use]
pub fn identity(subject: &str, role: Option<Role>) -> Identity {
    Identity {
        issuer: "https://issuer.test".to_owned(),
        subject: subject.to_owned(),
        email: Some(format!("{subject}@plant.test")),
        name: Some(subject.to_uppercase()),
        role,
        // Later than any timestamp of a case, so that the role claim is applied.
        issued_at: Timestamp::from_timestamp(4_000_000_000, 0),
    }
}

/// Unwraps a value; an error if it is `None`.
pub(super) fn require<T>(value: Option<T>) -> Result<T, CaseError> {
    value.ok_or_else(|| "an expected value is missing".into())
}

/// Generates one test for each case of the suite. The argument names an async function without parameters that returns
/// `Result<(TestContext, K), CaseError>`: a new context, and a value that keeps it alive.
#[macro_export]
macro_rules! store_contract {
    ($context:path) => {
        $crate::store_contract! { @cases $context:
            conversations_are_listed_newest_first_page_by_page
            a_conversation_changes_only_where_the_patch_says
            nobody_else_sees_a_users_conversation
            messages_are_numbered_in_order_across_transactions
            concurrent_turns_never_share_a_seq
            an_answer_is_finished_once
            a_conversation_has_the_highest_classification_of_its_answers
            abandoned_answers_are_marked_as_failed
            deleting_a_conversation_deletes_its_messages
            a_dropped_transaction_is_rolled_back
            a_connector_is_read_as_it_was_stored_and_each_change_raises_its_revision
            names_of_connectors_and_tags_are_unique_within_a_tenant
            tags_are_found_in_any_spelling_and_within_the_clearance
            a_branch_leads_to_its_last_message
            branches_stay_in_their_conversation
            one_answer_is_written_at_a_time
            only_an_untitled_conversation_gets_a_first_title
            conversations_are_found_by_text_and_archive_state
            hidden_answers_are_not_searched
            feedback_belongs_to_its_author_and_is_listed_for_the_tenant
            memories_belong_to_one_user
            the_most_important_memories_come_first
            memories_are_listed_by_status
            a_suggestion_is_stored_once_with_its_source
            a_memory_changes_only_where_the_patch_says
            memories_are_found_by_their_vectors
            an_idempotency_key_is_claimed_once
            an_idempotency_key_is_released_or_kept
            idempotency_keys_are_separate_per_user
            expired_idempotency_keys_are_swept
            identical_content_is_stored_once_per_tenant
            hidden_identical_content_is_stored_again
            a_document_has_one_successor_at_a_time
            one_of_several_concurrent_successors_is_inserted
            one_of_several_concurrent_copies_is_stored
            documents_are_listed_by_clearance_and_filter
            the_status_of_a_document_follows_its_ingestion
            progress_is_shown_while_a_document_is_processed
            a_revision_replaces_its_predecessor_once_searchable
            documents_not_in_force_are_found_only_on_request
            a_document_changes_only_where_the_patch_says
            passages_follow_their_documents_classification
            the_classification_of_a_deleted_document_is_kept
            storage_usage_follows_inserts_and_deletes
            calls_are_recorded_once_and_counted
            spending_counts_for_its_day_and_month
            concurrent_reservations_never_exceed_a_limit
            a_reservation_is_extended_and_settled
            expired_reservations_do_not_count
            calls_are_summed_by_group
            nobody_else_sees_a_tenants_calls
            nobody_else_sees_a_tenants_document
            passages_are_ranked_by_cosine_similarity
            passages_are_read_by_position
            candidates_have_terms_and_a_section_key
            candidate_texts_are_read_within_the_clearance_until_replaced
            passages_are_found_by_their_words
            a_search_respects_clearance_and_filters
            published_passages_are_found_until_their_document_fails
            a_generation_is_searched_only_after_the_switch
            a_switch_waits_for_every_published_document
            publishing_during_a_reindex_keeps_the_model_in_use
            replacing_passages_removes_the_old_ones
            a_search_never_leaves_the_tenant
            a_user_is_provisioned_once_and_kept_up_to_date
            concurrent_first_requests_create_one_user
            a_token_is_recorded_once
            a_membership_shows_the_tenants_state
            a_role_from_a_token_is_removed_by_a_later_token
            the_origin_and_time_of_a_role_are_stored
            a_login_is_replaced_only_by_a_later_one
            an_identity_is_unique_per_tenant
            only_active_admins_are_locked
            active_approvers_are_named_or_have_the_grant
            nobody_else_sees_a_tenants_users
            a_tenant_is_found_by_id_or_slug
            tenants_are_listed_newest_first
            tenant_names_and_slugs_are_unique
            settings_are_versioned_and_changed_conditionally
            a_claim_value_maps_to_one_tenant
            a_platform_admins_change_is_in_the_tenants_log
            access_tokens_are_found_by_hash_and_revoked_once
            access_tokens_are_listed_and_counted
            nobody_else_sees_a_tenants_access_tokens
            an_approval_is_decided_once_by_each_user
            approvals_are_due_when_a_worker_can_do_something
            approvals_are_listed_for_their_people
            a_policy_is_versioned
            pending_approvals_are_counted
            a_work_order_is_created_once_per_reference
            an_mcp_server_is_stored_with_the_decisions_on_its_tools
            mcp_servers_have_unique_names_and_belong_to_their_tenant
            a_work_order_is_closed_once
            a_maintenance_system_is_set_per_tenant
            a_glossary_is_versioned_per_tenant
            old_versions_of_a_glossary_are_deleted
            attempts_at_a_write_are_counted
            answers_to_a_write_are_counted
            a_requester_is_marked_as_notified_once
            slow_approvals_are_due_last
            a_channel_is_stored_and_changed
            the_oldest_channel_of_a_kind_is_found
            a_channel_is_deleted_with_what_names_it
            a_delivery_is_attempted_until_it_has_ended
            due_deliveries_are_queued
            a_session_lasts_as_long_as_its_tokens
            sessions_are_listed_and_revoked_once
            a_membership_shows_a_revoked_session
            ended_sessions_are_swept
            nobody_else_sees_a_tenants_sessions
            a_team_shares_what_is_stored_in_its_space
            a_membership_shows_the_role_in_the_team
            a_team_is_changed_and_has_a_unique_slug
            a_guest_is_invited_and_belongs_to_the_team_alone
            an_expired_team_is_found_and_deleted
            an_outcome_carries_the_id_of_its_intent
            audit_rows_carry_session_and_conversation
            the_audit_log_is_filtered_and_paged
            platform_events_belong_to_no_tenant
            a_claimed_job_has_its_tenants_scope
            a_claimed_job_is_not_claimed_again
            a_lost_lease_cannot_complete_a_job
            requeueing_sets_the_delay_and_the_attempt_count
            a_document_has_one_job_that_is_deleted_with_it
            a_tenant_with_many_jobs_does_not_delay_another
            tenants_take_turns
            small_documents_go_first
            tenant_wide_jobs_are_queued_once
            a_dead_job_is_not_claimed_until_it_is_queued_again
            a_waiting_job_for_approvals_is_due_when_it_is_queued_again
            a_lease_lasts_until_another_claim
            an_inactive_tenant_is_not_served
            the_depth_counts_due_leased_and_dead_jobs
            documents_embedded_by_other_models_are_requeued
            a_job_requeued_without_delay_wakes_all_waiting_workers
            a_queued_job_wakes_a_waiting_worker
            goals_are_worked_on_in_the_order_of_their_plans
            a_step_is_approved_with_its_agent_and_can_be_postponed
            a_lost_lease_cannot_end_a_step
            steps_are_retried_skipped_and_reopened
            work_on_goals_is_fair_between_tenants
            goals_belong_to_their_user
            agents_are_stored_by_name
            a_blob_is_read_completely_or_by_range
            an_oversized_or_interrupted_upload_fails
            nobody_else_opens_a_tenants_blob
        }
    };
    (@cases $context:path: $($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() -> $crate::store_contract::CaseResult {
            let (test_context, _keep_alive) = $context().await?;
            $crate::store_contract::$case(&test_context).await
        })*
    };
}
