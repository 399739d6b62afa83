//! The tool `calculator`: exact arithmetic, percentages, units and dates, so that no model calculates in its head.

mod dates;
mod expression;

use super::arguments;
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext};
use async_trait::async_trait;
use domain::classified::Classified;
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::text::BoundedText;
use domain::tool::{Calculation, ToolName, ToolResult, ToolSpec};
use serde::Deserialize;
use serde_json::json;

/// Maximum number of characters of an expression.
const MAX_CHARS: usize = 300;

/// Evaluates expressions; reads nothing and needs no connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calculator;

/// What to calculate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    #[serde(deserialize_with = "arguments::text")]
    expression: BoundedText<MAX_CHARS>,
}

#[async_trait]
impl Tool for Calculator {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        let properties = json!({
            "expression": {"type": "string", "minLength": 1, "maxLength": MAX_CHARS,
                "description": "One expression, such as `17.5% of 2480`, `250 psi to bar`, `(4.6 bar - 250 kPa) to \
                    kPa`, \
                                `20 °C to °F`, `2026-01-31 + 1 month` or `days from 2026-01-01 to 2026-03-01`. A \
                                decimal \
                                point, no thousands separators."},
        });
        ToolSpec {
            name: ToolName::Calculator.into(),
            description: "Calculate exactly: arithmetic, percentages, conversions of units, dates and periods. Use it \
                          for every calculation."
                .into(),
            required_permission: Permission::new(Resource::Tools, Operation::Create),
            writes_to_plant: false,
            parameters: arguments::schema(&properties, &["expression"]),
        }
    }

    async fn run(&self, _context: ToolContext, arguments: Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let expression = arguments.expression.into_string();
        let evaluated = match dates::evaluate(&expression) {
            Some(result) => result,
            None => expression::evaluate_in_own_thread(expression.clone()).await,
        };
        let expression::Evaluated { result, is_exact } =
            evaluated.map_err(|detail| ToolError::InvalidArguments { detail })?;
        Ok(Classified::from_content(ToolResult::Calculation(Calculation { expression, result, is_exact })))
    }
}
