use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use portcullis_programs::{Process, runs};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::time::{Duration, sleep, timeout};

use crate::{Address, DEADLINE, Identity, NEED, recipe};

/// nginx, as Debian has it.
pub const NGINX: &str = "/usr/sbin/nginx";
/// HAProxy, as Debian has it.
pub const HAPROXY: &str = "/usr/sbin/haproxy";
/// Envoy, as a wheel of Python's has it.
pub const ENVOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/envoy");

/// A proxy of a test's own, which ends TLS in front of a service and hands clients' certificates on. It ends with this value.
///
/// It listens on a socket of a folder of its own, and takes any certificate or none. Requests leave it over TCP, from the
/// loopback address.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: Address,
    // In this order: the process ends before its folder is removed.
    _process: Process,
    _folder: TempDir,
}

impl Proxy {
    /// Whether there is a program. If not, the test is left out.
    #[must_use]
    pub fn or_leave_out(program: &str) -> bool {
        let argument = if program == ENVOY { "--version" } else { "-v" };
        NEED.or_leave_out(program, runs(Command::new(program).arg(argument)))
    }

    /// nginx in front of a service. `server` is what its block `server` says besides TLS: its locations.
    pub async fn nginx(own: &Identity, server: &str) -> Self {
        Self::start(own, NGINX, &["-c"], |path| {
            format!(
                "daemon off; master_process off; error_log stderr emerg; pid {path}/pid;
                 events {{}}
                 http {{
                   access_log off;
                   client_body_temp_path {path}/bodies; proxy_temp_path {path}/answers;
                   fastcgi_temp_path {path}/none; uwsgi_temp_path {path}/none; scgi_temp_path {path}/none;
                   server {{
                     listen unix:{path}/socket ssl http2;
                     ssl_certificate {path}/own.pem; ssl_certificate_key {path}/own.pem;
                     ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:sessions:1m;
                     # Any certificate, as RFC 8705 §6.2 has it. The handshake's signature is checked all the same.
                     ssl_verify_client optional_no_ca;
                     proxy_http_version 1.1;
                     {server}
                   }}
                 }}
                 "
            )
        })
        .await
    }

    /// HAProxy in front of a service on a port. `frontend` is what its section says besides TLS: its rules for headers.
    pub async fn haproxy(own: &Identity, service: u16, frontend: &str) -> Self {
        Self::start(own, HAPROXY, &["-db", "-f"], |path| {
            // Without a file of authorities it does not ask for a certificate. With one, it is told to take those of nobody, too.
            format!(
                "global
                   log stderr format raw daemon emerg
                   tune.ssl.default-dh-param 2048
                 defaults
                   mode http
                   timeout connect 30s
                   timeout client 30s
                   timeout server 30s
                 frontend front
                   bind unix@{path}/socket ssl crt {path}/own.pem alpn h2,http/1.1 verify optional ca-file {path}/own.pem ca-ignore-err all crt-ignore-err all
                   {frontend}
                   default_backend service
                 backend service
                   server service 127.0.0.1:{service}
                 "
            )
        })
        .await
    }

    /// Envoy in front of a service on a port. `filter_chain` is what a listener of it does, as the guide has it: its files are
    /// replaced by those of the test, and its cluster `service` is the service.
    pub async fn envoy(own: &Identity, service: u16, filter_chain: &str) -> Self {
        // Without `--disable-hot-restart`, those of one machine share memory. The log is off, and so is what administers it.
        let arguments = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "off", "-c"];
        Self::start(own, ENVOY, &arguments, |path| {
            let file = format!("{path}/own.pem");
            let chain = filter_chain.replace("/etc/envoy/tls.pem", &file);
            let chain = recipe::indented(&chain.replace("/etc/envoy/tls.key", &file), 6);
            format!(
                "static_resources:
  listeners:
  - address: {{ pipe: {{ path: {path}/socket }} }}
    filter_chains:
    -
{chain}
  clusters:
  - name: service
    load_assignment:
      cluster_name: service
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {service} }} }} }}
"
            )
        })
        .await
    }

    async fn start(
        own: &Identity,
        program: &str,
        arguments: &[&str],
        lines: impl FnOnce(&str) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // nginx and HAProxy may change their user, who has to reach the socket.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its folder");
        let path = folder.path().to_str().expect("text");
        // Envoy goes by the name's end. To the others it is nothing.
        let (file, socket) = (folder.path().join("config.yaml"), folder.path().join("socket"));
        let pair = [own.pem(), &own.key_pem()].concat();
        fs::write(folder.path().join("own.pem"), pair).expect("a file");
        // HAProxy wants an end of the last line.
        fs::write(&file, lines(path) + "\n").expect("a file");
        let arguments = [arguments, &[file.to_str().expect("text")]].concat();
        let (process, _) = Process::start(program, &arguments, folder.path());
        ready(&socket).await;
        Self { address: Address::Socket(socket), _process: process, _folder: folder }
    }
}

async fn ready(socket: &Path) {
    let ready = async {
        while UnixStream::connect(socket).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, ready).await.expect("a proxy that starts in time");
}
