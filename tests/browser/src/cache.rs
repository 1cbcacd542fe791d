use std::fs;
use std::path::PathBuf;
use std::process::Command;

use portcullis_programs::{Process, runs};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::time::{Duration, sleep, timeout};

use crate::{DEADLINE, NEED};

const PROGRAM: &str = "/usr/sbin/nginx";

/// nginx in front of a service: a cache that all users share, which stores whatever it may. It ends with this value.
#[derive(Debug)]
pub(crate) struct Cache {
    // In this order: the process ends before its folder is removed.
    _process: Process,
    folder: TempDir,
}

impl Cache {
    /// Whether there is nginx. If not, the test is left out.
    #[must_use]
    pub(crate) fn or_leave_out() -> bool {
        NEED.or_leave_out("nginx", runs(Command::new(PROGRAM).arg("-v")))
    }

    /// In front of a service that listens on a port.
    pub(crate) async fn start(service: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display();
        let file = folder.path().join("nginx.conf");
        // By itself it would not store what sets a cookie: here nothing but what the answer says keeps it from that.
        let lines = format!(
            "daemon off; master_process off; error_log stderr; pid {path}/pid;
             events {{}}
             http {{
               access_log off;
               client_body_temp_path {path}/bodies; proxy_temp_path {path}/answers;
               fastcgi_temp_path {path}/none; uwsgi_temp_path {path}/none; scgi_temp_path {path}/none;
               proxy_cache_path {path}/cache keys_zone=pages:1m;
               server {{
                 listen unix:{path}/socket;
                 location / {{
                   proxy_pass http://127.0.0.1:{service};
                   proxy_http_version 1.1;
                   proxy_set_header Host $host;
                   proxy_cache pages;
                   proxy_ignore_headers Set-Cookie;
                 }}
               }}
             }}"
        );
        fs::write(&file, lines).expect("a file");
        let file = file.to_str().expect("text");
        let (process, _) = Process::start(PROGRAM, &["-c", file], folder.path());
        let cache = Self { _process: process, folder };
        let ready = async {
            while UnixStream::connect(cache.socket()).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, ready).await.expect("nginx starts in time");
        cache
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}
