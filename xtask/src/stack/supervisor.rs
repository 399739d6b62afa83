//! Keeps the stack's processes running, and `stack.json` up to date.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::service::Service;
use super::status_file::StatusFile;
use crate::database::Database;
use crate::files::LogFile;
use crate::proc::Interrupt;
use crate::progress::print_status;

/// Time that the processes have to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(180);
/// Interval at which the processes are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The running processes. Dropping it stops them, the database last.
pub struct Supervisor {
    // The fields drop in this order.
    services: Vec<Service>,
    database: Database,
    status_file: StatusFile,
}

impl Supervisor {
    /// Starts all services.
    ///
    /// # Errors
    /// If a program cannot be started.
    pub fn start(services: Vec<Service>, database: Database, status_file: StatusFile) -> Result<Self> {
        let mut supervisor = Self { services, database, status_file };
        for service in &mut supervisor.services {
            service.start()?;
        }
        supervisor.write_status_file()?;
        Ok(supervisor)
    }

    /// Waits until each process is ready.
    ///
    /// # Errors
    /// If one is not ready in time; the message names its log.
    pub fn wait_until_ready(&mut self, interrupt: &Interrupt) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        for index in 0..self.services.len() {
            loop {
                self.restart_ended()?;
                let Some(service) = self.services.get_mut(index) else { break };
                if service.is_ready() {
                    break;
                }
                if Instant::now() > deadline {
                    let log = LogFile::open(service.log())?.0;
                    bail!(
                        "{} is not ready after {} s; its log is {}",
                        service.name(),
                        READY_TIMEOUT.as_secs(),
                        log.path().display()
                    );
                }
                interrupt.sleep(CHECK_INTERVAL)?;
            }
        }
        Ok(())
    }

    /// Restarts processes that end, until the user interrupts.
    ///
    /// # Errors
    /// If a process cannot be restarted.
    pub fn supervise(&mut self, interrupt: &Interrupt) -> Result<()> {
        while interrupt.sleep(CHECK_INTERVAL).is_ok() {
            self.restart_ended()?;
        }
        Ok(())
    }

    fn restart_ended(&mut self) -> Result<()> {
        let mut changed = false;
        if self.database.restart_if_ended()? {
            print_status("the database has ended and was restarted");
            changed = true;
        }
        for service in &mut self.services {
            if service.restart_if_ended()? {
                print_status(&format!("{} has ended and was restarted", service.name()));
                changed = true;
            }
        }
        if changed {
            self.write_status_file()?;
        }
        Ok(())
    }

    fn write_status_file(&self) -> Result<()> {
        let mut processes: BTreeMap<_, _> =
            self.services.iter().filter_map(|service| Some((service.name().to_owned(), service.pid()?))).collect();
        processes.extend(self.database.pid().map(|pid| ("postgres".to_owned(), pid)));
        self.status_file.write(processes)
    }

    /// Stops the processes: nginx first, so that no request reaches a process that is stopping.
    pub fn stop(mut self, interrupt: &Interrupt) {
        // A further interrupt kills the processes.
        let earlier_interrupts = interrupt.count();
        let should_kill = || interrupt.count() > earlier_interrupts;
        let (proxies, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.services).into_iter().partition(|service| service.name() == "nginx");
        for group in [proxies, others] {
            group.iter().for_each(Service::request_stop);
            for mut service in group {
                service.wait_until_stopped(should_kill);
            }
        }
        self.status_file.remove();
    }
}
