//! A work order on its way to a maintenance system.

use domain::ids::{ApprovalId, UserId, WorkOrderId};
use domain::ports::{StoreError, TenantTx};
use domain::time::Timestamp;
use domain::work_order::WorkOrderRequest;

/// Placeholder for the approvers' names in the preview that approvers see: the names are known only once they approve.
const APPROVERS_PLACEHOLDER: &str = "(the names of those who approve)";
/// Maximum length of a name in an order, in characters.
const MAX_NAME_CHARS: usize = 80;

/// A work order that is not stored yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderDraft {
    /// Id in the platform's own list.
    pub id: WorkOrderId,
    /// The approval, which is also the order's external reference.
    pub approval: ApprovalId,
    /// What the order asks for.
    pub request: WorkOrderRequest,
    /// The user who asked for it.
    pub requested_by: UserId,
    /// Who asked for it and who approved it, for people who read the order.
    pub attribution: Attribution,
    /// When it is created.
    pub created_at: Timestamp,
}

/// The people behind an order, each with name and id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribution {
    /// Who asked for it.
    pub requester: String,
    /// Who approved it.
    pub approvers: String,
}

impl Attribution {
    /// The attribution that approvers see, in which they are not named yet.
    #[must_use]
    pub fn before_approval(requester: String) -> Self {
        Self { requester, approvers: APPROVERS_PLACEHOLDER.to_owned() }
    }

    /// The same requester, with the names of those who approved.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn with_approvers(self, tx: &mut dyn TenantTx, approvers: &[UserId]) -> Result<Self, StoreError> {
        let mut names = Vec::new();
        for approver in approvers {
            names.push(name_of(tx, *approver).await?);
        }
        Ok(Self { approvers: names.join(", "), ..self })
    }
}

/// Name and id of a user, on one line.
///
/// # Errors
/// If the database fails.
pub(crate) async fn name_of(tx: &mut dyn TenantTx, user: UserId) -> Result<String, StoreError> {
    let name = tx.users().get(user).await?.and_then(|user| user.display_name).unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect();
    Ok(if name.trim().is_empty() { user.to_string() } else { format!("{} ({user})", name.trim()) })
}

impl OrderDraft {
    /// The external reference under which the order is found again.
    #[must_use]
    pub fn external_reference(&self) -> String {
        self.approval.to_string()
    }

    /// The description, followed by who asked for the order, who approved it, and under which approval.
    #[must_use]
    pub fn long_text(&self) -> String {
        let Self { request, approval, attribution, .. } = self;
        let Attribution { requester, approvers } = attribution;
        format!(
            "{}\n\n----\nRequested by: {requester}\nApproved by: {approvers}\nApproval: {approval}",
            request.description
        )
    }
}

/// A work order as a maintenance system has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredOrder {
    /// The system's own id or number.
    pub id: String,
    /// State of the work in the system's own words, if it says.
    pub status: Option<String>,
}
