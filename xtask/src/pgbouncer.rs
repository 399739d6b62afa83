//! PgBouncer for the tests, from Debian's package.

use std::process::Command;

use anyhow::Result;

use crate::debian::{self, SystemProgram};
use crate::proc::Interrupt;
use crate::progress::print_status;
use crate::project;

/// Environment variable: path of `pgbouncer`; tests start their own processes.
const PROGRAM_VARIABLE: &str = "PLATFORM_TEST_PGBOUNCER";
const PROGRAM: SystemProgram = SystemProgram { name: "pgbouncer", package: "pgbouncer" };

/// Sets the variable that the tests with PgBouncer need. If it is not installed and cannot be, prints a warning and
/// continues; those tests then say that they are skipped.
///
/// # Errors
/// If the user interrupts it.
pub fn set_variable(command: &mut Command, interrupt: &Interrupt) -> Result<()> {
    if project::env_var(PROGRAM_VARIABLE).is_some() {
        return Ok(());
    }
    if let Err(error) = debian::require(&[PROGRAM], interrupt) {
        interrupt.check()?;
        print_status(&format!("the tests with PgBouncer will be skipped: {error:#}"));
    }
    if let Some(program) = debian::find(PROGRAM.name) {
        command.env(PROGRAM_VARIABLE, program);
    }
    Ok(())
}
