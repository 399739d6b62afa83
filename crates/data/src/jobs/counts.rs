//! Counts of the queue and of the outbox, over all tenants.

use crate::rows::non_negative;
use crate::statement::{DbRole, Statement, row, statements};
use domain::channel::DeliveryBacklog;
use domain::ports::{JobCounts, QueueDepth};

row! {
    pub(super) struct QueueDepthRow, columns = queue_depth_columns {
        due: i64,
        leased: i64,
        dead: i64,
        oldest_due_s: i64,
    }
}

row! {
    pub(super) struct DeliveryBacklogRow, columns = delivery_backlog_columns {
        pending: i64,
        oldest_due_s: i64,
    }
}

row! {
    pub(super) struct JobCountsRow, columns = job_counts_columns {
        pending: i64,
        dead: i64,
    }
}

statements! {
    pub(super) DEPTH: QueueDepthRow = Statement::call(
        "job_queue_depth",
        "counting jobs",
        concat!("SELECT ", queue_depth_columns!(), " FROM job_queue_depth()"),
    )
    .run_by(DbRole::Worker);
    pub(super) JOB_COUNTS: JobCountsRow = Statement::call(
        "jobs_left",
        "counting jobs of a kind",
        concat!("SELECT ", job_counts_columns!(), " FROM jobs_left($1)"),
    )
    .run_by(DbRole::Worker);
    pub(super) DELIVERY_BACKLOG: DeliveryBacklogRow = Statement::call(
        "delivery_backlog",
        "counting messages to channels",
        concat!("SELECT ", delivery_backlog_columns!(), " FROM delivery_backlog()"),
    )
    .run_by(DbRole::Worker);
}

impl From<QueueDepthRow> for QueueDepth {
    fn from(row: QueueDepthRow) -> Self {
        Self {
            due: non_negative(row.due),
            leased: non_negative(row.leased),
            dead: non_negative(row.dead),
            oldest_due_age_s: non_negative(row.oldest_due_s),
        }
    }
}

impl From<DeliveryBacklogRow> for DeliveryBacklog {
    fn from(row: DeliveryBacklogRow) -> Self {
        Self { pending: non_negative(row.pending), oldest_due_age_s: non_negative(row.oldest_due_s) }
    }
}

impl From<JobCountsRow> for JobCounts {
    fn from(row: JobCountsRow) -> Self {
        Self { pending: non_negative(row.pending), dead: non_negative(row.dead) }
    }
}
