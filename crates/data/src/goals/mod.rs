//! Goals with their plans, steps and events. Triggers refuse transitions that are not in the tables of
//! `domain::goal`.

pub(crate) mod statements;

use crate::rows::{KeysetParams, non_negative};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::goal::{Goal, GoalCredential, GoalError, GoalEvent, GoalEventKind, PlanAuthor, PlannedStep};
use domain::ids::{ApprovalId, GoalId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{ApprovedAgent, GoalRepo, GoalTransition, StepEnd, StepLease, StepOfGoal, StepRetry, StoreError};
use domain::run::TokenUsage;
use domain::time::Timestamp;
use serde_json::Value;
use sqlx::types::Json;
use statements::{
    ADD_APPROVAL, ADD_USAGE, APPEND_EVENT, APPROVE_AGENTS, COUNT_VERSION, DELETE_STEPS, END_STEP, EVENTS, GET,
    HOLDS_PLANNING, INSERT, INSERT_PLAN, INSERT_STEP, LIST, LOCK, LOCK_APPROVALS, OPEN_COUNT, POSTPONE_STEP,
    RELEASE_STEP, REOPEN_STEP, RETRY_STEP_LATER, SKIP_STEP, START_STEP, STEPS, TRANSITION,
};

#[async_trait]
impl GoalRepo for PgTenantTx {
    async fn insert(&mut self, goal: &Goal) -> Result<(), StoreError> {
        let GoalCredential { session, access_token, scopes } = &goal.credential;
        INSERT
            .query()
            .bind(goal.id.as_uuid())
            .bind(&goal.objective)
            .bind(goal.approval.as_str())
            .bind(session.map(|session| session.as_uuid()))
            .bind(access_token.map(|token| token.as_uuid()))
            .bind(scopes.iter().map(ToString::to_string).collect::<Vec<_>>())
            .bind(goal.created_at)
            .execute(self.connection())
            .await
    }

    async fn get(&mut self, id: GoalId) -> Result<Option<Goal>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn lock(&mut self, id: GoalId) -> Result<Option<Goal>, StoreError> {
        LOCK.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<Goal>, StoreError> {
        let keyset = KeysetParams::new(page);
        let query = LIST.query().bind(keyset.created_at).bind(keyset.id).bind(keyset.limit);
        let rows = query.fetch_all(self.connection()).await?;
        Ok(Page::from_rows(rows, page, |row: &Goal| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn steps(&mut self, goals: &[GoalId]) -> Result<Vec<StepOfGoal>, StoreError> {
        let ids: Vec<_> = goals.iter().map(GoalId::as_uuid).collect();
        STEPS.query().bind(ids).fetch_all(self.connection()).await
    }

    async fn open_count(&mut self) -> Result<u64, StoreError> {
        OPEN_COUNT.query().scalar(self.connection()).await.map(non_negative)
    }

    async fn put_plan(
        &mut self,
        goal: GoalId,
        steps: &[PlannedStep],
        author: PlanAuthor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = goal.as_uuid();
        COUNT_VERSION.query().bind(id).bind(now).execute(self.connection()).await?;
        let plan = INSERT_PLAN.query().bind(id).bind(Json(steps)).bind(author.as_str()).bind(now);
        plan.execute(self.connection()).await?;
        DELETE_STEPS.query().bind(id).execute(self.connection()).await?;
        for (position, step) in steps.iter().enumerate() {
            INSERT_STEP
                .query()
                .bind(id)
                .bind(&step.id)
                .bind(i16::try_from(position).unwrap_or(i16::MAX))
                .bind(&step.title)
                .bind(&step.agent)
                .bind(&step.instruction)
                .bind(&step.depends_on)
                .bind(now)
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    async fn approve_agents(&mut self, goal: GoalId, agents: &[ApprovedAgent]) -> Result<(), StoreError> {
        let (steps, digests): (Vec<_>, Vec<_>) =
            agents.iter().map(|agent| (agent.step.as_str(), agent.digest.as_str())).unzip();
        APPROVE_AGENTS.query().bind(goal.as_uuid()).bind(steps).bind(digests).execute(self.connection()).await
    }

    async fn transition(
        &mut self,
        goal: GoalId,
        transition: &GoalTransition,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = TRANSITION
            .query()
            .bind(goal.as_uuid())
            .bind(transition.from.as_str())
            .bind(transition.to.as_str())
            .bind(transition.error.as_ref().map(Json))
            .bind(&transition.result)
            .bind(transition.classification.as_str())
            .bind(now);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn add_usage(&mut self, goal: GoalId, usage: TokenUsage) -> Result<(), StoreError> {
        let (input, output) = (i64::from(usage.input_tokens), i64::from(usage.output_tokens));
        ADD_USAGE.query().bind(goal.as_uuid()).bind(input).bind(output).execute(self.connection()).await
    }

    async fn holds_planning(&mut self, goal: GoalId, token: i64) -> Result<bool, StoreError> {
        let query = HOLDS_PLANNING.query().bind(goal.as_uuid()).bind(token);
        Ok(query.optional_scalar(self.connection()).await?.is_some())
    }

    async fn start_step(&mut self, claim: &StepLease, now: Timestamp) -> Result<bool, StoreError> {
        let update = START_STEP.query().bind(claim.goal.as_uuid()).bind(&claim.step).bind(claim.token).bind(now);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn end_step(&mut self, claim: &StepLease, end: &StepEnd, now: Timestamp) -> Result<bool, StoreError> {
        let update = END_STEP
            .query()
            .bind(claim.goal.as_uuid())
            .bind(&claim.step)
            .bind(claim.token)
            .bind(end.status.as_str())
            .bind(&end.output)
            .bind(Json(&end.citations))
            .bind(Json(&end.sources))
            .bind(end.classification.as_str())
            .bind(end.error.as_ref().map(Json))
            .bind(now);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn retry_step_later(&mut self, claim: &StepLease, retry: &StepRetry) -> Result<bool, StoreError> {
        let update = RETRY_STEP_LATER
            .query()
            .bind(claim.goal.as_uuid())
            .bind(&claim.step)
            .bind(claim.token)
            .bind(retry.due_at)
            .bind(Json(&retry.error));
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn postpone_step(&mut self, claim: &StepLease, due_at: Timestamp) -> Result<(), StoreError> {
        let update = POSTPONE_STEP.query().bind(claim.goal.as_uuid()).bind(&claim.step).bind(claim.token).bind(due_at);
        update.execute(self.connection()).await
    }

    async fn lock_approvals(&mut self, claim: &StepLease) -> Result<Option<Vec<ApprovalId>>, StoreError> {
        let query = LOCK_APPROVALS.query().bind(claim.goal.as_uuid()).bind(&claim.step).bind(claim.token);
        let ids = query.optional_scalar(self.connection()).await?;
        Ok(ids.map(|ids| ids.into_iter().map(Into::into).collect()))
    }

    async fn add_approval(&mut self, claim: &StepLease, approval: ApprovalId) -> Result<bool, StoreError> {
        let update = ADD_APPROVAL.query().bind(claim.goal.as_uuid()).bind(&claim.step).bind(claim.token);
        Ok(update.bind(approval.as_uuid()).rows_affected(self.connection()).await? > 0)
    }

    async fn release_step(&mut self, claim: &StepLease, now: Timestamp) -> Result<(), StoreError> {
        let update = RELEASE_STEP.query().bind(claim.goal.as_uuid()).bind(&claim.step).bind(claim.token).bind(now);
        update.execute(self.connection()).await
    }

    async fn skip_step(
        &mut self,
        goal: GoalId,
        step: &str,
        error: &GoalError,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = SKIP_STEP.query().bind(goal.as_uuid()).bind(step).bind(Json(error)).bind(now);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn reopen_step(&mut self, goal: GoalId, step: &str, now: Timestamp) -> Result<bool, StoreError> {
        let update = REOPEN_STEP.query().bind(goal.as_uuid()).bind(step).bind(now);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn append_event(
        &mut self,
        goal: GoalId,
        kind: GoalEventKind,
        data: &Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let insert = APPEND_EVENT.query().bind(goal.as_uuid()).bind(kind.as_str()).bind(data).bind(now);
        insert.execute(self.connection()).await
    }

    async fn events(&mut self, goal: GoalId, after: u64, limit: u32) -> Result<Vec<GoalEvent>, StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let query = EVENTS.query().bind(goal.as_uuid()).bind(after).bind(i64::from(limit));
        query.fetch_all(self.connection()).await
    }
}
