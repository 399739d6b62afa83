//! nginx of the stack: `deploy/nginx/nginx.conf`, with a generated `site` directory.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::certificate::Certificate;
use super::platform_processes::PlatformPorts;
use super::service::Service;
use crate::data_dir::DataDir;
use crate::{debian, files, pg, project};
use rustix::process::Signal;

/// Writes the configuration and returns the service.
///
/// # Errors
/// If a file cannot be written, nginx is not installed, or no port is free.
pub fn service(data: &DataDir, port: u16, ports: &PlatformPorts, certificate: &Certificate) -> Result<Service> {
    let dir = data.join("nginx");
    let run_dir = dir.join("run");
    files::create_dir(&run_dir, 0o755)?;
    let listen = ListenAddresses { tls: format!("{port}"), plain: format!("127.0.0.1:{}", pg::free_port()?) };
    write_configuration(&dir, &listen, &ports.api.map(|api| api.http), certificate)?;
    let mut command = Command::new(debian::find("nginx").context("nginx is not installed")?);
    let directives = if rustix::process::geteuid().is_root() { "daemon off; user root;" } else { "daemon off;" };
    command.arg("-p").arg(&run_dir).arg("-c").arg(dir.join("nginx.conf")).args(["-g", directives]);
    Ok(Service::new("nginx", command, data).with_stop_signal(Signal::QUIT).with_ready_port(port))
}

/// The addresses that nginx listens on.
pub struct ListenAddresses {
    /// Address and port, or port, for HTTPS.
    pub tls: String,
    /// Address and port, or port, for HTTP.
    pub plain: String,
}

/// Copies `nginx.conf` and writes the settings that differ between deployments into `site`.
///
/// # Errors
/// If a file cannot be written.
pub fn write_configuration(
    dir: &Path,
    listen: &ListenAddresses,
    api_ports: &[u16],
    certificate: &Certificate,
) -> Result<()> {
    let site = dir.join("site");
    files::create_dir(&site, 0o755)?;
    fs::copy(project::root()?.join("deploy/nginx/nginx.conf"), dir.join("nginx.conf"))
        .context("cannot copy deploy/nginx/nginx.conf")?;
    let mut upstreams = "upstream api {\n    zone api 64k;\n    least_conn;\n".to_owned();
    for port in api_ports {
        writeln!(upstreams, "    server 127.0.0.1:{port} max_fails=1 fail_timeout=2s;")?;
    }
    upstreams += "}\n";
    let tls = format!(
        "ssl_certificate \"{}\";\nssl_certificate_key \"{}\";\n",
        certificate.certificate.display(),
        certificate.key.display()
    );
    let contents = [
        ("upstreams.conf", upstreams),
        ("listen.conf", format!("listen {} ssl http2;\n", listen.tls)),
        ("listen-plain.conf", format!("listen {};\n", listen.plain)),
        ("tls.conf", tls),
    ];
    for (name, content) in contents {
        fs::write(site.join(name), content).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}
