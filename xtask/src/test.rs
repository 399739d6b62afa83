//! `cargo xtask test`: runs all tests. Provides what they need: the embedded model, a temporary PostgreSQL with
//! pgvector, Redis, the CLI, an OIDC provider, PgBouncer, Mosquitto, servers and clients in Python.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Parser;

use crate::pg::{ClusterPurpose, PostgresPrograms, TemporaryCluster};
use crate::proc::{self, Interrupt};
use crate::{model, mosquitto, oidc, pgbouncer, project, python_programs, redis, server};

/// Environment variable: connection URL, as a superuser, of the test database server. If set, no temporary server is
/// started.
const DATABASE_URL_VARIABLE: &str = "PLATFORM_TEST_DATABASE_URL";
/// Environment variable: directory of PostgreSQL's programs, such as `pg_dump`.
const PG_BIN_VARIABLE: &str = "PLATFORM_TEST_PG_BIN";
/// Environment variable: directory of the embedded model.
const MODEL_DIR_VARIABLE: &str = "PLATFORM_TEST_MODEL_DIR";
/// Environment variable: directory of the multilingual embedded model.
const MULTILINGUAL_DIR_VARIABLE: &str = "PLATFORM_TEST_MULTILINGUAL_DIR";
/// Environment variable: path of `redis-server`; tests start, stop and pause their own servers.
const REDIS_PROGRAM_VARIABLE: &str = "PLATFORM_TEST_REDIS_SERVER";
/// Environment variable: path of the command-line client `platform`, which the end-to-end tests run.
const CLI_PROGRAM_VARIABLE: &str = "PLATFORM_TEST_CLI";
/// The package of the end-to-end tests.
const END_TO_END_PACKAGE: &str = "tests";
/// The package whose tests need an MQTT broker.
const CONNECTORS_PACKAGE: &str = "plant-connectors";

/// Arguments of cargo for the end-to-end tests. Not `-p tests`: the libraries would be compiled once more, with the
/// features of that package alone.
pub const END_TO_END_TARGET: [&str; 2] = ["--test", "it"];

/// Arguments of `test`.
#[derive(Parser)]
pub struct Args {
    /// Arguments for `cargo test`, as in: cargo xtask test -- -p data isolation
    #[arg(last = true)]
    cargo_test: Vec<String>,
}

/// Runs the tests and returns cargo's exit code.
///
/// # Errors
/// If something the tests need cannot be provisioned.
pub fn run(args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    run_with_variables(&args.cargo_test, &[], interrupt)
}

/// Runs tests with additional variables, and returns cargo's exit code.
///
/// # Errors
/// If something the tests need cannot be provisioned.
pub fn run_with_variables(
    cargo_test: &[String],
    variables: &[(&str, PathBuf)],
    interrupt: &Interrupt,
) -> Result<ExitCode> {
    let mut cargo = project::cargo()?;
    cargo.args(cargo_arguments(cargo_test)).envs(variables.iter().map(|(name, value)| (name, value)));
    let _database = provide_test_environment(&mut cargo, ClusterPurpose::Test, interrupt)?;
    if let Some(dir) = PostgresPrograms::installed_dir()
        && project::env_var(PG_BIN_VARIABLE).is_none()
    {
        cargo.env(PG_BIN_VARIABLE, dir);
    }
    if project::env_var(REDIS_PROGRAM_VARIABLE).is_none() {
        cargo.env(REDIS_PROGRAM_VARIABLE, redis::provision(interrupt)?);
    }
    if project::env_var(CLI_PROGRAM_VARIABLE).is_none() && selects(cargo_test, END_TO_END_PACKAGE) {
        cargo.env(CLI_PROGRAM_VARIABLE, server::build_cli(interrupt)?);
    }
    if selects(cargo_test, END_TO_END_PACKAGE) {
        pgbouncer::set_variable(&mut cargo, interrupt)?;
    }
    if selects(cargo_test, CONNECTORS_PACKAGE) {
        mosquitto::set_variable(&mut cargo, interrupt)?;
    }
    oidc::set_variables(&mut cargo, interrupt)?;
    python_programs::set_variables(&mut cargo, interrupt)?;
    // The database stops silently, so that cargo's summary stays the last output.
    let status = proc::run(&mut cargo, interrupt)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// Runs the end-to-end tests that `filter` selects and that `cargo xtask test` leaves out, with additional variables,
/// and returns cargo's exit code.
///
/// # Errors
/// If something the tests need cannot be provisioned.
pub fn run_ignored_end_to_end(filter: &str, variables: &[(&str, PathBuf)], interrupt: &Interrupt) -> Result<ExitCode> {
    let arguments = END_TO_END_TARGET.into_iter().chain([filter, "--", "--ignored", "--nocapture"]);
    run_with_variables(&arguments.map(str::to_owned).collect::<Vec<_>>(), variables, interrupt)
}

/// Sets the variables that tests and benchmarks need; the database runs until the returned value is dropped.
///
/// # Errors
/// If something the tests need cannot be provisioned.
pub fn provide_test_environment(
    command: &mut Command,
    purpose: ClusterPurpose,
    interrupt: &Interrupt,
) -> Result<Option<TemporaryCluster>> {
    if project::env_var(MODEL_DIR_VARIABLE).is_none() {
        command.env(MODEL_DIR_VARIABLE, model::provision(interrupt)?);
    }
    if project::env_var(MULTILINGUAL_DIR_VARIABLE).is_none() {
        command.env(MULTILINGUAL_DIR_VARIABLE, model::provision_multilingual(interrupt)?);
    }
    if project::env_var(DATABASE_URL_VARIABLE).is_some() {
        return Ok(None);
    }
    let database = TemporaryCluster::start(&PostgresPrograms::provision(interrupt)?, purpose, interrupt)?;
    command.env(DATABASE_URL_VARIABLE, database.url());
    Ok(Some(database))
}

/// Arguments of cargo: the whole workspace, unless `test_arguments` select packages.
fn cargo_arguments(test_arguments: &[String]) -> Vec<&str> {
    let mut arguments = vec!["test", "--all-features"];
    if selected_packages(test_arguments).is_empty() {
        arguments.push("--workspace");
    }
    arguments.extend(test_arguments.iter().map(String::as_str));
    arguments
}

/// Whether the tests of a package are among those that `test_arguments` select.
fn selects(test_arguments: &[String], package: &str) -> bool {
    let selected = selected_packages(test_arguments);
    selected.is_empty() || selected.contains(&package)
}

/// The packages that `test_arguments` name.
fn selected_packages(test_arguments: &[String]) -> Vec<&str> {
    let mut words = test_arguments.iter().map(String::as_str).take_while(|word| *word != "--");
    let mut selected = Vec::new();
    while let Some(word) = words.next() {
        if word == "-p" || word == "--package" {
            selected.extend(words.next());
        }
        selected.extend(word.strip_prefix("--package=").or(word.strip_prefix("-p=")));
    }
    selected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn everything_is_tested_unless_packages_are_chosen() {
        assert_eq!(cargo_arguments(&[]).join(" "), "test --all-features --workspace");
        let package_arguments = words("-p data isolation");
        assert_eq!(cargo_arguments(&package_arguments).join(" "), "test --all-features -p data isolation");
        for arguments in ["--package=data", "-p=data", "--package data"] {
            assert!(!cargo_arguments(&words(arguments)).contains(&"--workspace"), "{arguments}");
        }
        let harness_arguments = words("-- -p");
        assert_eq!(cargo_arguments(&harness_arguments).join(" "), "test --all-features --workspace -- -p");
    }

    #[test]
    fn the_cli_is_built_for_the_end_to_end_tests_alone() {
        for arguments in ["", "chat", "-p tests cli", "-p data -p tests", "--package=tests", "-- -p data"] {
            assert!(selects(&words(arguments), END_TO_END_PACKAGE), "{arguments}");
        }
        for arguments in ["-p data", "-p data tests", "--package policy -- tests"] {
            assert!(!selects(&words(arguments), END_TO_END_PACKAGE), "{arguments}");
        }
    }
}
