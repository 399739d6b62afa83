//! Chooses which of the client's tools are offered to the model in a turn of the assistant.

use crate::prompt::tokens::{TokenBudget, TokenCounter};
use domain::model::{ChatOptions, OfferedTool};
use domain::tool::ToolSpec;

/// The client's tools that are offered to the model.
pub(super) struct ClientTools {
    pub offered: Vec<OfferedTool>,
    /// Number of tools that are not offered.
    pub omitted_count: u32,
}

impl ClientTools {
    /// Chooses the tools in the client's order, as many as fit into `budget`. Leaves out a tool with the same name as a
    /// platform tool, since a call could not be assigned to one of them.
    pub fn choose(
        tools: Vec<OfferedTool>,
        platform_tools: &[ToolSpec],
        counter: &TokenCounter,
        budget: TokenBudget,
    ) -> Self {
        let (all, mut remaining_tokens) = (tools.len(), budget.0);
        let fits = |tool: &OfferedTool| {
            let tokens = counter.tools(std::slice::from_ref(tool));
            let fits = tokens <= remaining_tokens && platform_tools.iter().all(|own| own.name.as_str() != tool.name);
            remaining_tokens -= if fits { tokens } else { 0 };
            fits
        };
        let offered: Vec<_> = tools.into_iter().filter(fits).collect();
        let omitted_count = u32::try_from(all - offered.len()).unwrap_or(u32::MAX);
        Self { offered, omitted_count }
    }

    /// Removes options about tools that are not offered, since a model server would refuse them.
    pub fn restrict(&self, options: &mut ChatOptions) {
        let named = options.tool_choice.as_ref().and_then(|choice| choice["function"]["name"].as_str());
        let is_offered = |name: &str| self.offered.iter().any(|tool| tool.name == name);
        if self.offered.is_empty() || !named.is_none_or(is_offered) {
            options.tool_choice = None;
        }
        if self.offered.is_empty() {
            options.parallel_tool_calls = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(name: &str) -> OfferedTool {
        OfferedTool { name: name.to_owned(), description: "x".repeat(300), parameters: json!({}) }
    }

    #[test]
    fn tools_that_do_not_fit_the_budget_are_left_out_with_the_options_that_name_them() {
        let chosen =
            ClientTools::choose(vec![tool("a"), tool("b"), tool("c")], &[], &TokenCounter::default(), TokenBudget(250));
        let names: Vec<_> = chosen.offered.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!((names, chosen.omitted_count), (vec!["a", "b"], 1));
        let named = |name: &str| Some(json!({ "type": "function", "function": { "name": name } }));
        for (choice, kept) in [(named("c"), None), (named("a"), named("a")), (Some(json!("auto")), Some(json!("auto")))]
        {
            let mut options = ChatOptions { tool_choice: choice, ..ChatOptions::default() };
            chosen.restrict(&mut options);
            assert_eq!(options.tool_choice, kept);
        }
        let none = ClientTools::choose(vec![tool("a")], &[], &TokenCounter::default(), TokenBudget(0));
        let mut options = ChatOptions {
            tool_choice: Some(json!("required")),
            parallel_tool_calls: Some(true),
            ..ChatOptions::default()
        };
        none.restrict(&mut options);
        assert_eq!((none.omitted_count, options), (1, ChatOptions::default()));
    }
}
