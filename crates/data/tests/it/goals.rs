//! Checks that the database itself refuses every transition of a goal or a step that is not in the tables, and changes
//! of what has happened.

use crate::sql_support::{TENANT_A, connect_as_superuser};
use crate::tenant_isolation::{database_with_two_tenants, execute_as_tenant, execute_sql};
use data::testing::TestError;
use domain::goal::{GOAL_TRANSITIONS, GoalStatus, STEP_TRANSITIONS, StepStatus};

/// SQLSTATE of a violated check.
const CHECK_VIOLATION: &str = "23514";

/// A table with states, and what the domain says about them.
struct Machine {
    table: &'static str,
    states: Vec<String>,
    allowed: Vec<(String, String)>,
}

fn machines() -> [Machine; 2] {
    let words = |state: &dyn ToString| state.to_string();
    [
        Machine {
            table: "goals",
            states: GoalStatus::ALL.iter().map(|state| words(state)).collect(),
            allowed: GOAL_TRANSITIONS.iter().map(|allowed| (words(&allowed.from), words(&allowed.to))).collect(),
        },
        Machine {
            table: "goal_steps",
            states: StepStatus::ALL.iter().map(|state| words(state)).collect(),
            allowed: STEP_TRANSITIONS.iter().map(|allowed| (words(&allowed.from), words(&allowed.to))).collect(),
        },
    ]
}

#[tokio::test]
async fn every_transition_that_is_not_in_the_tables_is_refused() -> Result<(), TestError> {
    let (db, mut app) = database_with_two_tenants().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    let tenant = TENANT_A.to_string();
    for Machine { table, states, allowed } in machines() {
        for from in &states {
            let set_status = format!(
                "ALTER TABLE {table} DISABLE TRIGGER transitions; UPDATE {table} SET status = '{from}';
                 ALTER TABLE {table} ENABLE TRIGGER transitions"
            );
            execute_sql(&mut superuser, &set_status).await?;
            for to in &states {
                let update = format!("UPDATE {table} SET status = '{to}'");
                let result = execute_as_tenant(&mut app, Some(&tenant), &update).await?;
                let is_allowed = from == to || allowed.contains(&(from.clone(), to.clone()));
                let expected = if is_allowed { Ok(1) } else { Err(CHECK_VIOLATION.to_owned()) };
                assert_eq!(result, expected, "{table}: {from} → {to}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_has_happened_does_not_change() -> Result<(), TestError> {
    let (db, mut app) = database_with_two_tenants().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    let tenant = TENANT_A.to_string();
    for sql in [
        "UPDATE goals SET objective = 'x'",
        "UPDATE goals SET user_id = user_id",
        "UPDATE goals SET scopes = '{}'",
        "UPDATE goals SET lease_token = 9",
        "DELETE FROM goals",
        "UPDATE goal_plans SET steps = '[]'",
        "DELETE FROM goal_plans",
        "UPDATE goal_steps SET instruction = 'x'",
        "UPDATE goal_steps SET agent = 'x'",
        "UPDATE goal_events SET data = '{}'",
        "DELETE FROM goal_events",
    ] {
        assert_eq!(execute_as_tenant(&mut app, Some(&tenant), sql).await?, Err("42501".to_owned()), "{sql}");
    }
    execute_sql(&mut superuser, "UPDATE goal_steps SET status = 'running', attempts = 1").await?;
    execute_sql(&mut superuser, "UPDATE goal_steps SET status = 'succeeded', output = 'a'").await?;
    let change = "UPDATE goal_steps SET output = 'b'";
    assert_eq!(execute_as_tenant(&mut app, Some(&tenant), change).await?, Err(CHECK_VIOLATION.to_owned()));
    let delete = "DELETE FROM goal_steps";
    assert_eq!(execute_as_tenant(&mut app, Some(&tenant), delete).await?, Err(CHECK_VIOLATION.to_owned()));
    let begin = "INSERT INTO goals (id, tenant_id, user_id, objective, approval, status, created_at, updated_at)
         SELECT gen_random_uuid(), tenant_id, user_id, '', 'none', 'running', now(), now() FROM goals";
    assert_eq!(execute_as_tenant(&mut app, Some(&tenant), begin).await?, Err(CHECK_VIOLATION.to_owned()));
    Ok(())
}
