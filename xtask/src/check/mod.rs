//! `cargo xtask check`: the rules of the repository. Except for `deploy`, `features`, `generated` and the cargo
//! commands, each rule is a pure function over the sources, with tests that show that it finds violations.

mod architecture;
mod cycles;
mod deploy;
mod docs;
mod features;
mod layers;
mod lines;
mod manifest;
mod migrations;
mod modules;
mod owners;
mod roles;
mod sql;
mod syntax;
mod tidy;
mod tuples;
mod workspace;

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::builder::PossibleValuesParser;

use crate::proc::{self, Interrupt};
use crate::project;
use crate::server::{self, BuildProfile};
use syntax::ParsedFile;
use workspace::Workspace;

/// What the checks of the sources read.
struct Inputs {
    workspace: Workspace,
    parsed: Vec<ParsedFile>,
    architecture_page: String,
}

/// A check that is a function over the sources.
struct SourceCheck {
    name: &'static str,
    violations: fn(&Inputs) -> Vec<String>,
}

const SOURCE_CHECKS: &[SourceCheck] = &[
    SourceCheck {
        name: "architecture",
        violations: |inputs| architecture::violations(&inputs.architecture_page, &inputs.workspace.sources),
    },
    SourceCheck { name: "layers", violations: |inputs| layers::violations(&inputs.workspace.packages) },
    SourceCheck { name: "owners", violations: |inputs| owners::violations(&inputs.workspace.packages) },
    SourceCheck { name: "roles", violations: |inputs| roles::violations(&inputs.workspace.sources) },
    SourceCheck { name: "sql", violations: |inputs| sql::violations(&inputs.workspace.sources) },
    SourceCheck { name: "migrations", violations: |inputs| migrations::violations(&inputs.workspace.migrations) },
    SourceCheck { name: "tuples", violations: |inputs| tuples::violations(&inputs.parsed) },
    SourceCheck { name: "cycles", violations: |inputs| cycles::violations(&inputs.parsed) },
    SourceCheck { name: "lines", violations: |inputs| lines::violations(&inputs.workspace.sources) },
    SourceCheck { name: "docs", violations: |inputs| docs::violations(&inputs.workspace.sources) },
    SourceCheck {
        name: "tidy",
        violations: |inputs| tidy::violations(&inputs.workspace.sources, &inputs.workspace.manifests),
    },
];
const DEPLOY: &str = "deploy";
const FEATURES: &str = "features";
const GENERATED: &str = "generated";

/// A check that passes if a cargo command succeeds.
struct CargoCheck {
    name: &'static str,
    arguments: &'static [&'static str],
    remedy: &'static str,
}

const CARGO_CHECKS: &[CargoCheck] = &[
    CargoCheck { name: "format", arguments: &["fmt", "--all", "--check"], remedy: "run cargo fmt --all" },
    CargoCheck {
        name: "clippy",
        arguments: &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
        remedy: "fix what clippy reports",
    },
];

/// Names of all checks, in the order in which they run.
fn names() -> Vec<&'static str> {
    let source_checks = SOURCE_CHECKS.iter().map(|check| check.name);
    let cargo_checks = CARGO_CHECKS.iter().map(|check| check.name);
    source_checks.chain([DEPLOY, FEATURES]).chain(cargo_checks).chain([GENERATED]).collect()
}

/// Arguments of `cargo xtask check`.
#[derive(clap::Args)]
pub struct Args {
    /// Names of the checks to run, such as `cycles` [default: all of them].
    #[arg(value_parser = PossibleValuesParser::new(names()))]
    names: Vec<String>,
}

impl Args {
    fn selects(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|selected| selected == name)
    }
}

/// Runs the checks and prints the violations; the exit code is 1 if any check fails.
///
/// # Errors
/// If the workspace cannot be read or cargo cannot be started.
pub fn run(args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut failed = Vec::new();
    let workspace = Workspace::load(interrupt)?;
    let parsed = syntax::parse(&workspace.sources)?;
    let architecture_page = std::fs::read_to_string(project::root()?.join("docs/ARCHITECTURE.md"))?;
    let inputs = Inputs { workspace, parsed, architecture_page };
    for check in SOURCE_CHECKS.iter().filter(|check| args.selects(check.name)) {
        report(check.name, &(check.violations)(&inputs), &mut failed);
    }
    if args.selects(DEPLOY) {
        report(DEPLOY, &deploy::violations(&inputs.workspace.sources, interrupt)?, &mut failed);
    }
    if args.selects(FEATURES) {
        report(FEATURES, &features::violations(interrupt)?, &mut failed);
    }
    println!("sizes: {}", tidy::sizes(&inputs.workspace.sources));
    for check in CARGO_CHECKS.iter().filter(|check| args.selects(check.name)) {
        let passed = proc::run(project::cargo()?.args(check.arguments), interrupt)?.success();
        report(check.name, &remedy_unless(passed, check.remedy), &mut failed);
    }
    if args.selects(GENERATED) {
        let passed = generated_files_are_fresh(interrupt)?;
        let remedy = "run cargo run -p platform-server -- dev generate, and commit docs/generated";
        report(GENERATED, &remedy_unless(passed, remedy), &mut failed);
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("check failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Compares the generated files with what the server generates. It is the build that the tests use, so that nothing is
/// compiled for this check alone.
fn generated_files_are_fresh(interrupt: &Interrupt) -> Result<bool> {
    let mut generate = Command::new(server::build(BuildProfile::Dev, interrupt)?);
    generate.args(["dev", "generate", "--check"]).current_dir(project::root()?);
    Ok(proc::run(&mut generate, interrupt)?.success())
}

/// The violation of a check that a command makes: its remedy, unless the command passed.
fn remedy_unless(passed: bool, remedy: &str) -> Vec<String> {
    if passed { Vec::new() } else { vec![remedy.to_owned()] }
}

fn report(name: &'static str, violations: &[String], failed: &mut Vec<&'static str>) {
    for violation in violations {
        println!("{name}: {violation}");
    }
    println!("{name}: {}", if violations.is_empty() { "ok" } else { "FAILED" });
    if !violations.is_empty() {
        failed.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_check_that_does_not_exist_is_an_error_that_lists_the_others() {
        let error = Cli::try_parse_from(["check", "cycles", "cycels"]).err().unwrap().to_string();
        assert!(error.contains("'cycels'") && error.contains("tidy") && error.contains("generated"), "{error}");
    }

    #[test]
    fn the_named_checks_run_or_all() {
        let args = |words: &[&str]| Cli::try_parse_from(words).ok().unwrap().args;
        assert!(names().iter().all(|name| args(&["check"]).selects(name)));
        let selected = args(&["check", "cycles", "clippy"]);
        let selected: Vec<_> = names().into_iter().filter(|name| selected.selects(name)).collect();
        assert_eq!(selected, ["cycles", "clippy"]);
    }
}
