//! Budgets of turns, and the ledger of their model calls.

use crate::support::model::Step::{self, Call, Finish, Hang, Interrupt, NoBackend, Text};
use crate::support::tools::{ScriptedTools, retrieval_result};
use crate::support::{Fixture, event_names};
use domain::budget::{BudgetAmount, Money};
use domain::command::{CancelRun, ReadModelUsage, RetrievalMode};
use domain::error::Classify as _;
use domain::ledger::UsageDimension;
use domain::model::ChatRequest;
use domain::model_call::{CallStatus, MicroCost, ModelOperation, Price};
use domain::role::{Classification, Role};
use domain::run::{FinishReason, RunEvent, TokenUsage};
use domain::tenant::Quotas;
use fakes::access;
use futures::StreamExt as _;
use futures::future::join_all;
use runtime::chat::ChatSettings;
use runtime::configuration::ConfigurationService;
use runtime::error::RuntimeError;
use runtime::prompt::tokens::TokenCounter;
use runtime::use_case::UseCase as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const READ_CALL: Step = Call { id: "1", name: "document_read", arguments: "{}" };

fn tools_without_hits() -> Arc<ScriptedTools> {
    ScriptedTools::new(|_| Ok(retrieval_result(Vec::new())))
}

fn daily_token_quota(limit: u64) -> Quotas {
    Quotas { tokens_per_day: Some(limit), ..Quotas::default() }
}

#[tokio::test(start_paused = true)]
async fn each_reply_of_a_turn_is_a_call_in_the_ledger() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![READ_CALL, Finish], vec![Text("Shut."), Finish]]);
    fixture.ask(&fixture.chat(&model, &tools_without_hits()), "Which valve?", RetrievalMode::Never).await;
    let rows = fixture.store.ledger(fixture.ada.tenant());
    assert_eq!(rows.len(), 2);
    for (user, entry) in &rows {
        assert_eq!((*user, entry.origin.conversation), (fixture.ada.user(), Some(fixture.conversation)));
        assert!(entry.counts_towards_budget && entry.origin.run.is_some() && entry.tier.is_some());
        let call = &entry.call;
        assert_eq!((call.operation, call.status, call.tokens_estimated), (ModelOperation::Chat, CallStatus::Ok, false));
        assert_eq!(call.usage, TokenUsage { input_tokens: 100, output_tokens: 7 });
        assert_eq!((call.cost, call.finish_reason), (MicroCost(9), Some(FinishReason::Stop)));
        assert_eq!((call.served_by.backend.as_str(), call.served_by.model.as_str()), ("scripted", "script-1"));
    }
    let spent = fixture.spending().await.user;
    assert_eq!((spent.tokens, spent.cost, spent.reserved), (214, MicroCost(18), BudgetAmount::default()));
}

/// Runs a turn that fails, and returns its only model call.
async fn failed_call(script: Vec<Step>) -> domain::model_call::ModelCall {
    let fixture = Fixture::new().await;
    fixture.set_quotas(daily_token_quota(100_000)).await;
    let chat = fixture.chat(&fixture.model([script]), &tools_without_hits());
    fixture.ask(&chat, "Which valve?", RetrievalMode::Never).await;
    assert_eq!(fixture.spending().await.tenant.reserved, BudgetAmount::default(), "the reservation is released");
    let mut ledger = fixture.ledger();
    assert_eq!(ledger.len(), 1);
    ledger.remove(0).call
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_call_is_recorded_with_an_estimate_of_its_usage() {
    let call = failed_call(vec![Text("123456789"), Interrupt]).await;
    assert_eq!(
        (call.status, call.error.as_deref(), call.tokens_estimated),
        (CallStatus::Error, Some("broken_off"), true)
    );
    assert_eq!(call.usage.output_tokens, 3);
    assert!(call.usage.input_tokens > 100, "its prompt: {call:?}");

    let call = failed_call(vec![Text("Shut"), Hang]).await;
    assert_eq!((call.status, call.error.as_deref()), (CallStatus::Error, Some("upstream_timeout")));
    assert_eq!(call.duration, ChatSettings::default().turn_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_backend_served_is_recorded_with_the_backends_that_were_tried() {
    let call = failed_call(vec![NoBackend]).await;
    assert_eq!(
        (call.status, call.error.as_deref(), call.usage),
        (CallStatus::Error, Some("timeout"), TokenUsage::default())
    );
    assert_eq!(call.served_by.backend, "second");
    assert_eq!(
        call.served_by.failed_attempts.iter().map(|tried| tried.backend.as_str()).collect::<Vec<_>>(),
        ["first"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_counts_the_tokens_written_so_far() {
    let fixture = Fixture::new().await;
    let price = Price { input: MicroCost(1_000_000), output: MicroCost(2_000_000) };
    let model = fixture.model([vec![Text("123456789"), Hang]]);
    *model.price.lock().expect("no panic under the lock") = Some(price);
    let chat = fixture.chat(&model, &tools_without_hits());
    let mut events = fixture.send(&chat, "Which valve?", RetrievalMode::Never).await.expect("a run");
    let Some(RunEvent::Started { run_id: run, .. }) = events.next().await.map(|event| event.event) else {
        panic!("no start")
    };
    events.next().await.expect("a piece");
    let cancel = fixture.authorize(&fixture.ada, Role::User, CancelRun { run }).await;
    chat.execute(cancel).await.expect("her own run");
    fixture.wait_for_runs().await;
    let call = fixture.ledger().remove(0).call;
    assert_eq!((call.status, call.error.as_deref(), call.usage.output_tokens), (CallStatus::Cancelled, None, 3));
    assert_eq!(call.cost, price.cost(call.usage));
    let spent = fixture.spending().await.user.tokens;
    assert_eq!(spent, u64::from(call.usage.input_tokens) + 3);
}

#[tokio::test(start_paused = true)]
async fn concurrent_turns_together_reserve_no_more_than_the_budget() {
    let fixture = Fixture::new().await;
    fixture.set_quotas(daily_token_quota(8_000)).await;
    let model = fixture.model((0..20).map(|_| vec![Text("Shut."), Hang]));
    let chat = fixture.chat(&model, &tools_without_hits());
    let turns = join_all((0..20).map(|_| fixture.send_in_new_conversation(&chat, "Which valve?"))).await;
    let started_turns = turns.iter().filter(|turn| turn.is_ok()).count();
    assert!((3..=8).contains(&started_turns), "{started_turns}");
    for refused in turns.iter().filter_map(|turn| turn.as_ref().err()) {
        assert_eq!((refused.code(), refused.retry_after().map(|after| after.as_secs())), ("quota_exceeded", Some(10)));
        assert!(refused.public_detail().is_some_and(|detail| detail.contains("tokens_per_day")));
    }
    let tenant = fixture.spending().await.tenant;
    assert!(tenant.reserved.tokens > 7_000 && tenant.reserved.tokens <= 8_000, "{tenant:?}");
    drop(turns);
    fixture.wait_for_runs().await;
    let tenant = fixture.spending().await.tenant;
    assert!(tenant.tokens > 0 && tenant.tokens <= 8_000 && tenant.reserved.tokens == 0, "{tenant:?}");
}

#[tokio::test(start_paused = true)]
async fn a_turn_gets_the_rest_of_the_budget_and_is_refused_if_that_is_too_little() {
    let fixture = Fixture::new().await;
    fixture.set_quotas(daily_token_quota(800)).await;
    let model = fixture.model([vec![Text("Shut."), Finish], vec![Text("Shut."), Finish]]);
    let chat = fixture.chat(&model, &tools_without_hits());
    fixture.ask(&chat, "Which valve?", RetrievalMode::Never).await;
    fixture.ask(&chat, "Which valve?", RetrievalMode::Never).await;
    for request in model.requests() {
        assert!(request.tools.is_empty(), "the result of a tool would not fit");
        let prompt = TokenCounter::default().prompt(request.prompt.content());
        assert!(request.max_output_tokens >= 64 && prompt + (request.max_output_tokens as usize) <= 800, "{prompt}");
    }
    // 214 of 800 tokens are spent; the third turn needs more than 346.
    fixture.set_quotas(daily_token_quota(560)).await;
    let Err(refused) = fixture.send(&chat, "Which valve?", RetrievalMode::Never).await else {
        panic!("nothing is left")
    };
    assert!(matches!(refused, RuntimeError::BudgetExceeded { .. }), "{refused:?}");
    let until_tomorrow = domain::budget::end_of_day(domain::ports::Clock::now(&*fixture.clock))
        - domain::ports::Clock::now(&*fixture.clock);
    assert_eq!(refused.retry_after(), until_tomorrow.to_std().ok(), "no other turn holds a reservation");
}

/// Runs a turn whose tool result makes the next prompt longer than was reserved, with a budget of `limit` tokens per
/// day.
async fn turn_with_a_tool(limit: u64) -> (Vec<RunEvent>, Vec<ChatRequest>, Fixture) {
    let fixture = Fixture::new().await;
    fixture.set_quotas(daily_token_quota(limit)).await;
    let hit = fixture.create_document(Classification::Internal, &"Close FV-2003 first. ".repeat(150)).await.1;
    let search = Call { id: "1", name: "rag_search", arguments: "{\"query\": \"valve\"}" };
    let model = fixture.model([vec![Text("Let me see."), search, Finish], vec![Text(" Shut."), Finish]]);
    let chat = fixture.chat(&model, &ScriptedTools::returning_hits(vec![hit]));
    let events = fixture.ask(&chat, "Which valve?", RetrievalMode::Never).await;
    let spent = fixture.spending().await.tenant;
    assert!(spent.tokens <= limit && spent.reserved == BudgetAmount::default(), "{spent:?}");
    (events, model.requests(), fixture)
}

#[tokio::test(start_paused = true)]
async fn a_turn_with_tools_reserves_more() {
    let (events, requests, fixture) = turn_with_a_tool(20_000).await;
    assert_eq!(event_names(&events).last(), Some(&"finished"), "{events:?}");
    assert!(requests.iter().all(|request| request.max_output_tokens == 1_024 && !request.tools.is_empty()));
    assert_eq!(fixture.answer().await.content, "Let me see. Shut.");
}

#[tokio::test(start_paused = true)]
async fn if_the_budget_runs_out_the_last_reply_is_shorter_and_without_tools() {
    let (events, requests, _fixture) = turn_with_a_tool(2_400).await;
    assert_eq!(event_names(&events).last(), Some(&"finished"), "{events:?}");
    let last = requests.last().expect("two requests");
    assert!(last.tools.is_empty());
    let total_tokens = TokenCounter::default().prompt(last.prompt.content()) + last.max_output_tokens as usize;
    assert!((64..1_024).contains(&last.max_output_tokens) && total_tokens <= 2_400 - 107, "{total_tokens}");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_can_reserve_no_more_fails_and_keeps_its_partial_answer() {
    let (events, requests, fixture) = turn_with_a_tool(1_400).await;
    let Some(RunEvent::Failed(problem)) = events.last() else { panic!("no failure: {events:?}") };
    assert_eq!((problem.code, requests.len()), ("quota_exceeded", 1));
    assert_eq!(fixture.answer().await.content, "Let me see.");
    assert_eq!(fixture.turn_outcome().await.result_status.as_deref(), Some("error"));
}

#[tokio::test(start_paused = true)]
async fn cost_is_reserved_by_the_highest_price_and_limits_the_reply() {
    let fixture = Fixture::new().await;
    // A thousand output tokens cost one unit; input is free.
    let price = Price { input: MicroCost(0), output: MicroCost(1_000_000_000) };
    fixture.set_quotas(Quotas { user_cost_per_month: Money::from_units(0.5), ..Quotas::default() }).await;
    let model = fixture.model([vec![Text("Shut."), Finish], vec![Text("Shut."), Hang]]);
    *model.price.lock().expect("no panic under the lock") = Some(price);
    let chat = fixture.chat(&model, &tools_without_hits());
    fixture.ask(&chat, "Which valve?", RetrievalMode::Never).await;
    assert_eq!(model.requests()[0].max_output_tokens, 500);
    let events = fixture.send(&chat, "Which valve?", RetrievalMode::Never).await.expect("a run");
    let refused = fixture.send_in_new_conversation(&chat, "Which valve?").await.err().expect("all is reserved");
    assert!(refused.public_detail().is_some_and(|detail| detail.contains("user_cost_per_month")), "{refused:?}");
    drop(events);
    fixture.wait_for_runs().await;
}

/// Without a known price, no cost can be reserved, but turns are still refused once the budget is used up.
#[tokio::test(start_paused = true)]
async fn a_cost_budget_that_is_used_up_refuses_turns_without_a_known_price() {
    let fixture = Fixture::new().await;
    fixture.set_quotas(Quotas { cost_per_month: Money::from_units(0.000_010), ..Quotas::default() }).await;
    let model = fixture.model([vec![Text("Shut."), Finish], vec![Text("Shut."), Finish]]);
    let chat = fixture.chat(&model, &tools_without_hits());
    fixture.ask(&chat, "Which valve?", RetrievalMode::Never).await;
    fixture.ask(&chat, "Which valve?", RetrievalMode::Never).await;
    assert_eq!(fixture.spending().await.tenant.cost, MicroCost(18));
    assert!(fixture.send(&chat, "Which valve?", RetrievalMode::Never).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_extractive_answerer_costs_nothing_and_reserves_nothing() {
    let fixture = Fixture::new().await;
    fixture.set_quotas(daily_token_quota(0)).await;
    let model = fixture.model([vec![Text("\"Shut.\""), Finish]]);
    model.is_language_model.store(false, Ordering::Relaxed);
    fixture.ask(&fixture.chat(&model, &tools_without_hits()), "Which valve?", RetrievalMode::Never).await;
    assert!(fixture.ledger().iter().all(|entry| !entry.counts_towards_budget), "recorded, and not metered");
    assert_eq!(fixture.ledger().len(), 1);
    assert_eq!(fixture.spending().await.tenant.tokens, 0);
}

#[tokio::test(start_paused = true)]
async fn admins_and_auditors_read_the_tenants_ledger_and_others_their_own_calls() {
    let fixture = Fixture::new().await;
    fixture.set_quotas(daily_token_quota(1_000)).await;
    let model = fixture.model((0..2).map(|_| vec![Text("Shut."), Finish]));
    fixture.ask(&fixture.chat(&model, &tools_without_hits()), "Which valve?", RetrievalMode::Never).await;
    fixture.clock.advance(chrono::TimeDelta::seconds(1));
    let store = Arc::new(fixture.store.clone());
    let service = ConfigurationService::new(store.clone(), store, fixture.clock.clone(), fixture.ids.clone());
    let read = ReadModelUsage { from: None, to: None, group_by: UsageDimension::User };
    let ada_id = fixture.ada.user().map(|id| id.to_string());
    for (reader, role, calls, tenant_wide) in [
        (&fixture.ada, Role::Viewer, 1, false),
        (&fixture.bob, Role::User, 0, false),
        (&fixture.bob, Role::Admin, 1, true),
    ] {
        let report = service.execute(fixture.authorize(reader, role, read).await).await.expect("a report");
        assert_eq!((report.aggregates.totals.calls, report.is_tenant_wide), (calls, tenant_wide), "{role}");
        assert_eq!(
            report.aggregates.groups.first().and_then(|group| group.key.clone()),
            ada_id.clone().filter(|_| calls > 0)
        );
        assert_eq!(report.spending.tenant.tokens, 107);
    }
    let auditor = access::access_grant(crate::support::auditor_rights());
    let granted = fixture.authorize(&fixture.bob, Role::Viewer, read).await;
    let (scope, receipt) = (granted.scope().clone(), granted.permit().receipt());
    let report = service.execute(access::authorized(scope, auditor, receipt, read)).await.expect("a report");
    assert_eq!((report.aggregates.totals.calls, report.is_tenant_wide), (1, true));
    let now = domain::ports::Clock::now(&*fixture.clock);
    for (from, to) in [(now, now), (now - chrono::TimeDelta::days(367), now)] {
        let read = ReadModelUsage { from: Some(from), to: Some(to), ..read };
        let refused = service.execute(fixture.authorize(&fixture.bob, Role::Admin, read).await).await;
        assert!(matches!(refused, Err(RuntimeError::Invalid(field)) if field.pointer == "/from"));
    }
}
