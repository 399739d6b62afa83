//! `cargo xtask patroni-test`: kills the primary of two database servers under load, twice, with the configuration in
//! `deploy/patroni`. Writes must be acknowledged again within 30 s, and none that was acknowledged may be lost.

mod cluster;
mod node;
mod process;
mod writer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::data_dir::DataDir;
use crate::database::Database;
use crate::debian::{self, SystemProgram};
use crate::pg::{self, PostgresPrograms};
use crate::platform::{self, Platform, ServeSettings};
use crate::proc::Interrupt;
use crate::progress::print_status;
use crate::project;
use crate::server::{self, BuildProfile};
use crate::state::SavedState;
use crate::test_support::{self, Client, text_of, wait_until};
use crate::token::{self, Role, TokenRequest};
use crate::venv::{PackageFormats, Venv};
use cluster::PatroniCluster;
use writer::{Acknowledged, Author, Load};

const PROGRAMS: &[SystemProgram] =
    &[SystemProgram { name: "etcd", package: "etcd-server" }, SystemProgram { name: "haproxy", package: "haproxy" }];
/// Longest time from the death of the primary to the next acknowledged write.
const MAX_INTERRUPTION: Duration = Duration::from_secs(30);
/// How often the primary is killed, so that each server takes over once.
const ROUNDS: usize = 2;
/// Writes before and after each death.
const MIN_WRITES: usize = 20;
const TOKEN_REQUEST: TokenRequest<'static> =
    TokenRequest { tenant: "north", user: "eva", role: Role::User, ttl: "1h", auth_age: None, grant: None };

/// Runs the test.
///
/// # Errors
/// If something cannot be started, the interruption is too long, or a write is lost.
pub fn test(interrupt: &Interrupt) -> Result<ExitCode> {
    debian::require(PROGRAMS, interrupt)?;
    let programs = PostgresPrograms::provision(interrupt)?;
    let dir = pg::temporary_dir(&programs)?;
    let result = test_in(dir.path(), &programs, interrupt);
    test_support::keep_if_failed(dir, &result);
    result
}

fn test_in(dir: &Path, programs: &PostgresPrograms, interrupt: &Interrupt) -> Result<ExitCode> {
    let patroni = provision(programs, interrupt)?;
    let data = DataDir::open(Some(dir))?;
    let state = SavedState::load_or_create(data.path())?;
    let port = pg::free_port()?;
    let listen = ServeSettings::for_port(port, interrupt)?;
    let program = server::build(BuildProfile::Dev, interrupt)?;
    let mut cluster = PatroniCluster::start(dir, patroni, programs.clone(), &state, interrupt)?;

    let urls = cluster.urls(&state);
    let server = platform::server_for(program, &data, &state, &urls, Some(&listen))?;
    let app_url = urls.app.clone();
    let platform = Platform { server, database: Database::external(urls) };
    platform.migrate(interrupt)?;
    let mut running = platform.server.start(&data.join("server.log"), &data.join("server.pid"))?;
    platform.server.wait_until_ready(&mut running, interrupt)?;
    let token = token::issue(&platform.server, TOKEN_REQUEST, interrupt)?;
    let client = Client { program: platform.server.command_line(), url: format!("http://127.0.0.1:{port}"), token };
    let mut conversations = vec![client.ask("Which pump feeds the boiler?")?];

    let author = find_author(&cluster, app_url)?;
    let mut acknowledged = Vec::new();
    for round in 1..=ROUNDS {
        acknowledged.extend(fail_over(&mut cluster, programs, &author, round, interrupt)?);
        assert_nothing_is_lost(&cluster, &acknowledged)?;
        // The same server process, whose connections were cut.
        wait_until("an answer of the platform", interrupt, || match client.ask("Is the platform in use again?") {
            Ok(id) => {
                conversations.push(id);
                Ok(true)
            }
            Err(_) => Ok(false),
        })?;
        running.check()?;
    }
    for id in &conversations {
        ensure!(client.has_conversation(id)?, "the conversation {id} is lost");
    }
    let verified = platform.server.command(&["audit", "verify"]).output().context("cannot start platform-server")?;
    ensure!(verified.status.success(), "the audit log does not verify: {}", text_of(&verified));
    println!("{} acknowledged writes, none is lost", acknowledged.len());
    Ok(ExitCode::SUCCESS)
}

/// Kills the primary under load, waits until the other server acknowledges writes, and has the killed one follow it.
fn fail_over(
    cluster: &mut PatroniCluster,
    programs: &PostgresPrograms,
    author: &Author,
    round: usize,
    interrupt: &Interrupt,
) -> Result<Vec<Acknowledged>> {
    let load = Load::start(programs, author, &format!("round {round}"));
    let begun = Instant::now();
    wait_until("the first writes", interrupt, || Ok(load.count_since(begun) >= MIN_WRITES))?;
    print_status("killing the primary …");
    let killed = cluster.kill_primary()?;
    let killed_at = Instant::now();
    wait_until("writes at the new primary", interrupt, || Ok(load.count_since(killed_at) >= MIN_WRITES))?;
    cluster.start_node(killed)?;
    cluster.wait_for_synchronous_standby(interrupt)?;
    let acknowledged = load.finish()?;
    let interruption = interruption(&acknowledged, killed_at).context("no write was acknowledged")?;
    println!("round {round}: no write was acknowledged for {:.1} s", interruption.as_secs_f64());
    ensure!(
        interruption <= MAX_INTERRUPTION,
        "writes were interrupted for {:.1} s, and {} s are allowed",
        interruption.as_secs_f64(),
        MAX_INTERRUPTION.as_secs()
    );
    Ok(acknowledged)
}

/// Time from `killed_at` to the first acknowledgement of a write that was begun afterwards.
fn interruption(acknowledged: &[Acknowledged], killed_at: Instant) -> Option<Duration> {
    let later = acknowledged.iter().filter(|entry| entry.started > killed_at);
    later.map(|entry| entry.ended.duration_since(killed_at)).min()
}

fn assert_nothing_is_lost(cluster: &PatroniCluster, acknowledged: &[Acknowledged]) -> Result<()> {
    let stored = cluster.query("SELECT content FROM memories")?;
    let stored: BTreeSet<_> = stored.lines().collect();
    let lost: Vec<_> =
        acknowledged.iter().map(|entry| entry.content.as_str()).filter(|content| !stored.contains(content)).collect();
    ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    Ok(())
}

/// The user whose token was issued.
fn find_author(cluster: &PatroniCluster, url: String) -> Result<Author> {
    let row = cluster.query("SELECT tenant_id, id FROM users LIMIT 1")?;
    let (tenant_id, user_id) = row.split_once('|').context("there is no user")?;
    Ok(Author { url, tenant_id: tenant_id.to_owned(), user_id: user_id.to_owned() })
}

/// Path of `patroni`, in a virtual environment that the database's user can run.
fn provision(programs: &PostgresPrograms, interrupt: &Interrupt) -> Result<PathBuf> {
    let venv = Venv {
        title: "patroni",
        requirements: &requirements()?,
        // Its client of etcd is published as source.
        package_formats: PackageFormats::SourceAllowed,
        hint: "on Debian the package python3-venv",
        user: programs.run_as(),
    };
    Ok(venv.provision(interrupt)?.join("bin").join("patroni"))
}

fn requirements() -> Result<PathBuf> {
    Ok(project::root()?.join("deploy").join("patroni").join("requirements.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venv;

    #[test]
    fn everything_that_is_installed_is_pinned_by_its_hash() {
        venv::assert_pinned(&requirements().unwrap());
    }

    #[test]
    fn a_write_that_was_under_way_does_not_end_the_interruption() {
        let killed_at = Instant::now();
        let after = |seconds| killed_at + Duration::from_secs(seconds);
        let entry = |started, ended| Acknowledged { content: String::new(), started, ended };
        let under_way = entry(killed_at, after(1));
        assert_eq!(interruption(std::slice::from_ref(&under_way), killed_at), None);
        let acknowledged = [under_way, entry(after(2), after(19)), entry(after(3), after(20))];
        assert_eq!(interruption(&acknowledged, killed_at), Some(Duration::from_secs(19)));
    }
}
