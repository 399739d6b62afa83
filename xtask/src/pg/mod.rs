//! The embedded PostgreSQL: its programs, and the clusters that they run.

mod cluster;
mod initdb;
mod postmaster;
mod programs;
mod temporary;

pub use cluster::{Cluster, ClusterPaths, ClusterPurpose, choose_port, free_port};
use initdb::init_cluster;
pub use postmaster::Postmaster;
pub use programs::PostgresPrograms;
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
        programs: PostgresPrograms,
        pgdata: PathBuf,
        log: PathBuf,
        _temp_dir: tempfile::TempDir,
    }

    impl TestCluster {
        fn new() -> Self {
            let temp_dir = tempfile::tempdir().unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
            fs::set_permissions(temp_dir.path(), mode).unwrap();
            let programs = PostgresPrograms::provision(&Interrupt::default()).unwrap();
            let data = DataDir::open(Some(&temp_dir.path().join("data dir"))).unwrap();
            let pgdata = data.pgdata(programs.run_as()).unwrap();
            Self { programs, pgdata, log: data.join("log"), _temp_dir: temp_dir }
        }

        fn start(&self, port: Option<u16>) -> anyhow::Result<Cluster> {
            let paths = ClusterPaths { pgdata: &self.pgdata, log: &self.log, password: "s3cret" };
            Cluster::start(&self.programs, paths, ClusterPurpose::Test, port, &Interrupt::default())
        }
    }

    #[test]
    fn a_cluster_keeps_its_data_and_its_port_over_a_restart() {
        let test_cluster = TestCluster::new();
        let cluster = test_cluster.start(None).unwrap();
        cluster.ensure_database("plant").unwrap();
        cluster.ensure_database("plant").unwrap();
        cluster.sql("plant", "create extension vector; create table t as select '[1,2]'::vector as v").unwrap();
        let port = cluster.port();
        drop(cluster);
        assert_eq!(Postmaster::find(&test_cluster.pgdata), None);
        let cluster = test_cluster.start(Some(port)).unwrap();
        assert_eq!(cluster.port(), port);
        assert_eq!(cluster.sql("plant", "select v from t").unwrap(), "[1,2]");
        assert!(cluster.sql("plant", "show server_version").unwrap().starts_with("16."));
    }

    #[test]
    fn if_the_port_is_taken_another_one_is_used() {
        let test_cluster = TestCluster::new();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let cluster = test_cluster.start(Some(port)).unwrap();
        assert_ne!(cluster.port(), port);
    }

    #[test]
    fn a_server_that_a_killed_run_left_behind_is_replaced() {
        let test_cluster = TestCluster::new();
        let leftover = test_cluster.start(None).unwrap();
        let old_postmaster = Postmaster::find(&test_cluster.pgdata).unwrap();
        let new_cluster = test_cluster.start(None).unwrap();
        assert_ne!(Postmaster::find(&test_cluster.pgdata).unwrap().pid, old_postmaster.pid);
        assert_eq!(new_cluster.sql("postgres", "select 1").unwrap(), "1");
        drop(leftover);
    }

    #[test]
    fn lock_files_of_dead_and_unrelated_processes_do_not_prevent_a_start() {
        let test_cluster = TestCluster::new();
        drop(test_cluster.start(None).unwrap());
        for pid in [4_000_000, std::process::id()] {
            let lock =
                format!("{pid}\n{}\n1763800000\n5432\n\n127.0.0.1\n 1 1\nready\n", test_cluster.pgdata.display());
            fs::write(test_cluster.pgdata.join("postmaster.pid"), lock).unwrap();
            assert_eq!(test_cluster.start(None).unwrap().sql("postgres", "select 1").unwrap(), "1");
        }
    }

    #[test]
    fn a_wrong_password_is_refused_over_tcp() {
        let test_cluster = TestCluster::new();
        let cluster = test_cluster.start(None).unwrap();
        let url = cluster.superuser_url("postgres").replace("s3cret", "guess");
        let mut psql = test_cluster.programs.command("psql");
        let error = crate::proc::checked_output(psql.args([&url, "-c", "select 1"]), "psql").unwrap_err().to_string();
        assert!(error.contains("password authentication failed"), "{error}");
    }
}
