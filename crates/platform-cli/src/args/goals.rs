//! The arguments of `goals`.

use super::{PageArgs, one_of};
use clap::{Args, Subcommand};
use domain::goal::PlanApproval;
use uuid::Uuid;

/// Goals; without a command, they are listed.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct GoalsArgs {
    #[command(subcommand)]
    pub command: Option<GoalsCommand>,
    #[command(flatten)]
    pub page: PageArgs,
}

/// What to do with goals.
#[derive(Debug, Subcommand)]
pub enum GoalsCommand {
    /// List your goals, newest first.
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a goal with its plan, the state of each step and the result.
    Show {
        /// Id of the goal.
        id: Uuid,
    },
    /// Create a goal, for which the platform makes a plan.
    Create {
        /// What you want.
        objective: String,
        /// Whether the plan waits for your approval.
        #[arg(long, value_parser = one_of(PlanApproval::ALL.iter().map(|word| word.as_str())))]
        approval: Option<String>,
    },
    /// Approve the plan of a goal, after showing it and asking.
    Approve {
        /// Id of the goal.
        id: Uuid,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Stop a goal.
    Cancel {
        /// Id of the goal.
        id: Uuid,
    },
    /// Try a step that failed again.
    Retry {
        /// Id of the goal.
        id: Uuid,
        /// Id of the step.
        step: String,
    },
}
