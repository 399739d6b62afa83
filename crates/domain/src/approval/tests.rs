//! Tests of the rules on who may decide, and of what decisions lead to.

use super::*;
use proptest::prelude::*;
use uuid::Uuid;

fn user(number: u128) -> UserId {
    UserId::from_uuid(Uuid::from_u128(number))
}

fn reader(number: u128) -> ApprovalReader {
    ApprovalReader { user: user(number), can_decide_all: false, can_read_all: false }
}

fn approval(terms: PolicyTerms) -> Approval {
    Approval {
        id: ApprovalId::from_uuid(Uuid::from_u128(1)),
        tool: "plant_system_write".to_owned(),
        tool_version: 1,
        target: "P-101A".to_owned(),
        arguments: json!({}),
        preview: json!({}),
        digest: String::new(),
        reason: None,
        requested_by: user(1),
        conversation: None,
        policy_version: 0,
        terms,
        status: ApprovalStatus::Pending,
        is_escalated: false,
        decisions: Vec::new(),
        expires_at: Timestamp::UNIX_EPOCH,
        result: None,
        error: None,
        is_notice_due: false,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn decision(by: u128, verdict: ApproverVerdict) -> ApprovalDecision {
    ApprovalDecision { by: user(by), verdict, comment: None, at: Timestamp::UNIX_EPOCH }
}

#[test]
fn the_policy_names_the_approvers_and_the_requester_is_never_one() {
    let terms = PolicyTerms {
        approvers: vec![user(1), user(2)],
        allows_any_approver: false,
        on_expiry: ExpiryAction::Escalate,
        escalate_to: vec![user(4)],
        ..PolicyTerms::platform_default()
    };
    let mut named = approval(terms);
    let approver = ApprovalReader { can_decide_all: true, ..reader(3) };
    assert!(named.is_approver(reader(2)));
    assert!(!named.is_approver(reader(1)), "the requester, though the policy names them");
    assert!(!named.is_approver(approver), "the policy does not name the grant");
    assert!(!named.is_approver(reader(4)) && !named.is_visible_to(reader(4)), "not escalated yet");
    named.is_escalated = true;
    assert!(named.is_approver(reader(4)) && named.is_approver(reader(2)));
    let granted = approval(PolicyTerms::platform_default());
    assert!(granted.is_approver(approver) && !granted.is_approver(reader(2)));
    assert!(!granted.is_approver(ApprovalReader { can_decide_all: true, ..reader(1) }));
    assert!(granted.is_visible_to(reader(1)) && !granted.is_visible_to(reader(2)));
    assert!(granted.is_visible_to(ApprovalReader { can_read_all: true, ..reader(2) }));
}

proptest! {
    #[test]
    fn one_rejection_rejects_and_a_quorum_of_approvals_approves(
        quorum in 1_u32..5,
        verdicts in proptest::collection::vec(any::<bool>(), 0..8),
    ) {
        let mut approval = approval(PolicyTerms { quorum, ..PolicyTerms::platform_default() });
        approval.decisions = verdicts
            .iter()
            .zip(2..)
            .map(|(approves, by)| (by, if *approves { ApproverVerdict::Approve } else { ApproverVerdict::Reject }))
            .map(|(by, verdict)| decision(by, verdict))
            .collect();
        let expected = if verdicts.contains(&false) {
            Some(ApprovalStatus::Rejected)
        } else {
            (verdicts.len() >= quorum as usize).then_some(ApprovalStatus::Approved)
        };
        prop_assert_eq!(approval.status_by_decisions(), expected);
    }
}
