//! Mosquitto, an MQTT broker, for the tests of plant connectors, from Debian's package.

use std::process::Command;

use anyhow::Result;

use crate::debian::{self, SystemProgram};
use crate::proc::Interrupt;
use crate::progress::print_status;
use crate::project;

/// Environment variable: path of `mosquitto`; tests start their own processes.
const PROGRAM_VARIABLE: &str = "PLATFORM_TEST_MOSQUITTO";
const PROGRAM: SystemProgram = SystemProgram { name: "mosquitto", package: "mosquitto" };

/// Sets the variable that the tests with Mosquitto need. If it is not installed and cannot be, prints a warning and
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
        print_status(&format!("the tests with Mosquitto will be skipped: {error:#}"));
    }
    if let Some(program) = debian::find(PROGRAM.name) {
        command.env(PROGRAM_VARIABLE, program);
    }
    Ok(())
}
