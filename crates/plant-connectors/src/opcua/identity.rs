//! The platform's own certificate and private key, which identify it to OPC UA servers.

use crate::failure;
use crate::pem;
use domain::plant::ConnectorError;
use opcua::crypto::{X509, X509Data};
use opcua::types::{ApplicationDescription, ApplicationType, LocalizedText, UAString};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::sync::OnceCell;

/// Name of the application in its certificate and in servers' lists of sessions.
pub const APPLICATION_NAME: &str = "Plant platform";
/// Identity of the application; it is also in its certificate, and servers compare the two.
pub const APPLICATION_URI: &str = "urn:plant-platform:connector";
const PRODUCT_URI: &str = "urn:plant-platform";
/// Length of the key, in bits: all policies in use and all servers accept it.
const KEY_BITS: u32 = 2_048;
/// Validity of the certificate. Servers' administrators accept it by hand, so it should not expire soon.
const VALID_DAYS: u32 = 20 * 365;
const CERTIFICATE_FILE: &str = "certificate.der";
const PRIVATE_KEY_FILE: &str = "private-key.pem";
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIR: u32 = 0o700;

/// The platform's own certificate and key, in a directory; created when they are first needed.
pub struct Identity {
    dir: PathBuf,
    made: OnceCell<OwnCertificate>,
}

/// Where the certificate and its key are.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    /// File with the certificate, DER.
    pub certificate_path: PathBuf,
    /// File with the private key, PKCS #8 in PEM.
    pub private_key_path: PathBuf,
    /// SHA-256 of the certificate.
    pub thumbprint: String,
}

impl Identity {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, made: OnceCell::new() }
    }

    /// A directory for the client library's files on one server.
    pub fn peer_dir(&self, endpoint: &str) -> PathBuf {
        let name = pem::thumbprint(endpoint.as_bytes());
        self.dir.join("servers").join(name.get(..16).unwrap_or_default())
    }

    /// The certificate. Processes that share the directory share it.
    pub async fn certificate(&self) -> Result<&OwnCertificate, ConnectorError> {
        self.made
            .get_or_try_init(|| async {
                let dir = self.dir.clone();
                let made = tokio::task::spawn_blocking(move || load_or_make(&dir)).await;
                made.map_err(|_| failure::configuration("the platform's OPC UA key could not be made"))?.map_err(
                    |error| {
                        failure::configuration(format!("the platform's OPC UA certificate cannot be kept: {error}"))
                    },
                )
            })
            .await
    }
}

/// The platform's application description.
pub fn application_description() -> ApplicationDescription {
    ApplicationDescription {
        application_uri: UAString::from(APPLICATION_URI),
        product_uri: UAString::from(PRODUCT_URI),
        application_name: LocalizedText::new("en", APPLICATION_NAME),
        application_type: ApplicationType::Client,
        ..ApplicationDescription::default()
    }
}

fn load_or_make(dir: &Path) -> io::Result<OwnCertificate> {
    let own = dir.join("own");
    if !own.exists() {
        fs::DirBuilder::new().recursive(true).mode(PRIVATE_DIR).create(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(PRIVATE_DIR))?;
        make(dir, &own)?;
    }
    let certificate_path = own.join(CERTIFICATE_FILE);
    let thumbprint = pem::thumbprint(&fs::read(&certificate_path)?);
    Ok(OwnCertificate { certificate_path, private_key_path: own.join(PRIVATE_KEY_FILE), thumbprint })
}

/// Creates certificate and key in a directory that gets its final name when both are complete. Of several concurrent
/// calls, in this process or in others, one succeeds, and the others use its result.
fn make(dir: &Path, own: &Path) -> io::Result<()> {
    // Its alternative names are the URI and the names of this machine.
    let mut data = X509Data::from(application_description());
    data.key_size = KEY_BITS;
    data.common_name = APPLICATION_NAME.to_owned();
    data.organization = APPLICATION_NAME.to_owned();
    data.organizational_unit = APPLICATION_NAME.to_owned();
    data.certificate_duration_days = VALID_DAYS;
    let (certificate, key) = X509::cert_and_pkey(&data).map_err(io::Error::other)?;
    let key = key.to_der().map_err(|error| io::Error::other(error.to_string()))?;
    let certificate = certificate.to_der().map_err(|error| io::Error::other(error.to_string()))?;
    let unfinished = dir.join(format!("unfinished-{:016x}", fastrand::u64(..)));
    fs::DirBuilder::new().mode(PRIVATE_DIR).create(&unfinished)?;
    write_private(&unfinished.join(PRIVATE_KEY_FILE), pem::encode("PRIVATE KEY", key.as_bytes()).as_bytes())?;
    write_private(&unfinished.join(CERTIFICATE_FILE), &certificate)?;
    match fs::rename(&unfinished, own) {
        Err(error) if !own.exists() => Err(error),
        Err(_) => fs::remove_dir_all(&unfinished),
        Ok(()) => Ok(()),
    }
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_certificate_is_made_once_and_its_key_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("identity");
        let made = Identity::new(dir.clone()).certificate().await.unwrap().clone();
        let again = Identity::new(dir.clone()).certificate().await.unwrap().clone();
        assert_eq!(made.thumbprint, again.thumbprint);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&made.private_key_path), mode(&dir)), (PRIVATE_FILE, PRIVATE_DIR));
        let certificate = X509::from_der(&fs::read(&made.certificate_path).unwrap()).unwrap();
        assert!(certificate.is_application_uri_valid(APPLICATION_URI).is_ok());
        assert!(opcua::crypto::PrivateKey::read_pem_file(&made.private_key_path).is_ok());
    }
}
