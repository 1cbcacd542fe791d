"""A client of DPoP (RFC 9449), by requests-oauth2client: the same as provider/dpop_client.mjs is by libraries of npm.

    python dpop_client.py ISSUER RESOURCE ALGORITHM
"""
import json
import sys

import requests
from requests.adapters import HTTPAdapter
from requests_oauth2client import OAuth2Client
from requests_oauth2client.dpop import InvalidUseDPoPNonceResponse
from urllib3.util import Retry


class Recorder(HTTPAdapter):
    """Keeps what goes over the wire."""

    def __init__(self):
        super().__init__()
        self.exchanges = []

    def send(self, request, **options):
        response = super().send(request, **options)
        self.exchanges.append({
            "authorization": request.headers.get("Authorization"),
            "proof": request.headers.get("DPoP"),
            "status": response.status_code,
            "challenge": response.headers.get("WWW-Authenticate"),
            "nonce": response.headers.get("DPoP-Nonce"),
        })
        return response

    def answer(self, **value):
        print(json.dumps(value | {"exchanges": self.exchanges}), flush=True)
        self.exchanges = []


def asked(session, token, method, url, body, retries):
    # As a program has it that asks again where a connection breaks: below what makes proofs.
    session.get_adapter(url).max_retries = Retry(retries, backoff_factor=0)
    try:
        response = session.request(method, url, data=body, auth=token)
    except (InvalidUseDPoPNonceResponse, requests.ConnectionError) as error:
        return {"refused": type(error).__name__}
    return {"status": response.status_code, "body": response.text}


def main():
    issuer, resource, algorithm = sys.argv[1:]
    session, recorder = requests.Session(), Recorder()
    session.trust_env = False
    session.mount("http://", recorder)
    # `testing`: it takes `http://`.
    client = OAuth2Client(
        f"{issuer}/token", client_id="svc", client_secret="svc-secret", session=session, dpop_alg=algorithm, testing=True
    )
    token = client.client_credentials(scope="orders:read", resource=resource, dpop=True)
    recorder.answer(token=token.access_token)
    for line in sys.stdin:
        recorder.answer(**asked(session, token, **json.loads(line)))


if __name__ == "__main__":
    main()
