"""A longer link: delay_proxy.py MILLISECONDS LISTEN:TARGET... passes bytes on between 127.0.0.1's ports, each so much later.

One thread; what is read is kept with the time it is due. A link holds back reading when much is under way on it.
"""
import collections
import select
import socket
import sys
import time

DELAY = float(sys.argv[1]) / 1000
MOST = 8 << 20

poll = select.epoll()
listeners, ends = {}, {}


class End:
    """One socket of a link, and what is on its way to it."""

    def __init__(self, sock):
        self.sock, self.other = sock, None
        self.due = collections.deque()
        self.held, self.closing = 0, False
        self.events = 0

    def watch(self):
        """Reads while the other side has room, and writes when something is due that did not fit."""
        events = select.EPOLLIN if self.other.held < MOST and not self.other.closing else 0
        if self.due and self.due[0][0] <= time.perf_counter():
            events |= select.EPOLLOUT
        if events != self.events:
            poll.modify(self.sock, events)
            self.events = events

    def take(self):
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.other.due.append((time.perf_counter() + DELAY, memoryview(data)))
        self.other.held += len(data)
        self.other.closing = not data

    def give(self, now):
        """Passes on what is due; whether the link goes on."""
        while self.due and self.due[0][0] <= now:
            at, data = self.due[0]
            if not data:
                return False
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                return True
            except OSError:
                return False
            self.held -= sent
            if sent < len(data):
                self.due[0] = (at, data[sent:])
            else:
                self.due.popleft()
        return True


def connect(listener, target):
    near, _ = listener.accept()
    far = socket.create_connection(("127.0.0.1", target))
    pair = [End(sock) for sock in (near, far)]
    pair[0].other, pair[1].other = pair[1], pair[0]
    for end in pair:
        end.sock.setblocking(False)
        end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ends[end.sock.fileno()] = end
        end.events = select.EPOLLIN
        poll.register(end.sock, end.events)


def close(end):
    for one in (end, end.other):
        if ends.pop(one.sock.fileno(), None):
            poll.unregister(one.sock)
            one.sock.close()


for pair in sys.argv[2:]:
    listen, target = map(int, pair.split(":"))
    listener = socket.create_server(("127.0.0.1", listen), backlog=128)
    listeners[listener.fileno()] = (listener, target)
    poll.register(listener, select.EPOLLIN)

while True:
    now = time.perf_counter()
    first = min((end.due[0][0] for end in ends.values() if end.due), default=None)
    # By select, since epoll itself counts in milliseconds.
    select.select([poll.fileno()], [], [], None if first is None else max(0.0, first - now))
    for fileno, events in poll.poll(0):
        if fileno in listeners:
            connect(*listeners[fileno])
        elif fileno in ends and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            ends[fileno].take()
    now = time.perf_counter()
    for end in list(ends.values()):
        if end.sock.fileno() in ends and not end.give(now):
            close(end)
    for end in ends.values():
        end.watch()
