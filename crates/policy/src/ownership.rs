//! Checks that the target of a command exists and that the caller may access it.

use crate::decision::{AuthzRequest, DecisionTrace};
use crate::matrix;
use domain::command::Target;
use domain::decision::{RefusalCode, Rule, Verdict};
use domain::document::Document;
use domain::ids::{ConversationId, DocumentId, UserId, WorkOrderId};
use domain::ports::{StoreError, TenantTx};
use domain::rights::Reach;
use domain::role::{Classification, Operation, Resource};
use domain::user::Entitlements;

/// An access request whose target is checked next, with the results of the rules that were evaluated before.
#[derive(Clone, Copy)]
pub(crate) struct TargetCheck<'a> {
    pub(crate) user: UserId,
    pub(crate) entitlements: &'a Entitlements,
    pub(crate) authz_request: &'a AuthzRequest<'a>,
    /// How far the matrix allows the operation for this user.
    pub(crate) reach: Reach,
}

/// Evaluates the rules about the target and about further documents that the command references.
///
/// # Errors
/// If the database fails.
pub(crate) async fn check_target(
    tx: &mut dyn TenantTx,
    trace: &mut DecisionTrace,
    check: TargetCheck<'_>,
) -> Result<Verdict, StoreError> {
    let TargetCheck { user, entitlements, authz_request, reach } = check;
    let verdict = match authz_request.target {
        None => Verdict::Allowed,
        Some(Target::Document(id)) => match find_document(tx, trace, id, entitlements).await? {
            None => Verdict::NotFound,
            Some(document) => check_document(trace, &document, check),
        },
        Some(Target::AccessToken(id)) => {
            let token = tx.access_tokens().get(id).await?;
            let is_found = token.is_some_and(|token| reach >= Reach::Tenant || token.user_id == user);
            let detail =
                if is_found { "The target exists." } else { "The target does not exist, or belongs to another user." };
            if trace.record(Rule::Target, is_found, detail) { Verdict::Allowed } else { Verdict::NotFound }
        }
        Some(Target::Session(id)) => {
            let is_found = tx.sessions().get(id).await?.is_some_and(|session| session.user_id == user);
            let detail =
                if is_found { "The target exists." } else { "The target does not exist, or belongs to another user." };
            if trace.record(Rule::Target, is_found, detail) { Verdict::Allowed } else { Verdict::NotFound }
        }
        Some(Target::WorkOrder(id)) if authz_request.operation == Operation::Update => {
            check_work_order(tx, trace, id, check).await?
        }
        Some(Target::Conversation(id)) if entitlements.team.is_some() => {
            check_shared_conversation(tx, trace, id, check).await?
        }
        Some(target) => check_existence(tx, trace, target).await?,
    };
    if verdict != Verdict::Allowed {
        return Ok(verdict);
    }
    check_referenced_documents(tx, trace, &authz_request.referenced_documents, entitlements).await
}

/// Looks up a target in the tenant. Conversations, messages and memories are only found if they belong to the
/// user.
async fn check_existence(
    tx: &mut dyn TenantTx,
    trace: &mut DecisionTrace,
    target: Target,
) -> Result<Verdict, StoreError> {
    let exists = match target {
        Target::Conversation(id) => tx.conversations().get(id).await?.is_some(),
        Target::Message(id) => tx.messages().get(id).await?.is_some(),
        Target::Memory(id) => tx.memories().get(id).await?.is_some(),
        Target::User(id) => tx.users().get(id).await?.is_some(),
        Target::AccessToken(id) => tx.access_tokens().get(id).await?.is_some(),
        Target::Session(id) => tx.sessions().get(id).await?.is_some(),
        Target::Goal(id) => tx.goals().get(id).await?.is_some(),
        Target::Channel(id) => tx.channels().get(id).await?.is_some(),
        Target::Document(id) => tx.documents().get(id, Classification::Restricted).await?.is_some(),
        // Runs are kept by the runtime, tenants in the directory and decisions in the audit log, and an approval's
        // policy says who may know of it. Their use cases return not-found themselves.
        Target::Run(_)
        | Target::Tenant(_)
        | Target::Decision(_)
        | Target::Approval(_)
        | Target::WorkOrder(_)
        | Target::McpServer(_)
        | Target::Connector(_)
        | Target::Team(_)
        | Target::Invitation(_) => return Ok(Verdict::Allowed),
    };
    let detail = if exists { "The target exists." } else { "The target does not exist, or belongs to another user." };
    Ok(if trace.record(Rule::Target, exists, detail) { Verdict::Allowed } else { Verdict::NotFound })
}

/// Whether the target is in the space of `tx`, whatever its classification.
///
/// # Errors
/// If the database fails.
pub(crate) async fn is_in_space(tx: &mut dyn TenantTx, target: Target) -> Result<bool, StoreError> {
    match target {
        Target::Run(run) => tx.teams().has_run(run).await,
        target => Ok(check_existence(tx, &mut DecisionTrace::default(), target).await? == Verdict::Allowed),
    }
}

/// Decides whether a member may change a conversation of the team: those who only reach their own, the one they
/// started.
async fn check_shared_conversation(
    tx: &mut dyn TenantTx,
    trace: &mut DecisionTrace,
    id: ConversationId,
    check: TargetCheck<'_>,
) -> Result<Verdict, StoreError> {
    let conversation = tx.conversations().get(id).await?;
    let detail = if conversation.is_some() { "The target exists." } else { "The team has no such conversation." };
    trace.record(Rule::Target, conversation.is_some(), detail);
    let Some(conversation) = conversation else { return Ok(Verdict::NotFound) };
    let is_change = matches!(check.authz_request.operation, Operation::Update | Operation::Delete);
    if is_change && check.reach == Reach::Own {
        let is_own = conversation.user_id == check.user;
        let detail = if is_own { "The user started it." } else { "Another member started it." };
        if !trace.record(Rule::Ownership, is_own, detail) {
            return Ok(Verdict::OperationDenied { reason: RefusalCode::NotOwner });
        }
    }
    Ok(Verdict::Allowed)
}

/// Decides whether the user may change a work order, which everybody in its tenant can see.
async fn check_work_order(
    tx: &mut dyn TenantTx,
    trace: &mut DecisionTrace,
    id: WorkOrderId,
    check: TargetCheck<'_>,
) -> Result<Verdict, StoreError> {
    let order = tx.work_orders().get(id).await?;
    let detail = if order.is_some() { "The work order exists." } else { "The tenant has no such work order." };
    trace.record(Rule::Target, order.is_some(), detail);
    let Some(order) = order else { return Ok(Verdict::NotFound) };
    if check.reach == Reach::Own {
        let is_requester = order.requested_by == check.user;
        let detail = if is_requester { "The user asked for the order." } else { "Another user asked for the order." };
        if !trace.record(Rule::Ownership, is_requester, detail) {
            return Ok(Verdict::OperationDenied { reason: RefusalCode::NotOwner });
        }
    }
    Ok(Verdict::Allowed)
}

/// Returns a document if it exists and is within the clearance. Absent and hidden documents both take two queries, so
/// that they cannot be told apart by timing.
async fn find_document(
    tx: &mut dyn TenantTx,
    trace: &mut DecisionTrace,
    id: DocumentId,
    entitlements: &Entitlements,
) -> Result<Option<Document>, StoreError> {
    let visible_document = tx.documents().get(id, entitlements.clearance).await?;
    let classification = match &visible_document {
        Some(document) => Some(document.classification),
        None => tx.documents().get(id, Classification::Restricted).await?.map(|document| document.classification),
    };
    let detail = if classification.is_some() { "The document exists." } else { "The tenant has no such document." };
    trace.record(Rule::Target, classification.is_some(), detail);
    if let Some(classification) = classification {
        let detail = format!("The document is {classification}; the user's clearance is {}.", entitlements.clearance);
        trace.record(Rule::Clearance, visible_document.is_some(), detail);
    }
    Ok(visible_document)
}

/// Decides whether the user may change a document as requested. The user can see the document.
fn check_document(trace: &mut DecisionTrace, document: &Document, check: TargetCheck<'_>) -> Verdict {
    let TargetCheck { user, entitlements, authz_request, reach } = check;
    let is_change = matches!(authz_request.operation, Operation::Update | Operation::Delete);
    if is_change && reach == Reach::Own {
        let is_owner = document.uploaded_by == user;
        let detail = if is_owner { "The user uploaded the document." } else { "Another user uploaded the document." };
        if !trace.record(Rule::Ownership, is_owner, detail) {
            return Verdict::OperationDenied { reason: RefusalCode::NotOwner };
        }
    }
    let Some(requested) = authz_request.new_classification.filter(|requested| *requested != document.classification)
    else {
        return Verdict::Allowed;
    };
    let detail = format!(
        "From {} to {requested}; the user has the role {} and the clearance {}.",
        document.classification, entitlements.role, entitlements.clearance
    );
    let may_declassify = matrix::effective_reach(entitlements, Resource::Documents, Operation::Declassify).is_some();
    let refusal = if requested > entitlements.clearance {
        Some(RefusalCode::RequestedClassificationAboveClearance)
    } else if requested < document.classification && !may_declassify {
        Some(RefusalCode::Declassification)
    } else {
        None
    };
    trace.record(Rule::Reclassification, refusal.is_none(), detail);
    refusal.map_or(Verdict::Allowed, |reason| Verdict::OperationDenied { reason })
}

/// Checks that all referenced documents exist and are within the clearance.
async fn check_referenced_documents(
    tx: &mut dyn TenantTx,
    trace: &mut DecisionTrace,
    documents: &[DocumentId],
    entitlements: &Entitlements,
) -> Result<Verdict, StoreError> {
    if documents.is_empty() {
        return Ok(Verdict::Allowed);
    }
    for id in documents {
        if tx.documents().get(*id, entitlements.clearance).await?.is_none() {
            let detail = "A referenced document does not exist, or is above the user's clearance.";
            trace.record(Rule::ReferencedDocuments, false, detail);
            return Ok(Verdict::NotFound);
        }
    }
    trace.record(Rule::ReferencedDocuments, true, "All referenced documents exist and are within the clearance.");
    Ok(Verdict::Allowed)
}
