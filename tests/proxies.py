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
        self._passing = _open_gate()
        self._gates, self._sockets, self._threads = [self._passing], [], []
        self._spawn(self._accept)

    def stall(self):
        """Pass nothing any more, in either direction: connections are accepted and never answered."""
        for gate in self._gates:
            gate.clear()

    def resume(self, old=False):
        """Pass what new connections send; ``old``: also that of the connections which stalled, which is late then."""
        if not old:  # what is behind a closed gate stays there
            self._passing = _open_gate()
            self._gates.append(self._passing)
        self._passing.set()

    def _spawn(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        try:
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                gate = self._passing
                self._spawn(self._pass, client, server, gate, True)
                self._spawn(self._pass, server, client, gate, False)
        except OSError:
            pass

    def _pass(self, source, target, gate, is_client):
        try:
            while data := source.recv(1 << 16):
                gate.wait()
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
        for gate in self._gates:
            gate.set()
        for thread in self._threads:
            thread.join(5)
        for sock in self._sockets:
            sock.close()


def _open_gate():
    gate = threading.Event()
    gate.set()
    return gate


def _shut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
