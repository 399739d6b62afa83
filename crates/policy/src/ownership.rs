//! Whether the thing that a command is about is there, and the caller's to touch.

use crate::decision::{Question, Trace};
use crate::matrix;
use domain::command::Target;
use domain::decision::{RefusalCode, Rule, Verdict};
use domain::document::Document;
use domain::ids::{DocumentId, UserId};
use domain::ports::{StoreError, TenantTx};
use domain::rights::Reach;
use domain::role::{Classification, Operation, Resource};
use domain::user::Entitlements;

/// Asks the rules about the target and about other documents that are named.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn about(
    tx: &mut dyn TenantTx,
    trace: &mut Trace,
    (user, entitlements): (UserId, &Entitlements),
    (question, reach): (&Question<'_>, Reach),
) -> Result<Verdict, StoreError> {
    let verdict = match question.target {
        None => Verdict::Allowed,
        Some(Target::Document(id)) => match visible(tx, trace, id, entitlements).await? {
            None => Verdict::NotFound,
            Some(document) => of_document(trace, &document, (user, entitlements), (question, reach)),
        },
        Some(Target::AccessToken(id)) => {
            let token = tx.access_tokens().get(id).await?;
            let found = token.is_some_and(|token| reach >= Reach::Tenant || token.user_id == user);
            let detail = if found { "It is there." } else { "It is not there, or another user's." };
            if trace.ask(Rule::Target, found, detail) { Verdict::Allowed } else { Verdict::NotFound }
        }
        Some(target) => there(tx, trace, target).await?,
    };
    if verdict != Verdict::Allowed {
        return Ok(verdict);
    }
    named_documents(tx, trace, question.documents, entitlements).await
}

/// Looks a target up within the tenant and, for user-owned rows, among the user's own.
async fn there(tx: &mut dyn TenantTx, trace: &mut Trace, target: Target) -> Result<Verdict, StoreError> {
    let found = match target {
        Target::Conversation(id) => tx.conversations().get(id).await?.is_some(),
        Target::Memory(id) => tx.memories().get(id).await?.is_some(),
        Target::User(id) => tx.users().get(id).await?.is_some(),
        Target::AccessToken(id) => tx.access_tokens().get(id).await?.is_some(),
        Target::Document(id) => tx.documents().get(id, Classification::Restricted).await?.is_some(),
        // Runs live in the runtime, tenants in the directory, decisions in the audit log: they answer not-found
        // themselves.
        Target::Run(_) | Target::Tenant(_) | Target::Decision(_) => return Ok(Verdict::Allowed),
    };
    let detail = if found { "It is there." } else { "It is not there, or another user's." };
    Ok(if trace.ask(Rule::Target, found, detail) { Verdict::Allowed } else { Verdict::NotFound })
}

/// A document, if it is there and within clearance. Absent and hidden take the same two reads.
async fn visible(
    tx: &mut dyn TenantTx,
    trace: &mut Trace,
    id: DocumentId,
    entitlements: &Entitlements,
) -> Result<Option<Document>, StoreError> {
    let seen = tx.documents().get(id, entitlements.clearance).await?;
    let class = match &seen {
        Some(document) => Some(document.classification),
        None => tx.documents().get(id, Classification::Restricted).await?.map(|document| document.classification),
    };
    let detail = if class.is_some() { "It is there." } else { "The tenant has no such document." };
    trace.ask(Rule::Target, class.is_some(), detail);
    if let Some(class) = class {
        let detail = format!("It is {class}; the user's clearance is {}.", entitlements.clearance);
        trace.ask(Rule::Clearance, seen.is_some(), detail);
    }
    Ok(seen)
}

/// Whether a document that the user sees may be changed as asked.
fn of_document(
    trace: &mut Trace,
    document: &Document,
    (user, entitlements): (UserId, &Entitlements),
    (question, reach): (&Question<'_>, Reach),
) -> Verdict {
    let changes = matches!(question.operation, Operation::Update | Operation::Delete);
    if changes && reach == Reach::Own {
        let own = document.uploaded_by == user;
        let detail = if own { "The user brought it in." } else { "Another user brought it in." };
        if !trace.ask(Rule::Ownership, own, detail) {
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
    trace.ask(Rule::Reclassification, refusal.is_none(), detail);
    refusal.map_or(Verdict::Allowed, |reason| Verdict::Denied { reason })
}

/// Whether all documents that a command names are there and within clearance.
async fn named_documents(
    tx: &mut dyn TenantTx,
    trace: &mut Trace,
    documents: &[DocumentId],
    entitlements: &Entitlements,
) -> Result<Verdict, StoreError> {
    if documents.is_empty() {
        return Ok(Verdict::Allowed);
    }
    for id in documents {
        if tx.documents().get(*id, entitlements.clearance).await?.is_none() {
            let detail = "One of them is not there, or above the user's clearance.";
            trace.ask(Rule::NamedDocuments, false, detail);
            return Ok(Verdict::NotFound);
        }
    }
    trace.ask(Rule::NamedDocuments, true, "All of them are there, within clearance.");
    Ok(Verdict::Allowed)
}
