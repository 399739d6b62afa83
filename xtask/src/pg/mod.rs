//! The embedded PostgreSQL: its programs, and the clusters that they run.

mod cluster;
mod initdb;
mod postmaster;
mod programs;
mod temporary;

pub use cluster::{Cluster, ClusterPaths, Purpose, free_port, is_free};
use initdb::init;
pub use postmaster::Postmaster;
pub use programs::Programs;
pub use temporary::{TemporaryCluster, temporary_dir};

#[cfg(test)]
mod tests {
    //! Tests with the real embedded PostgreSQL: downloaded, created, started and stopped.
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::data_dir::DataDir;
    use crate::proc::Interrupt;

    struct TestCluster {
        programs: Programs,
        pgdata: PathBuf,
        log: PathBuf,
        _top: tempfile::TempDir,
    }

    impl TestCluster {
        fn new() -> Self {
            let top = tempfile::tempdir().unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
            fs::set_permissions(top.path(), mode).unwrap();
            let programs = Programs::provision(&Interrupt::default()).unwrap();
            let data = DataDir::open(Some(&top.path().join("data dir"))).unwrap();
            let pgdata = data.pgdata(programs.run_as()).unwrap();
            Self { programs, pgdata, log: data.join("log"), _top: top }
        }

        fn start(&self, port: Option<u16>) -> anyhow::Result<Cluster> {
            let paths = ClusterPaths { pgdata: &self.pgdata, log: &self.log, password: "s3cret" };
            Cluster::start(&self.programs, paths, Purpose::Temporary, port, &Interrupt::default())
        }
    }

    #[test]
    fn a_cluster_keeps_its_data_and_its_port_over_a_restart() {
        let site = TestCluster::new();
        let cluster = site.start(None).unwrap();
        cluster.ensure_database("plant").unwrap();
        cluster.ensure_database("plant").unwrap();
        cluster.sql("plant", "create extension vector; create table t as select '[1,2]'::vector as v").unwrap();
        let port = cluster.port();
        drop(cluster);
        assert_eq!(Postmaster::find(&site.pgdata), None);
        let cluster = site.start(Some(port)).unwrap();
        assert_eq!(cluster.port(), port);
        assert_eq!(cluster.sql("plant", "select v from t").unwrap(), "[1,2]");
        assert!(cluster.sql("plant", "show server_version").unwrap().starts_with("16."));
    }

    #[test]
    fn if_the_port_is_taken_another_one_is_used() {
        let site = TestCluster::new();
        let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let cluster = site.start(Some(port)).unwrap();
        assert_ne!(cluster.port(), port);
    }

    #[test]
    fn a_server_that_a_killed_run_left_behind_is_replaced() {
        let site = TestCluster::new();
        let left = site.start(None).unwrap();
        let old = Postmaster::find(&site.pgdata).unwrap();
        let new = site.start(None).unwrap();
        assert_ne!(Postmaster::find(&site.pgdata).unwrap().pid, old.pid);
        assert_eq!(new.sql("postgres", "select 1").unwrap(), "1");
        drop(left);
    }

    #[test]
    fn lock_files_of_dead_and_unrelated_processes_do_not_prevent_a_start() {
        let site = TestCluster::new();
        drop(site.start(None).unwrap());
        for pid in [4_000_000, std::process::id()] {
            let lock = format!("{pid}\n{}\n1763800000\n5432\n\n127.0.0.1\n 1 1\nready\n", site.pgdata.display());
            fs::write(site.pgdata.join("postmaster.pid"), lock).unwrap();
            assert_eq!(site.start(None).unwrap().sql("postgres", "select 1").unwrap(), "1");
        }
    }

    #[test]
    fn a_wrong_password_is_refused_over_tcp() {
        let site = TestCluster::new();
        let cluster = site.start(None).unwrap();
        let url = cluster.superuser_url("postgres").replace("s3cret", "guess");
        let mut psql = site.programs.command("psql");
        let error = crate::proc::checked_output(psql.args([&url, "-c", "select 1"]), "psql").unwrap_err().to_string();
        assert!(error.contains("password authentication failed"), "{error}");
    }
}
