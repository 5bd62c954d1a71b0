"""A reverse proxy as nginx is one: ``python proxy.py PORT PREFIX TARGET`` passes PREFIX/… on to TARGET/…

It adds the headers that a proxy adds, and rewrites no answer.
"""

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: Headers that belong to one connection, and are not passed on.
HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


class Handler(BaseHTTPRequestHandler):
    """Passes one request on."""

    protocol_version = "HTTP/1.1"
    prefix, target = "", urlsplit("")

    def do_GET(self):
        """Pass a request of any method on, and its answer back."""
        if not self.path.startswith(self.prefix + "/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        headers |= {"X-Forwarded-For": self.client_address[0], "X-Forwarded-Host": self.headers["Host"],
                    "X-Forwarded-Proto": "http"}  # fmt: skip
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=20)
        try:
            path = self.target.path + self.path.removeprefix(self.prefix)
            connection.request(self.command, path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP | {"content-length"}:
                self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_HEAD = do_GET

    def log_message(self, *arguments):
        """Log nothing."""


def main(port, prefix, target):
    """Serve until the process is ended."""
    Handler.prefix, Handler.target = prefix, urlsplit(target)
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
