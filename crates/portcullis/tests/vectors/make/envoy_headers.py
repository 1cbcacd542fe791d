"""envoy_headers.py ENVOY: what Envoy writes into x-forwarded-client-cert, also of certificates that say odd things of their owners."""
import base64
import http.server
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import write

ENVOY = sys.argv[1]
ALL = "subject: true, cert: true, chain: true, dns: true, uri: true"
ODD = r"""
O = Lyft\, Inc.\; \"Sons\" \\ Söhne + Co
CN = Test\;Hash\=00
"""
QUOTES = r"""
O = \ lead\, \#x
CN = a\"b\\c
"""
NAMES = "URI:spiffe://api.example/client,URI:https://second.example/%20?x=1,DNS:one.example,DNS:two.example,email:a@b.example"
CHAIN = """
static_resources:
  listeners:
  - address: { pipe: { path: socket } }
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: false
          common_tls_context:
            tls_certificates: [{ certificate_chain: { filename: SERVER.pem }, private_key: { filename: SERVER.key } }]
            validation_context: { trust_chain_verification: ACCEPT_UNTRUSTED }
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          forward_client_cert_details: SANITIZE_SET
          set_current_client_cert_details: { DETAILS }
          http_filters:
          - { name: router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }
          route_config:
            virtual_hosts: [{ name: all, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: service } }] }]
  clusters:
  - name: service
    load_assignment:
      cluster_name: service
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: PORT } } } }] }]
"""


class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["x-forwarded-client-cert"].encode())

    def log_message(self, *_):
        pass


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, **options).stdout


def certificate(name, subject, names=None, issuer=None):
    extension = f"subjectAltName = {names}\n" if names else ""
    config = "[req]\ndistinguished_name=dn\nprompt=no\nutf8=yes\nstring_mask=utf8only\nx509_extensions=ext\n"
    Path(folder, "config").write_text(f"{config}[ext]\n{extension}[dn]\n{subject}")
    issued = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key"] if issuer else []
    empty = [] if subject else ["-subj", "/"]
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "config",
        "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "36500", *empty, *issued)


def ask(server, details, chain, key):
    config = CHAIN.replace("SERVER", server).replace("DETAILS", details).replace("PORT", str(service.server_port))
    Path(folder, "config.yaml").write_text(config)
    Path(folder, "socket").unlink(missing_ok=True)
    envoy = subprocess.Popen([ENVOY, "-c", "config.yaml", "--disable-hot-restart", "-l", "off"], cwd=folder)
    while not Path(folder, "socket").exists():
        time.sleep(0.01)
    Path(folder, "chain.pem").write_text("".join(Path(folder, f"{name}.pem").read_text() for name in chain))
    header = run("curl", "--silent", "--insecure", "--retry", "9", "--retry-connrefused", "--cert", "chain.pem", "--key", f"{key}.key",
                 "--header", "x-forwarded-client-cert: Hash=forged", "--unix-socket", "socket", "https://localhost/").decode()
    envoy.kill()
    envoy.wait()
    der = run("openssl", "x509", "-in", f"{chain[0]}.pem", "-outform", "DER")
    return {"details": details, "certificate": base64.b64encode(der).decode(), "header": header}


with tempfile.TemporaryDirectory() as folder:
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    certificate("named", "CN = localhost", "URI:spiffe://api.example/service")
    certificate("unnamed", "CN = localhost")
    certificate("odd", ODD, NAMES)
    certificate("quotes", QUOTES, issuer="unnamed")
    certificate("empty", "")
    write("envoy-headers.json", [
        ask("named", "", ["odd"], "odd"),
        ask("unnamed", "cert: true", ["odd"], "odd"),
        ask("named", ALL, ["odd"], "odd"),
        ask("unnamed", ALL, ["quotes", "unnamed"], "quotes"),
        ask("unnamed", "subject: true, uri: true, dns: true", ["empty"], "empty"),
    ])
