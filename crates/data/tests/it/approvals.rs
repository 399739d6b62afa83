//! Checks that the database itself refuses every transition of an approval that is not in the table, a change of what
//! an approval covers, and a decision of the requester.

use crate::sql_support::{TENANT_A, connect_as_superuser};
use crate::tenant_isolation::{database_with_two_tenants, execute_as_tenant, execute_sql};
use data::testing::TestError;
use domain::approval::ApprovalStatus;

/// SQLSTATE of a violated check.
const CHECK_VIOLATION: &str = "23514";

#[tokio::test]
async fn every_transition_that_is_not_in_the_table_is_refused() -> Result<(), TestError> {
    let (db, mut app) = database_with_two_tenants().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    let tenant = TENANT_A.to_string();
    let mut refused = 0;
    for from in ApprovalStatus::ALL {
        let set_status = format!(
            "ALTER TABLE approvals DISABLE TRIGGER transitions; UPDATE approvals SET status = '{from}';
             ALTER TABLE approvals ENABLE TRIGGER transitions"
        );
        execute_sql(&mut superuser, &set_status).await?;
        for to in ApprovalStatus::ALL {
            let update = format!("UPDATE approvals SET status = '{to}'");
            let result = execute_as_tenant(&mut app, Some(&tenant), &update).await?;
            let is_allowed = from == to || from.may_become(*to);
            let expected = if is_allowed { Ok(1) } else { Err(CHECK_VIOLATION.to_owned()) };
            assert_eq!(result, expected, "{from} → {to}");
            refused += usize::from(!is_allowed);
        }
    }
    assert_eq!(refused, 8 * 7 - domain::approval::TRANSITIONS.len());
    Ok(())
}

#[tokio::test]
async fn what_an_approval_covers_never_changes_and_requesters_do_not_decide() -> Result<(), TestError> {
    let (db, mut app) = database_with_two_tenants().await?;
    let tenant = TENANT_A.to_string();
    for column in ["arguments = '{\"a\": 1}'", "target = 'x'", "digest = digest", "requested_by = requested_by"] {
        let result = execute_as_tenant(&mut app, Some(&tenant), &format!("UPDATE approvals SET {column}")).await?;
        assert_eq!(result, Err("42501".to_owned()), "{column}");
    }
    let mut superuser = connect_as_superuser(&db).await?;
    assert!(execute_sql(&mut superuser, "UPDATE approvals SET target = 'x'").await.is_err(), "not even the superuser");
    let begin_approved = "INSERT INTO approvals (id, tenant_id, tool, tool_version, target, arguments, preview, digest,
             requested_by, policy_version, terms, expires_at, created_at, updated_at, status)
         SELECT gen_random_uuid(), tenant_id, tool, 1, '', '{}', '{}', digest, requested_by, 0, '{}', now(), now(),
                now(), 'approved' FROM approvals";
    assert_eq!(
        execute_as_tenant(&mut app, Some(&tenant), begin_approved).await?,
        Err(CHECK_VIOLATION.to_owned()),
        "an approval begins as pending"
    );
    execute_sql(&mut superuser, "DELETE FROM approval_decisions").await?;
    let own_decision = "INSERT INTO approval_decisions (tenant_id, approval_id, user_id, decision, decided_at)
         SELECT tenant_id, id, requested_by, 'approve', now() FROM approvals";
    assert_eq!(execute_as_tenant(&mut app, Some(&tenant), own_decision).await?, Err(CHECK_VIOLATION.to_owned()));
    for sql in ["DELETE FROM approvals", "DELETE FROM approval_decisions", "UPDATE approval_decisions SET comment = ''"]
    {
        assert_eq!(execute_as_tenant(&mut app, Some(&tenant), sql).await?, Err("42501".to_owned()), "{sql}");
    }
    Ok(())
}
