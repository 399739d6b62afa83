//! The arguments of `teams`.

use super::{PageArgs, one_of};
use clap::Subcommand;
use domain::team::TeamRole;
use uuid::Uuid;

/// What to do with teams.
#[derive(Debug, Subcommand)]
pub enum TeamsCommand {
    /// List the teams that you belong to, newest first.
    List(PageArgs),
    /// Create a team; you become its owner.
    Create {
        /// Name of the team.
        name: String,
        /// Short name: lower-case letters, digits and hyphens.
        #[arg(long)]
        slug: String,
    },
    /// List the members of a team.
    Members {
        /// Id of the team.
        team: Uuid,
    },
    /// Make a user of the team's tenant a member, or change a member's role.
    Set {
        /// Id of the team.
        team: Uuid,
        /// Id of the user.
        user: Uuid,
        /// Role in the team.
        #[arg(long, default_value = "member", value_parser = one_of(TeamRole::ALL.iter().map(|word| word.as_str())))]
        role: String,
    },
    /// End a membership: your own, or as an owner anyone's.
    Remove {
        /// Id of the team.
        team: Uuid,
        /// Id of the user.
        user: Uuid,
    },
    /// Invite a user of another tenant.
    Invite {
        /// Id of the team.
        team: Uuid,
        /// Short name of the user's tenant.
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// Email address of the user.
        #[arg(long, value_name = "ADDRESS")]
        email: String,
    },
    /// List the invitations to you, newest first.
    Invitations(PageArgs),
    /// Accept an invitation.
    Accept {
        /// Id of the invitation.
        invitation: Uuid,
    },
    /// Decline an invitation.
    Decline {
        /// Id of the invitation.
        invitation: Uuid,
    },
    /// Close a team; it can be restored.
    Delete {
        /// Id of the team.
        team: Uuid,
    },
    /// Restore a team that was deleted.
    Restore {
        /// Id of the team.
        team: Uuid,
    },
}
