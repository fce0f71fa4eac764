"""An OpenAI-compatible server on 127.0.0.1 that answers, or misbehaves, as a test scripts it."""

import contextlib
import http.server
import json
import threading

KEY = "sk-not-a-real-key-0123456789"


class ChatServer(http.server.ThreadingHTTPServer):
    """Answers a chat with its last message in capitals.

    ``faults`` are called first, one a request: ``fault(handler, body)``. ``chat(body)`` and ``echo(body)`` make the
    replies of ``/chat/completions`` and ``/completions``; there is no echo unless a test sets it. ``bodies``,
    ``headers`` and ``paths`` are those of all requests; ``most`` is how many were under way at once. Nothing is found
    at paths that do not begin with ``root``.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, faults=()):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.bodies, self.headers, self.most, self._now = list(faults), [], [], 0, 0
        self.guard, self.released = threading.Lock(), threading.Event()
        self.on_request, self.chat, self.echo = lambda body: None, completion, None
        self.paths, self.root = [], "/"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def asked(self):
        """Prompts, in the order in which they came; of chats the last message."""
        return [body["prompt"] if "prompt" in body else body["messages"][-1]["content"] for body in self.bodies]

    def handle_error(self, request, client_address):
        """Clients that time out or are killed leave closed connections."""

    @contextlib.contextmanager
    def under_way(self, body, headers, path):
        with self.guard:
            self.paths.append(path)
            self.bodies.append(body)
            self.headers.append(headers)
            self._now += 1
            self.most = max(self.most, self._now)
            fault = self.faults.pop(0) if self.faults else None
        try:
            yield fault
        finally:
            with self.guard:
                self._now -= 1


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.under_way(body, self.headers, self.path) as fault:
            self.server.on_request(body)
            make = self.server.chat if self.path.endswith("/chat/completions") else self.server.echo
            if fault is not None:
                fault(self, body)
            elif make is None or not self.path.startswith(self.server.root):
                self.answer(404, '{"detail": "Not Found"}')
            else:
                self.answer(200, json.dumps(make(body)))

    def answer(self, status, text, headers=(), length=None):
        data = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **dict(headers)}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def completion(body, **changes):
    content = body["messages"][-1]["content"].upper()
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return {"object": "chat.completion", "choices": [choice] * body.get("n", 1), "usage": usage, **changes}


def status(code, text="{}", **headers):
    """Answers with a status; underscores of header names stand for dashes."""
    return lambda handler, body: handler.answer(code, text, {k.replace("_", "-"): v for k, v in headers.items()})


def reply(text):
    """Answers 200 with this."""
    return status(200, text)


def cut(handler, body):
    """Announces a whole reply, sends a half, and closes."""
    text = json.dumps(completion(body) if "messages" in body else handler.server.echo(body))
    handler.answer(200, text[: len(text) // 2], length=len(text))
    handler.close_connection = True


def drop(handler, body):
    """Closes without a word."""
    handler.close_connection = True


def silent(handler, body):
    """Says nothing before the end of the test."""
    handler.server.released.wait(60)


@contextlib.contextmanager
def serving(faults=()):
    with ChatServer(faults) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
