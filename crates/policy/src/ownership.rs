//! Whether the thing that a command is about is there, and the caller's to touch.

use crate::matrix::Reach;
use domain::command::Target;
use domain::ids::{DocumentId, UserId};
use domain::ports::{StoreError, TenantTx};
use domain::role::Operation;
use domain::user::Standing;

/// What the lookup says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    /// Go on.
    Fine,
    /// Not there, or not for this caller to know of: the two look the same.
    Unknown,
    /// Known to the caller, and another's.
    NotOwner,
}

/// Looks the target up within the caller's tenant and, for user-owned rows, among the caller's own.
///
/// # Errors
/// Where the database fails.
pub async fn look_up(
    tx: &mut dyn TenantTx,
    target: Target,
    user: UserId,
    standing: &Standing,
    (operation, reach): (Operation, Reach),
) -> Result<Finding, StoreError> {
    let there = match target {
        Target::Conversation(id) => tx.conversations().get(id).await?.is_some(),
        Target::Memory(id) => tx.memories().get(id).await?.is_some(),
        Target::User(id) => tx.users().get(id).await?.is_some(),
        // Runs live in the runtime and tenants in the directory; both answer not-found themselves.
        Target::Run(_) | Target::Tenant(_) => true,
        Target::Document(id) => {
            let Some(document) = tx.documents().get(id, standing.clearance).await? else {
                return Ok(Finding::Unknown);
            };
            let changes = matches!(operation, Operation::Update | Operation::Delete);
            if changes && reach == Reach::Own && document.uploaded_by != user {
                return Ok(Finding::NotOwner);
            }
            true
        }
    };
    Ok(if there { Finding::Fine } else { Finding::Unknown })
}

/// Whether all documents that a command names are there and within clearance.
///
/// # Errors
/// Where the database fails.
pub async fn all_visible(
    tx: &mut dyn TenantTx,
    documents: &[DocumentId],
    standing: &Standing,
) -> Result<bool, StoreError> {
    for id in documents {
        if tx.documents().get(*id, standing.clearance).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
