//! Rounds of client tool calls that follow a question. A round is an assistant message with calls, then their results.

use crate::error::ApiError;
use domain::model::PromptMessage;
use std::collections::HashSet;

/// Checks that each call is followed by its result, and that each result belongs to a call, because model servers
/// require it. System messages are dropped. `first_index` is the index of the first of these messages in the request.
pub(super) fn parse(messages: Vec<PromptMessage>, first_index: usize) -> Result<Vec<PromptMessage>, ApiError> {
    let mut unanswered_calls: HashSet<String> = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let pointer = |field: &str| format!("/messages/{}/{field}", index + first_index);
        match message {
            PromptMessage::Assistant { tool_calls, .. } => {
                let detail = "must come after the results of all tool calls before it";
                check(unanswered_calls.is_empty(), pointer("role"), detail)?;
                unanswered_calls.extend(tool_calls.iter().map(|call| call.id.clone()));
            }
            PromptMessage::Tool { call_id, .. } => {
                let detail = "must be the id of a tool call before it that has no result yet";
                check(unanswered_calls.remove(call_id), pointer("tool_call_id"), detail)?;
            }
            PromptMessage::System(_) | PromptMessage::User(_) => {}
        }
    }
    let last = first_index + messages.len().saturating_sub(1);
    check(
        unanswered_calls.is_empty(),
        format!("/messages/{last}"),
        "must be followed by the results of all tool calls before it",
    )?;
    Ok(messages.into_iter().filter(|message| !matches!(message, PromptMessage::System(_))).collect())
}

fn check(holds: bool, pointer: String, detail: &str) -> Result<(), ApiError> {
    if holds { Ok(()) } else { Err(ApiError::invalid_field(pointer, detail)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::model::ModelToolCall;

    fn calls(ids: &[&str]) -> PromptMessage {
        let call =
            |id: &&str| ModelToolCall { id: (*id).to_owned(), name: "read".to_owned(), arguments: "{}".to_owned() };
        PromptMessage::Assistant { content: String::new(), tool_calls: ids.iter().map(call).collect() }
    }

    fn result(id: &str) -> PromptMessage {
        PromptMessage::Tool { call_id: id.to_owned(), content: "4.2 bar".to_owned() }
    }

    #[test]
    fn each_call_has_one_result_after_it() {
        let whole = vec![calls(&["a", "b"]), result("b"), result("a"), calls(&["c"]), result("c")];
        assert_eq!(parse(whole.clone(), 3), Ok(whole));
        assert_eq!(parse(Vec::new(), 1), Ok(Vec::new()));
        for (wrong, pointer) in [
            (vec![result("a")], "/messages/3/tool_call_id"),
            (vec![calls(&["a"]), result("a"), result("a")], "/messages/5/tool_call_id"),
            (vec![calls(&["a"]), calls(&["b"]), result("b")], "/messages/4/role"),
            (vec![calls(&["a", "b"]), result("b")], "/messages/4"),
        ] {
            let error = parse(wrong.clone(), 3).expect_err("incomplete");
            assert_eq!(error.fields[0].pointer, pointer, "{wrong:?}");
        }
    }
}
