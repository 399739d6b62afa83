//! Whether the resource that a command names exists, and whether the caller may touch it.

use crate::decision::{DecisionTrace, Question};
use crate::matrix;
use domain::command::Target;
use domain::decision::{RefusalCode, Rule, Verdict};
use domain::document::Document;
use domain::ids::{DocumentId, UserId};
use domain::ports::{StoreError, TenantTx};
use domain::rights::Reach;
use domain::role::{Classification, Operation, Resource};
use domain::user::Entitlements;

/// Who asks for what, as far as it was decided before the target was read.
#[derive(Clone, Copy)]
pub(crate) struct AccessRequest<'a> {
    pub(crate) user: UserId,
    pub(crate) entitlements: &'a Entitlements,
    pub(crate) question: &'a Question<'a>,
    /// How far the matrix lets this user reach.
    pub(crate) reach: Reach,
}

/// Evaluates the rules about the target and about further documents that the command names.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn decide(
    tx: &mut dyn TenantTx,
    trace: &mut DecisionTrace,
    request: AccessRequest<'_>,
) -> Result<Verdict, StoreError> {
    let AccessRequest { user, entitlements, question, reach } = request;
    let verdict = match question.target {
        None => Verdict::Allowed,
        Some(Target::Document(id)) => match visible(tx, trace, id, entitlements).await? {
            None => Verdict::NotFound,
            Some(document) => decide_on_document(trace, &document, request),
        },
        Some(Target::AccessToken(id)) => {
            let token = tx.access_tokens().get(id).await?;
            let found = token.is_some_and(|token| reach >= Reach::Tenant || token.user_id == user);
            let detail = if found { "It is there." } else { "It is not there, or another user's." };
            if trace.note(Rule::Target, found, detail) { Verdict::Allowed } else { Verdict::NotFound }
        }
        Some(target) => look_up(tx, trace, target).await?,
    };
    if verdict != Verdict::Allowed {
        return Ok(verdict);
    }
    named_documents(tx, trace, &question.documents, entitlements).await
}

/// Looks a target up within the tenant; conversations and memories among the user's own.
async fn look_up(tx: &mut dyn TenantTx, trace: &mut DecisionTrace, target: Target) -> Result<Verdict, StoreError> {
    let found = match target {
        Target::Conversation(id) => tx.conversations().get(id).await?.is_some(),
        Target::Memory(id) => tx.memories().get(id).await?.is_some(),
        Target::User(id) => tx.users().get(id).await?.is_some(),
        Target::AccessToken(id) => tx.access_tokens().get(id).await?.is_some(),
        Target::Document(id) => tx.documents().get(id, Classification::Restricted).await?.is_some(),
        // Runs live in the runtime, tenants in the directory, decisions in the audit log: their use cases return
        // not-found themselves.
        Target::Run(_) | Target::Tenant(_) | Target::Decision(_) => return Ok(Verdict::Allowed),
    };
    let detail = if found { "It is there." } else { "It is not there, or another user's." };
    Ok(if trace.note(Rule::Target, found, detail) { Verdict::Allowed } else { Verdict::NotFound })
}

/// A document, if it is there and within clearance. Absent and hidden take the same two reads.
async fn visible(
    tx: &mut dyn TenantTx,
    trace: &mut DecisionTrace,
    id: DocumentId,
    entitlements: &Entitlements,
) -> Result<Option<Document>, StoreError> {
    let seen = tx.documents().get(id, entitlements.clearance).await?;
    let class = match &seen {
        Some(document) => Some(document.classification),
        None => tx.documents().get(id, Classification::Restricted).await?.map(|document| document.classification),
    };
    let detail = if class.is_some() { "It is there." } else { "The tenant has no such document." };
    trace.note(Rule::Target, class.is_some(), detail);
    if let Some(class) = class {
        let detail = format!("It is {class}; the user's clearance is {}.", entitlements.clearance);
        trace.note(Rule::Clearance, seen.is_some(), detail);
    }
    Ok(seen)
}

/// Whether a document that the user sees may be changed as asked.
fn decide_on_document(trace: &mut DecisionTrace, document: &Document, request: AccessRequest<'_>) -> Verdict {
    let AccessRequest { user, entitlements, question, reach } = request;
    let changes = matches!(question.operation, Operation::Update | Operation::Delete);
    if changes && reach == Reach::Own {
        let own = document.uploaded_by == user;
        let detail = if own { "The user brought it in." } else { "Another user brought it in." };
        if !trace.note(Rule::Ownership, own, detail) {
            return Verdict::Denied { reason: RefusalCode::NotOwner };
        }
    }
    let Some(wanted) = question.reclassify.filter(|wanted| *wanted != document.classification) else {
        return Verdict::Allowed;
    };
    let detail = format!("From {} to {wanted}, by {} cleared for {}.", document.classification, entitlements.role, {
        entitlements.clearance
    });
    let lowers = matrix::allowed(entitlements, Resource::Documents, Operation::Declassify).is_some();
    let refusal = if wanted > entitlements.clearance {
        Some(RefusalCode::AboveOwnClearance)
    } else if wanted < document.classification && !lowers {
        Some(RefusalCode::Declassification)
    } else {
        None
    };
    trace.note(Rule::Reclassification, refusal.is_none(), detail);
    refusal.map_or(Verdict::Allowed, |reason| Verdict::Denied { reason })
}

/// Whether all documents that a command names are there and within clearance.
async fn named_documents(
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
            let detail = "One of them is not there, or above the user's clearance.";
            trace.note(Rule::NamedDocuments, false, detail);
            return Ok(Verdict::NotFound);
        }
    }
    trace.note(Rule::NamedDocuments, true, "All of them are there, within clearance.");
    Ok(Verdict::Allowed)
}
