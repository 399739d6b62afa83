//! `cargo xtask check`: the rules of the repository. Except for `deploy` and the cargo commands, each rule is a pure
//! function over the sources, with tests that show that it finds violations.

mod architecture;
mod cycles;
mod deploy;
mod docs;
mod layers;
mod lines;
mod manifest;
mod modules;
mod owners;
mod roles;
mod sql;
mod syntax;
mod tidy;
mod tuples;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use crate::proc::{self, Interrupt};
use crate::project;
use workspace::Workspace;

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
    CargoCheck {
        name: "generated",
        arguments: &["run", "--quiet", "--package", "platform-server", "--", "dev", "generate", "--check"],
        remedy: "run cargo run -p platform-server -- dev generate, and commit docs/generated",
    },
];

/// Arguments of `cargo xtask check`.
#[derive(clap::Args)]
pub struct Args {
    /// Names of the checks to run, such as `cycles` [default: all of them].
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
    let own_checks = [
        ("architecture", architecture::violations(&architecture_page, &workspace.sources)),
        ("layers", layers::violations(&workspace.packages)),
        ("owners", owners::violations(&workspace.packages)),
        ("roles", roles::violations(&workspace.sources)),
        ("sql", sql::violations(&workspace.sources)),
        ("tuples", tuples::violations(&parsed)),
        ("cycles", cycles::violations(&parsed)),
        ("lines", lines::violations(&workspace.sources)),
        ("docs", docs::violations(&workspace.sources)),
        ("tidy", tidy::violations(&workspace.sources, &workspace.manifests)),
    ];
    for (name, violations) in own_checks.iter().filter(|(name, _)| args.selects(name)) {
        for violation in violations {
            println!("{name}: {violation}");
        }
        report(name, violations.is_empty(), &mut failed);
    }
    if args.selects("deploy") {
        let violations = deploy::violations(&workspace.sources, interrupt)?;
        violations.iter().for_each(|violation| println!("deploy: {violation}"));
        report("deploy", violations.is_empty(), &mut failed);
    }
    println!("sizes: {}", tidy::sizes(&workspace.sources));
    for check in CARGO_CHECKS.iter().filter(|check| args.selects(check.name)) {
        let mut cargo = project::cargo()?;
        let passed = proc::run(cargo.args(check.arguments), interrupt)?.success();
        if !passed {
            println!("{}: {}", check.name, check.remedy);
        }
        report(check.name, passed, &mut failed);
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("check failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn report(name: &'static str, passed: bool, failed: &mut Vec<&'static str>) {
    println!("{name}: {}", if passed { "ok" } else { "FAILED" });
    if !passed {
        failed.push(name);
    }
}
