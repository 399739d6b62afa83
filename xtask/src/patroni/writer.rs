//! Writers that record which of their commits were acknowledged, and when.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::pg::PostgresPrograms;

const WRITERS: usize = 3;
/// Pause between two writes of a writer.
const PAUSE: Duration = Duration::from_millis(50);

/// A commit that was acknowledged.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// The content that was written.
    pub content: String,
    /// When the attempt began.
    pub started: Instant,
    /// When it was acknowledged.
    pub ended: Instant,
}

/// Whose memories are written, and through which URL.
#[derive(Clone, Debug)]
pub struct Author {
    /// URL of the application's role.
    pub url: String,
    /// Id of the tenant.
    pub tenant_id: String,
    /// Id of the user.
    pub user_id: String,
}

impl Author {
    /// Commits a memory as the application does: with the tenant and the user of the transaction.
    fn write(&self, programs: &PostgresPrograms, content: &str) -> bool {
        let Self { url, tenant_id, user_id } = self;
        // Several statements in one message are one transaction.
        let sql = format!(
            "SELECT set_config('app.current_tenant_id', '{tenant_id}', true),
                    set_config('app.current_user_id', '{user_id}', true);
             INSERT INTO memories (tenant_id, user_id, content) VALUES ('{tenant_id}', '{user_id}', '{content}')"
        );
        let mut psql: Command = programs.command("psql");
        psql.env("PGCONNECT_TIMEOUT", "3").args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", &sql]);
        psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        psql.status().is_ok_and(|status| status.success())
    }
}

/// Writers that run until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the writers. `name` is part of what they write.
    pub fn start(programs: &PostgresPrograms, author: &Author, name: &str) -> Self {
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Acknowledged>>>::default());
        let spawn = |writer: usize| {
            let (programs, author, name) = (programs.clone(), author.clone(), name.to_owned());
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            thread::spawn(move || {
                for number in 0_u64.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (content, started) = (format!("{name} {writer} {number}"), Instant::now());
                    if author.write(&programs, &content) {
                        let entry = Acknowledged { content, started, ended: Instant::now() };
                        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
                    }
                    thread::sleep(PAUSE);
                }
            })
        };
        let threads = (0..WRITERS).map(spawn).collect();
        Self { stop, acknowledged, threads }
    }

    /// Number of acknowledged commits that were begun after `moment`.
    pub fn count_since(&self, moment: Instant) -> usize {
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        acknowledged.iter().filter(|entry| entry.started > moment).count()
    }

    /// Stops the writers and returns the acknowledged commits.
    ///
    /// # Errors
    /// If a writer panicked.
    pub fn finish(mut self) -> Result<Vec<Acknowledged>> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| anyhow!("a writer panicked"))?;
        }
        Ok(self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
