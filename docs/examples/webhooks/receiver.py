"""A receiver of rdev's webhooks, with nothing but the standard library. verify is the
part to take along.

    WEBHOOK_SECRET=whsec_… python3 receiver.py
"""

import base64
import hashlib
import hmac
import os
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# How far a request's clock may be from ours, in seconds. An older one may be one
# that somebody has recorded, and sends again.
TOLERANCE = 5 * 60


class WrongSignature(Exception):
    """A request that is not to be believed."""


def verify(secret, headers, body, now=None):
    """Raises WrongSignature unless a request comes from whoever knows the secret,
    whsec_…, and is as it was sent. headers are looked up in any case, as those of
    http.server are. The body has to be the bytes that came over the wire: JSON that
    was parsed and written again is not.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise WrongSignature("the secret is none")
    id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not id or not re.fullmatch("[0-9]{1,12}", timestamp):
        raise WrongSignature("webhook-id or webhook-timestamp is missing")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE:
        raise WrongSignature("the request is too old, or a clock is wrong")
    want = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    # While a secret is rotated there are two signatures; ours may be either.
    for signature in headers.get("webhook-signature", "").split(" "):
        version, _, encoded = signature.partition(",")
        try:
            got = base64.b64decode(encoded, validate=True)
        except ValueError:
            continue
        if version == "v1" and hmac.compare_digest(got, want):  # in constant time
            return
    raise WrongSignature("no signature is right")


class Receiver(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > 8 << 20:
            return self.answer(400, "the body is too large")
        body = self.rfile.read(length)
        try:
            verify(os.environ.get("WEBHOOK_SECRET", ""), self.headers, body)
        except WrongSignature as wrong:
            return self.answer(401, str(wrong))
        # Put it into a queue and answer; leave out what has a webhook-id that was here
        # before.
        print(self.headers["rdev-seq"], self.headers["ce-type"], self.headers["webhook-id"], flush=True)
        self.answer(204)

    def answer(self, status, text=""):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    host, _, port = os.environ.get("ADDR", "127.0.0.1:8081").rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Receiver)
    print("listening on http://%s:%d" % server.server_address, flush=True)
    server.serve_forever()
