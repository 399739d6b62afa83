//! The bundle's signature: `SHA256SUMS.sig`, the raw Ed25519 signature of `SHA256SUMS`, which names every other file.
//! openssl makes and verifies it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::{self, SystemProgram};
use crate::proc::{self, Interrupt};

const OPENSSL: SystemProgram = SystemProgram { name: "openssl", package: "openssl" };

/// Checks that a file is a key that [`sign`] can use, before the work of a build is done.
///
/// # Errors
/// If openssl is missing, or the file is not an Ed25519 private key.
pub fn require_key(key: &Path, interrupt: &Interrupt) -> Result<()> {
    debian::require(&[OPENSSL], interrupt)?;
    let mut openssl = Command::new(OPENSSL.name);
    openssl.args(["pkey", "-noout", "-text", "-in"]).arg(key);
    let description = proc::checked_output(&mut openssl, "openssl pkey")
        .with_context(|| format!("{} is not a private key", key.display()))?;
    if !description.starts_with("ED25519 Private-Key") {
        bail!(
            "{} is not an Ed25519 private key: create one with `openssl genpkey -algorithm ed25519 -out FILE`",
            key.display()
        );
    }
    Ok(())
}

/// Writes the signature of `file` to `signature`.
///
/// # Errors
/// If openssl fails.
pub fn sign(key: &Path, file: &Path, signature: &Path) -> Result<()> {
    let mut openssl = Command::new(OPENSSL.name);
    openssl.args(["pkeyutl", "-sign", "-rawin", "-inkey"]).arg(key).arg("-in").arg(file).arg("-out").arg(signature);
    proc::checked_output(&mut openssl, "signing the bundle")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::checksums;
    use super::*;
    use crate::project;
    use std::fs;
    use std::path::PathBuf;

    /// A signed bundle with one program and `deploy/install`.
    struct Bundle {
        temp_dir: tempfile::TempDir,
    }

    impl Bundle {
        fn create() -> Self {
            let bundle = Self { temp_dir: tempfile::tempdir().unwrap() };
            fs::create_dir_all(bundle.file("bin")).unwrap();
            fs::create_dir_all(bundle.file("deploy")).unwrap();
            fs::write(bundle.file("bin/program"), "a program").unwrap();
            fs::copy(project::root().unwrap().join("deploy/install"), bundle.file("deploy/install")).unwrap();
            bundle.create_key("release");
            bundle.create_key("other");
            fs::write(bundle.file("SHA256SUMS"), checksums(&bundle.file("")).unwrap()).unwrap();
            sign(&bundle.key("release"), &bundle.file("SHA256SUMS"), &bundle.file("SHA256SUMS.sig")).unwrap();
            bundle
        }

        fn file(&self, name: &str) -> PathBuf {
            self.temp_dir.path().join("bundle").join(name)
        }

        fn key(&self, name: &str) -> PathBuf {
            self.temp_dir.path().join(name).with_extension("pem")
        }

        fn public_key(&self, name: &str) -> PathBuf {
            self.temp_dir.path().join(name).with_extension("pub.pem")
        }

        fn create_key(&self, name: &str) {
            let run = |openssl: &mut Command| proc::checked_output(openssl, "openssl").unwrap();
            run(Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(self.key(name)));
            let public_key = self.public_key(name);
            run(Command::new("openssl")
                .args(["pkey", "-pubout", "-in"])
                .arg(self.key(name))
                .arg("-out")
                .arg(public_key));
        }

        /// Runs `deploy/install`, and returns its output as a result.
        fn install(&self, public_key: Option<&str>) -> Result<String, String> {
            let mut script = Command::new("sh");
            script.arg(self.file("deploy/install")).arg("--prefix").arg(self.temp_dir.path().join("installed"));
            if let Some(name) = public_key {
                script.arg("--public-key").arg(self.public_key(name));
            }
            proc::checked_output(&mut script, "deploy/install").map_err(|error| error.to_string())
        }

        fn assert_refused(&self, public_key: Option<&str>, expected: &str) {
            let error = self.install(public_key).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!self.temp_dir.path().join("installed").exists(), "nothing may be installed");
        }
    }

    #[test]
    fn a_bundle_is_installed_if_signature_and_files_are_right() {
        let bundle = Bundle::create();
        assert_eq!(fs::metadata(bundle.file("SHA256SUMS.sig")).unwrap().len(), 64);
        let output = bundle.install(Some("release")).unwrap();
        assert!(output.contains("the signature is valid"), "{output}");
        let installed = bundle.temp_dir.path().join("installed/bin/program");
        assert_eq!(fs::read_to_string(&installed).unwrap(), "a program");
        fs::remove_file(&installed).unwrap();
        bundle.install(None).unwrap();
        assert!(installed.is_file());
    }

    #[test]
    fn a_changed_or_missing_or_added_file_is_named() {
        let bundle = Bundle::create();
        fs::write(bundle.file("bin/program"), "another program").unwrap();
        bundle.assert_refused(None, "bin/program: FAILED");
        fs::remove_file(bundle.file("bin/program")).unwrap();
        bundle.assert_refused(None, "bin/program: FAILED");
        fs::write(bundle.file("bin/program"), "a program").unwrap();
        fs::write(bundle.file("bin/added"), "").unwrap();
        bundle.assert_refused(None, "./bin/added");
    }

    #[test]
    fn changed_checksums_and_another_key_are_refused() {
        let bundle = Bundle::create();
        bundle.assert_refused(Some("other"), "SHA256SUMS was changed, or not signed with");
        fs::write(bundle.file("bin/program"), "another program").unwrap();
        fs::write(bundle.file("SHA256SUMS"), sums_without_signature(&bundle)).unwrap();
        bundle.assert_refused(Some("release"), "SHA256SUMS was changed, or not signed with");
        fs::remove_file(bundle.file("SHA256SUMS.sig")).unwrap();
        bundle.assert_refused(Some("release"), "the bundle is not signed");
    }

    /// What somebody would write who changes a file.
    fn sums_without_signature(bundle: &Bundle) -> String {
        let sums = checksums(&bundle.file("")).unwrap();
        sums.lines().filter(|line| !line.contains("SHA256SUMS")).map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn a_key_of_another_kind_is_refused_before_anything_is_built() {
        let temp_dir = tempfile::tempdir().unwrap();
        let key = temp_dir.path().join("key.pem");
        let mut openssl = Command::new("openssl");
        openssl.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]).arg(&key);
        proc::checked_output(&mut openssl, "openssl").unwrap();
        let error = require_key(&key, &Interrupt::default()).unwrap_err().to_string();
        assert!(error.contains("not an Ed25519 private key"), "{error}");
        fs::write(&key, "no key").unwrap();
        let error = require_key(&key, &Interrupt::default()).unwrap_err().to_string();
        assert!(error.contains("is not a private key"), "{error}");
    }
}
