//! `cargo xtask check`: the guards that keep the house as it was built. Each guard that is ours is a pure function
//! over what it reads, with a test that shows it failing.

mod layers;
mod manifest;
mod owners;
mod roles;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use crate::proc::{self, Interrupt};
use crate::project;
use workspace::Workspace;

/// A cargo command whose success is a guard.
struct CargoGuard {
    name: &'static str,
    arguments: &'static [&'static str],
    remedy: &'static str,
}

const CARGO_GUARDS: &[CargoGuard] = &[
    CargoGuard { name: "format", arguments: &["fmt", "--all", "--check"], remedy: "run cargo fmt --all" },
    CargoGuard {
        name: "clippy",
        arguments: &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
        remedy: "mend what clippy says",
    },
    CargoGuard {
        name: "generated files",
        arguments: &["run", "--quiet", "--package", "platform-server", "--", "dev", "generate", "--check"],
        remedy: "run cargo run -p platform-server -- dev generate, and commit docs/generated",
    },
];

/// Runs every guard, and fails if any of them does.
///
/// # Errors
/// When the workspace cannot be read or cargo not be started.
pub fn run(interrupt: &Interrupt) -> Result<ExitCode> {
    let mut failed = Vec::new();
    let workspace = Workspace::load(interrupt)?;
    let own = [
        ("layers", layers::violations(&workspace.packages)),
        ("owners", owners::violations(&workspace.packages)),
        ("roles", roles::violations(&workspace.sources)),
        ("tidy", tidy::violations(&workspace.sources, &workspace.manifests)),
    ];
    for (name, violations) in own {
        for violation in &violations {
            println!("{name}: {violation}");
        }
        report(name, violations.is_empty(), &mut failed);
    }
    println!("sizes: {}", tidy::sizes(&workspace.sources));
    for guard in CARGO_GUARDS {
        let mut cargo = project::cargo()?;
        let passed = proc::run(cargo.args(guard.arguments), interrupt)?.success();
        if !passed {
            println!("{}: {}", guard.name, guard.remedy);
        }
        report(guard.name, passed, &mut failed);
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
