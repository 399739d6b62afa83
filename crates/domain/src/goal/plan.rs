//! Plans: task graphs whose steps are handed to agents, and the rules that every plan obeys, whoever wrote it.

use crate::role::string_enum;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of steps of a plan.
pub const MAX_STEPS: usize = 20;
/// Maximum number of characters of a step's title.
pub const MAX_TITLE_CHARS: usize = 200;
/// Maximum number of characters of a step's instruction.
pub const MAX_INSTRUCTION_CHARS: usize = 4_000;
/// Maximum number of characters of a step's id.
pub const MAX_STEP_ID_CHARS: usize = 64;

/// A step as it is planned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Unique within the plan; see [`is_step_id`].
    pub id: String,
    /// What people read.
    pub title: String,
    /// Name of the agent that executes it.
    pub agent: String,
    /// What the agent is told to do.
    pub instruction: String,
    /// Ids of the steps whose outputs it gets.
    pub depends_on: Vec<String>,
}

string_enum! {
    /// Who wrote a version of a plan.
    PlanAuthor {
        /// The planner's model.
        Planner = "planner",
        /// The goal's user.
        User = "user",
    }
}

/// Why a plan was rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct PlanError {
    /// JSON pointer into the plan, such as `/steps/2/agent`.
    pub pointer: String,
    /// Reason, as a sentence.
    pub detail: String,
}

impl PlanError {
    fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Whether `id` may identify a step: 1 to 64 ASCII letters, digits, `_`, `-` and `.`.
#[must_use]
pub fn is_step_id(id: &str) -> bool {
    (1..=MAX_STEP_ID_CHARS).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Checks a plan: 1 to [`MAX_STEPS`] steps with unique ids, bounded texts, known agents, and dependencies that exist
/// and form no cycle.
///
/// # Errors
/// The first rule that the plan breaks.
pub fn check_plan(steps: &[PlannedStep], known_agents: &BTreeSet<String>) -> Result<(), PlanError> {
    if steps.is_empty() {
        return Err(PlanError::new("/steps", "A plan needs at least one step."));
    }
    if steps.len() > MAX_STEPS {
        return Err(PlanError::new("/steps", format!("A plan has at most {MAX_STEPS} steps.")));
    }
    let mut ids = BTreeSet::new();
    for (index, step) in steps.iter().enumerate() {
        check_step(index, step, known_agents)?;
        if !ids.insert(step.id.as_str()) {
            return Err(PlanError::new(format!("/steps/{index}/id"), "Another step has the same id."));
        }
    }
    for (index, step) in steps.iter().enumerate() {
        let mut seen = BTreeSet::new();
        for (position, dependency) in step.depends_on.iter().enumerate() {
            let pointer = || format!("/steps/{index}/depends_on/{position}");
            if dependency == &step.id {
                return Err(PlanError::new(pointer(), "A step cannot depend on itself."));
            }
            if !ids.contains(dependency.as_str()) {
                return Err(PlanError::new(pointer(), "There is no step with this id."));
            }
            if !seen.insert(dependency) {
                return Err(PlanError::new(pointer(), "The dependency is named twice."));
            }
        }
    }
    match in_order(steps) {
        Some(_) => Ok(()),
        None => Err(PlanError::new("/steps", "The dependencies form a cycle.")),
    }
}

fn check_step(index: usize, step: &PlannedStep, known_agents: &BTreeSet<String>) -> Result<(), PlanError> {
    let pointer = |field: &str| format!("/steps/{index}/{field}");
    if !is_step_id(&step.id) {
        let detail = format!("An id has 1 to {MAX_STEP_ID_CHARS} letters, digits, `_`, `-` and `.`.");
        return Err(PlanError::new(pointer("id"), detail));
    }
    for (field, text, max) in
        [("title", &step.title, MAX_TITLE_CHARS), ("instruction", &step.instruction, MAX_INSTRUCTION_CHARS)]
    {
        if text.trim().is_empty() || text.contains('\0') || text.chars().count() > max {
            return Err(PlanError::new(pointer(field), format!("The text must have 1 to {max} characters.")));
        }
    }
    if !known_agents.contains(&step.agent) {
        let known: Vec<_> = known_agents.iter().map(String::as_str).collect();
        return Err(PlanError::new(pointer("agent"), format!("The agent must be one of {}.", known.join(", "))));
    }
    Ok(())
}

/// The steps' indexes so that each comes after those it depends on; `None` if the dependencies form a cycle.
#[must_use]
pub fn in_order(steps: &[PlannedStep]) -> Option<Vec<usize>> {
    let by_id: BTreeMap<&str, usize> =
        steps.iter().enumerate().map(|(index, step)| (step.id.as_str(), index)).collect();
    let mut order: Vec<usize> = Vec::with_capacity(steps.len());
    let mut is_placed = vec![false; steps.len()];
    while order.len() < steps.len() {
        let is_ready = |index: &usize| {
            let placed = |id: &String| by_id.get(id.as_str()).is_none_or(|dependency| is_placed[*dependency]);
            !is_placed[*index] && steps[*index].depends_on.iter().all(placed)
        };
        let next = (0..steps.len()).find(is_ready)?;
        is_placed[next] = true;
        order.push(next);
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(id: &str, depends_on: &[&str]) -> PlannedStep {
        PlannedStep {
            id: id.to_owned(),
            title: "Find the limits".to_owned(),
            agent: "document_analyst".to_owned(),
            instruction: "Find the limits of P-101.".to_owned(),
            depends_on: depends_on.iter().map(|&id| id.to_owned()).collect(),
        }
    }

    fn check(steps: &[PlannedStep]) -> Result<(), String> {
        let agents = BTreeSet::from(["document_analyst".to_owned(), "calculator".to_owned()]);
        check_plan(steps, &agents).map_err(|error| error.pointer)
    }

    #[test]
    fn a_diamond_is_a_plan() {
        let steps = [step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["b", "c"])];
        assert_eq!(check(&steps), Ok(()));
        assert_eq!(in_order(&steps), Some(vec![0, 1, 2, 3]));
    }

    #[test]
    fn each_rule_names_what_breaks_it() {
        let renamed = |change: fn(&mut PlannedStep)| {
            let mut changed = step("a", &[]);
            change(&mut changed);
            check(&[changed])
        };
        let at = |pointer: &str| Err(pointer.to_owned());
        assert_eq!(check(&[]), at("/steps"));
        let many: Vec<_> = (0..=MAX_STEPS).map(|n| step(&n.to_string(), &[])).collect();
        assert_eq!(check(&many), at("/steps"));
        assert_eq!(check(&many[1..]), Ok(()));
        assert_eq!(check(&[step("a", &[]), step("a", &[])]), at("/steps/1/id"));
        assert_eq!(check(&[step("a b", &[])]), at("/steps/0/id"));
        assert_eq!(check(&[step("a", &["a"])]), at("/steps/0/depends_on/0"));
        assert_eq!(check(&[step("a", &["x"])]), at("/steps/0/depends_on/0"));
        assert_eq!(check(&[step("a", &[]), step("b", &["a", "a"])]), at("/steps/1/depends_on/1"));
        assert_eq!(check(&[step("a", &["b"]), step("b", &["a"])]), at("/steps"));
        assert_eq!(renamed(|step| step.agent = "admin".to_owned()), at("/steps/0/agent"));
        assert_eq!(renamed(|step| step.title = " ".to_owned()), at("/steps/0/title"));
        assert_eq!(renamed(|step| step.instruction = "x".repeat(4_001)), at("/steps/0/instruction"));
        assert_eq!(renamed(|step| step.instruction = "a\0".to_owned()), at("/steps/0/instruction"));
    }

    proptest! {
        /// A plan that is accepted can always be executed: each step comes after those it depends on.
        #[test]
        fn an_accepted_plan_has_an_order(edges in proptest::collection::vec((0_usize..8, 0_usize..8), 0..16)) {
            let mut steps: Vec<_> = (0..8).map(|n| step(&n.to_string(), &[])).collect();
            for (from, to) in edges {
                let id = to.to_string();
                if !steps[from].depends_on.contains(&id) {
                    steps[from].depends_on.push(id);
                }
            }
            if check(&steps).is_ok() {
                let order = in_order(&steps).expect("an order");
                let place = |id: &String| order.iter().position(|index| steps[*index].id == *id);
                for step in &steps {
                    for dependency in &step.depends_on {
                        prop_assert!(place(dependency) < place(&step.id));
                    }
                }
            }
        }
    }
}
