//! `cargo xtask recovery-test`: destroys a platform's database and restores it to a second between two conversations,
//! with the settings and commands of docs/operations/backup-and-restore.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::data_dir::DataDir;
use crate::database::Database;
use crate::pg::{self, PostgresPrograms};
use crate::platform::{self, Platform, ServeSettings};
use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::server::{self, BuildProfile, RunningServer, Server};
use crate::state::SavedState;
use crate::test_support::{self, Client, text_of, wait_until};
use crate::token::{self, Role, TokenRequest};
use crate::{files, project};

/// Pause around the point in time, which is chosen to the second.
const PAUSE: Duration = Duration::from_secs(2);
const TOKEN_REQUEST: TokenRequest<'static> =
    TokenRequest { tenant: "north", user: "eva", role: Role::User, ttl: "1h", auth_age: None, grant: None };

/// Runs the test.
///
/// # Errors
/// If something cannot be started, or the restored platform is not that of the point in time.
pub fn test(interrupt: &Interrupt) -> Result<ExitCode> {
    let programs = PostgresPrograms::provision(interrupt)?;
    let dir = pg::temporary_dir(&programs)?;
    let result = test_in(dir.path(), programs, interrupt);
    test_support::keep_if_failed(dir, &result);
    result
}

fn test_in(dir: &Path, programs: PostgresPrograms, interrupt: &Interrupt) -> Result<ExitCode> {
    let data = DataDir::open(Some(dir))?;
    let archive = Archive::create(dir, programs)?;
    let mut test = RecoveryTest::prepare(data, archive, interrupt)?;

    print_status("writing two conversations, with a point in time between them …");
    let mut running = test.start_server(interrupt)?;
    let token = token::issue(&test.platform.server, TOKEN_REQUEST, interrupt)?;
    let client = Client { program: test.platform.server.command_line(), url: test.url(), token };
    test.archive.take_base_backup(&test.platform.database)?;
    let kept = client.ask("Which pump feeds the boiler?")?;
    interrupt.sleep(PAUSE)?;
    let target_time = test.platform.database.superuser_query("SELECT now()")?;
    interrupt.sleep(PAUSE)?;
    let lost = client.ask("Which valve closes its line?")?;
    test.wait_for_checkpoint_after(&target_time, interrupt)?;
    test.archive.wait_for_current_file(&test.platform.database, interrupt)?;
    running.stop(interrupt)?;
    drop(running);

    print_status("destroying the database and restoring it …");
    test.destroy_database(interrupt)?;
    test.archive.restore(&test.pgdata()?, &target_time)?;
    test.start_database(interrupt)?;
    test.assert_audit_log_misses_its_end()?;
    fs::rename(test.checkpoint_file(), test.checkpoint_file().with_extension("before-recovery"))?;
    test.verify_audit_log()?;

    let running = test.start_server(interrupt)?;
    ensure!(client.has_conversation(&kept)?, "the conversation from before {target_time} is not there");
    ensure!(!client.has_conversation(&lost)?, "the conversation from after {target_time} is still there");
    let added = client.ask("Is the platform in use again?")?;
    ensure!(client.has_conversation(&added)?, "a new conversation is not there");
    test.verify_audit_log()?;
    drop(running);
    println!("restored to {target_time}: the earlier conversation is there, the later one is not");
    Ok(ExitCode::SUCCESS)
}

/// The platform under test.
struct RecoveryTest {
    data: DataDir,
    state: SavedState,
    listen: ServeSettings,
    port: u16,
    program: PathBuf,
    archive: Archive,
    platform: Platform,
}

impl RecoveryTest {
    /// A migrated platform whose database archives its log.
    fn prepare(data: DataDir, archive: Archive, interrupt: &Interrupt) -> Result<Self> {
        let mut state = SavedState::load_or_create(data.path())?;
        let database = Database::start(&data, &mut state, interrupt)?;
        archive.enable(&database)?;
        // The mode of archiving takes effect when the server starts.
        drop(database);
        let database = Database::start(&data, &mut state, interrupt)?;
        let port = pg::free_port()?;
        let listen = ServeSettings::for_port(port, interrupt)?;
        let program = server::build(BuildProfile::Dev, interrupt)?;
        let server = configure_server(&program, &data, &state, &database, &listen)?;
        let platform = Platform { server, database };
        platform.migrate(interrupt)?;
        Ok(Self { data, state, listen, port, program, archive, platform })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn pgdata(&self) -> Result<PathBuf> {
        self.data.pgdata(self.archive.programs.run_as())
    }

    /// The copies of the audit log's checkpoints outside of the database.
    fn checkpoint_file(&self) -> PathBuf {
        self.data.join("audit").join("checkpoints.ndjson")
    }

    fn start_server(&self, interrupt: &Interrupt) -> Result<RunningServer> {
        let server = &self.platform.server;
        let mut running = server.start(&self.data.join("server.log"), &self.data.join("server.pid"))?;
        server.wait_until_ready(&mut running, interrupt)?;
        Ok(running)
    }

    /// Starts the restored database, which first replays the archived log.
    fn start_database(&mut self, interrupt: &Interrupt) -> Result<()> {
        let database = Database::start(&self.data, &mut self.state, interrupt)?;
        self.platform.server = configure_server(&self.program, &self.data, &self.state, &database, &self.listen)?;
        self.platform.database = database;
        Ok(())
    }

    /// Kills the database server and removes its data directory.
    fn destroy_database(&mut self, interrupt: &Interrupt) -> Result<()> {
        let pid = self.platform.database.pid().context("the database does not run")?;
        proc::signal_process(pid, Signal::KILL);
        while !self.platform.database.has_stopped() {
            interrupt.sleep(Duration::from_millis(20))?;
        }
        let pgdata = self.pgdata()?;
        // Its other processes end a moment later, and may write a file until then.
        wait_until("the removal of the data directory", interrupt, || Ok(fs::remove_dir_all(&pgdata).is_ok()))
    }

    /// Waits until a checkpoint outside of the database covers rows that the restored database will not have.
    fn wait_for_checkpoint_after(&self, target_time: &str, interrupt: &Interrupt) -> Result<()> {
        let query = format!(
            "SELECT EXISTS (SELECT FROM audit_checkpoints p JOIN audit_chain c USING (tenant_id, seq)
                            WHERE c.at > '{target_time}')"
        );
        wait_until("a checkpoint of the audit log", interrupt, || {
            Ok(self.platform.database.superuser_query(&query)? == "t")
        })?;
        // The checkpoint is kept in the database first, and appended to the file in the same round.
        interrupt.sleep(PAUSE)
    }

    fn assert_audit_log_misses_its_end(&self) -> Result<()> {
        let output = self.audit_verify()?;
        let text = text_of(&output);
        ensure!(
            !output.status.success() && text.contains("the end is missing"),
            "`audit verify` does not report what was lost: {text}"
        );
        Ok(())
    }

    fn verify_audit_log(&self) -> Result<()> {
        let output = self.audit_verify()?;
        ensure!(output.status.success(), "the audit log does not verify: {}", text_of(&output));
        Ok(())
    }

    fn audit_verify(&self) -> Result<Output> {
        self.platform.server.command(&["audit", "verify"]).output().context("cannot start platform-server")
    }
}

/// The server with a checkpoint of the audit log each second.
fn configure_server(
    program: &Path,
    data: &DataDir,
    state: &SavedState,
    database: &Database,
    listen: &ServeSettings,
) -> Result<Server> {
    let server = platform::server_for(program.to_path_buf(), data, state, &database.urls, Some(listen))?;
    Ok(server.with_variable("PLATFORM__AUDIT__CHECKPOINT_S", "1"))
}

/// The archive of the write-ahead log, and a base backup beside it.
struct Archive {
    programs: PostgresPrograms,
    wal_dir: PathBuf,
    base_dir: PathBuf,
    script: PathBuf,
}

impl Archive {
    /// Creates the directories, which the database's user owns, and a copy of `deploy/postgres/archive-wal`, because
    /// that user may not be able to access the checkout.
    fn create(dir: &Path, programs: PostgresPrograms) -> Result<Self> {
        let backup_dir = dir.join("backup");
        let archive = Self {
            programs,
            wal_dir: backup_dir.join("wal"),
            base_dir: backup_dir.join("base"),
            script: backup_dir.join("archive-wal"),
        };
        files::create_dir(&archive.wal_dir, 0o700)?;
        fs::copy(project::root()?.join("deploy/postgres/archive-wal"), &archive.script)?;
        if let Some(user) = archive.programs.run_as() {
            for path in [&backup_dir, &archive.wal_dir, &archive.script] {
                user.make_owner_of(path)?;
            }
        }
        Ok(archive)
    }

    fn enable(&self, database: &Database) -> Result<()> {
        let (script, wal_dir) = (self.script.display(), self.wal_dir.display());
        let archive_command = format!("archive_command = '{script} {wal_dir} %p %f'");
        for setting in ["archive_mode = on", "archive_timeout = '60s'", archive_command.as_str()] {
            database.superuser_sql(&format!("ALTER SYSTEM SET {setting}"))?;
        }
        Ok(())
    }

    fn take_base_backup(&self, database: &Database) -> Result<()> {
        let url = database.urls.migration.as_deref().context("there is no superuser's URL")?;
        let mut base_backup = self.programs.command("pg_basebackup");
        base_backup.arg("--dbname").arg(url).arg("--pgdata").arg(&self.base_dir).arg("--checkpoint=fast");
        proc::checked_output(&mut base_backup, "pg_basebackup")?;
        Ok(())
    }

    /// Waits until what is written so far is archived.
    fn wait_for_current_file(&self, database: &Database, interrupt: &Interrupt) -> Result<()> {
        let file = database.superuser_query("SELECT pg_walfile_name(pg_switch_wal())")?;
        wait_until("the archive", interrupt, || Ok(self.wal_dir.join(&file).is_file()))
    }

    /// Puts the base backup in the place of the data directory, to be started up to `target_time`.
    fn restore(&self, pgdata: &Path, target_time: &str) -> Result<()> {
        let mut copy = Command::new("cp");
        proc::checked_output(copy.arg("-a").arg(&self.base_dir).arg(pgdata), "copying the base backup")?;
        let settings = pgdata.join("postgresql.auto.conf");
        let mut text = fs::read_to_string(&settings)?;
        text += &format!("restore_command = 'cp {}/%f %p'\n", self.wal_dir.display());
        text += &format!("recovery_target_time = '{target_time}'\nrecovery_target_action = 'promote'\n");
        fs::write(&settings, text)?;
        let signal = pgdata.join("recovery.signal");
        fs::write(&signal, "")?;
        match self.programs.run_as() {
            Some(user) => user.make_owner_of(&signal),
            None => Ok(()),
        }
    }
}
