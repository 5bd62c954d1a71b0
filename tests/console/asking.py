"""A client of the console without a socket: it calls the WSGI application."""

import io
import json
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlencode

from tgscheduler.console.app import App
from tgscheduler.console.table import TABLE


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes
    #: Whether the connection ends after it.
    closes: bool = False

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Asks a console, as a peer on this host unless told otherwise."""

    def __init__(
        self, console, script_name="/scheduler", peer="127.0.0.1", host="127.0.0.1:8080", headers=(), table=TABLE
    ):
        self.app = App(console, table)
        self.script_name, self.peer, self.host, self.headers = script_name, peer, host, dict(headers)

    def get(self, path="", **options):
        return self.ask("GET", path, **options)

    def post(self, path, form=None, data=None, headers=(), **options):
        """Send a form, or (``data``) a JSON body, as a page of the same origin would."""
        sent = {"Sec-Fetch-Site": "same-origin", **dict(headers)}
        if data is not None:
            body, sent["Content-Type"] = json.dumps(data).encode(), "application/json"
        else:
            body = urlencode(form or {}, doseq=True).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        return self.ask("POST", path, body=body, headers=sent, **options)

    def ask(self, method, path="", body=b"", headers=(), peer=None, environ=()):
        """Send a request; ``path`` is relative to the mount, encoded, with the query."""
        uri = f"{self.script_name}/{path}"
        raw, _, query = uri.partition("?")
        info = unquote_to_bytes(raw).decode("latin-1")
        sent = {
            "REQUEST_METHOD": method, "REQUEST_URI": uri, "QUERY_STRING": query, "SCRIPT_NAME": self.script_name,
            "PATH_INFO": info.removeprefix(self.script_name), "REMOTE_ADDR": self.peer if peer is None else peer,
            "HTTP_HOST": self.host, "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http",
            "CONTENT_LENGTH": str(len(body)) if body else "",
        }  # fmt: skip
        for name, value in {**self.headers, **dict(headers)}.items():
            key = name.upper().replace("-", "_")
            sent[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        sent.update(environ)
        begun = []
        parts, closes = [], False
        try:
            parts.extend(self.app(sent, lambda status, headers: begun.append((status, headers))))
        except ConnectionResetError:
            closes = True
        status, pairs = begun[0]
        return Answer(int(status.split()[0]), {name.lower(): value for name, value in pairs}, b"".join(parts), closes)
