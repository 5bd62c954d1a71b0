"""A proxy in front of a server, which cuts connections and stalls them."""

import socket
import threading


class Proxy:
    """Passes bytes between clients and a port, until it is told to cut or to stall."""

    def __init__(self, port):
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        #: ``"before"`` or ``"after"`` the next COMMIT reaches the server, the connection is cut; None: it is not.
        self.cut = None
        self.cuts = 0
        #: Whether new connections are accepted and never answered.
        self.silent = False
        self._stalled = set()
        self._sockets, self._threads = [], []
        self._spawn(self._accept)

    def _spawn(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        try:
            while True:
                client, _ = self._listener.accept()
                if self.silent:
                    self._sockets.append(client)
                    continue
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                self._spawn(self._pass, client, server, True)
                self._spawn(self._pass, server, client, False)
        except OSError:
            pass

    def _pass(self, source, target, is_client):
        try:
            while data := source.recv(1 << 16):
                if source in self._stalled:
                    continue
                cut = self.cut if is_client and b"COMMIT" in data else None
                if cut:
                    self.cut = None
                    self.cuts += 1
                    self._mute(target)
                    if cut == "after":
                        target.sendall(data)
                    break
                target.sendall(data)
        except OSError:
            pass
        for sock in (source, target):
            _shut(sock)

    def stall(self):
        """Pass nothing any more over the connections that there are; they stay open."""
        self._stalled.update(self._sockets)

    def _mute(self, server):
        """Let no answer through any more: the client sees the connection end instead."""
        client = self._sockets[self._sockets.index(server) - 1]
        _shut(client)

    def close(self):
        """Cut everything and end."""
        _shut(self._listener)
        self._listener.close()
        for sock in self._sockets:
            _shut(sock)
        for thread in self._threads:
            thread.join(5)
        for sock in self._sockets:
            sock.close()


def _shut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
