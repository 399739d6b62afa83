//! Reads plant systems for a question before the model is called: searches its tags, and reads their values or, for a
//! trend, a history.

use super::context::RunContext;
use super::plant_data_query::{MAX_FOUND, PlantDataQuery};
use super::progress::RunProgress;
use super::tool_calls::tool_status;
use super::tool_results::reading_contents;
use chrono::TimeDelta;
use domain::classified::Classified;
use domain::error::{Classify as _, ErrorKind};
use domain::ledger::CallOrigin;
use domain::plant::{Aggregate, CatalogTag, ReadingContent};
use domain::role::Classification;
use domain::run::RunEvent;
use domain::tool::{ToolCall, ToolName, ToolResult};
use serde_json::json;
use tools::error::ToolError;
use tools::gateway::CallAdmission;

/// Call id of the search for tags in the events and the audit log.
const SEARCH_CALL_ID: &str = "plant-tags";
/// Call id of the reading.
const READ_CALL_ID: &str = "plant-readings";

/// The data that was read from plant systems.
#[derive(Default)]
pub struct PlantRead {
    tags: Vec<CatalogTag>,
    contents: Vec<ReadingContent>,
    failure: Option<ToolError>,
    tools_used: Vec<ToolName>,
}

/// Returns the call of the search for the tags of a question.
#[must_use]
pub fn tag_search(question: &PlantDataQuery, origin: CallOrigin) -> ToolCall {
    ToolCall {
        call_id: SEARCH_CALL_ID.to_owned(),
        name: ToolName::PlantTagSearch.as_str().to_owned(),
        arguments: json!({ "query": question.query, "limit": MAX_FOUND }),
        // The words of the question, which a person sent.
        arguments_classification: Classification::Public,
        origin,
    }
}

/// Reads the plant data that the question asks for, if its tag search was admitted.
pub async fn read_plant(ctx: RunContext<'_>) -> PlantRead {
    let mut read = PlantRead::default();
    let (Some(question), Some(CallAdmission::Admitted(search))) =
        (ctx.run.input.plant_data_query(), &ctx.run.tag_search_admission)
    else {
        return read;
    };
    start(ctx, SEARCH_CALL_ID, ToolName::PlantTagSearch, Some(&question.query));
    let found = search.run().await;
    finish(ctx, SEARCH_CALL_ID, ToolName::PlantTagSearch, &found);
    read.tools_used.push(ToolName::PlantTagSearch);
    read.tags = match found.map(Classified::into_parts) {
        Ok((ToolResult::Tags(tags), _)) => tags,
        Ok(_) => Vec::new(),
        Err(error) => {
            read.failure = Some(error);
            return read;
        }
    };
    let Some(call) = read_call(ctx, question, &question.select(&read.tags)) else { return read };
    let name = call.name;
    start(ctx, READ_CALL_ID, name, None);
    let result = ctx.ports.tools.invoke(&ctx.run.permit, call.into_tool_call(ctx.run.origin)).await;
    finish(ctx, READ_CALL_ID, name, &result);
    read.tools_used.push(name);
    match result.map(Classified::into_parts) {
        Ok((result, _)) => read.contents = reading_contents(result),
        Err(error) => read.failure = Some(error),
    }
    read
}

/// Adds the data that was read to `progress`, without the data that the model may not see. If a plant system could not
/// be read, the answer is marked as degraded.
pub fn add_readings(ctx: RunContext<'_>, progress: &mut RunProgress, read: PlantRead) {
    let PlantRead { tags, mut contents, failure, tools_used } = read;
    progress.tools_used.extend(tools_used.into_iter().map(|name| name.as_str().to_owned()));
    progress.known_tags.extend(tags);
    progress.visibility.retain_visible(&mut contents);
    progress.add_readings(contents, ctx.ports.clock.now());
    match failure {
        // The user's role was lowered in the meantime. The refusal is in the audit log.
        None | Some(ToolError::Denied { .. }) => {}
        Some(error) => {
            tracing::warn!(request_id = %ctx.run.permit.scope().request(), code = error.code(), "a plant read failed");
            progress.readings_failure = Some(error.public_detail().unwrap_or_else(|| "the tool failed".to_owned()));
            progress.degraded |= error.kind() != ErrorKind::NotFound;
        }
    }
}

/// A call that reads values.
struct ReadCall {
    name: ToolName,
    arguments: serde_json::Value,
}

impl ReadCall {
    fn into_tool_call(self, origin: CallOrigin) -> ToolCall {
        let (call_id, name) = (READ_CALL_ID.to_owned(), self.name.as_str().to_owned());
        let arguments_classification = Classification::Public;
        ToolCall { call_id, name, arguments: self.arguments, arguments_classification, origin }
    }
}

/// Returns the call that reads these tags; `None` if there are none.
fn read_call(ctx: RunContext<'_>, question: &PlantDataQuery, tags: &[&CatalogTag]) -> Option<ReadCall> {
    let names: Vec<&str> = tags.iter().map(|tag| tag.tag.as_str()).collect();
    let first = names.first()?;
    Some(match question.period {
        None => ReadCall { name: ToolName::PlantSystemRead, arguments: json!({ "tags": names }) },
        Some(period) => {
            // The end is exclusive, and a sample of this moment belongs to it.
            let to = ctx.ports.clock.now() + TimeDelta::seconds(1);
            let arguments = json!({ "tag": first, "from": to - period, "to": to, "aggregate": Aggregate::Avg });
            ReadCall { name: ToolName::PlantHistoryRead, arguments }
        }
    })
}

fn start(ctx: RunContext<'_>, call_id: &str, name: ToolName, query: Option<&String>) {
    let (call_id, name) = (call_id.to_owned(), name.as_str().to_owned());
    ctx.log.push(RunEvent::ToolStarted { call_id, name, query: query.cloned() });
}

fn finish(ctx: RunContext<'_>, call_id: &str, name: ToolName, result: &Result<Classified<ToolResult>, ToolError>) {
    let (call_id, name) = (call_id.to_owned(), name.as_str().to_owned());
    ctx.log.push(RunEvent::ToolFinished { call_id, name, status: tool_status(result) });
}
