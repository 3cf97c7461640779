"""A small real server that speaks what the harness needs of vLLM's HTTP, and fails on command.

`python fake_openai.py --host H --port P [vLLM's flags, ignored]`; the environment variable FAKE_OPENAI is a JSON object
with the keys of BEHAVIOUR that differ. Every completion that is asked for is appended to the file `asked`, one JSON
line a request: its body and when it came (time.monotonic_ns, one clock for all processes of a machine).
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BEHAVIOUR = {
    "asked": "",
    "healthy_after_s": 0.0,  # negative: never
    "dies_at_once": False,
    "dies_at_request": 0,  # in the middle of this request's answer, counted from 1 and without the warm-up
    "ignores_term": False,
    "pids": "",  # write its own pid here, and that of a process that it starts
    "chunk": [1],  # tokens of each chunk, in turn
    "pause_s": 0.002,  # before each chunk
    "bad": {},  # how an answer is broken, by the request's number: "503", "cut", "garbage", "short", "error"
    "prompt_off": 0,  # how many prompt tokens too many the usage claims
}
MODEL = "tiny"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    how = BEHAVIOUR
    began = time.monotonic()
    lock = threading.Lock()
    count = 0
    tokens = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        late = self.how["healthy_after_s"]
        pages = {
            "/version": {"version": "0.32.0-fake"},
            "/v1/models": {"data": [{"id": MODEL, "max_model_len": 2048}]},
        }
        if self.path == "/health":
            self._send(503 if late < 0 or time.monotonic() < self.began + late else 200, "")
        elif self.path == "/metrics":
            self._send(200, METRICS.format(requests=Handler.count, tokens=Handler.tokens))
        elif self.path in pages:
            self._send(200, json.dumps(pages[self.path]))
        else:
            self._send(404, "")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        now = time.monotonic_ns()
        with Handler.lock:
            Handler.count += 1
            number = Handler.count - 1  # the first is the warm-up
            if self.how["asked"]:
                with Path(self.how["asked"]).open("a") as file:
                    file.write(json.dumps({"number": number, "at_ns": now, "body": body}) + "\n")
        bad = self.how["bad"].get(str(number), "")
        if bad == "503":
            self._send(503, json.dumps({"error": {"message": "too many requests are waiting"}}))
            return
        self._stream(body, number, bad)

    def _stream(self, body, number, bad):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        wanted, sent, chunks = body["max_tokens"], 0, 0
        usage = {"prompt_tokens": len(body["prompt"]) + self.how["prompt_off"]}
        while sent < (wanted - 1 if bad == "short" else wanted):
            time.sleep(self.how["pause_s"])
            if chunks == 2 and self._break(number, bad):
                return
            size = min(self.how["chunk"][chunks % len(self.how["chunk"])], wanted - sent)
            ids = answer(body["prompt"], sent, size)
            choice = {"index": 0, "text": " ".join(map(str, ids)), "token_ids": ids, "finish_reason": None}
            if not chunks and body.get("return_token_ids"):
                choice["prompt_token_ids"] = body["prompt"]
            sent, chunks = sent + size, chunks + 1
            Handler.tokens += size
            event = {"choices": [choice]}
            if (body.get("stream_options") or {}).get("continuous_usage_stats"):
                event["usage"] = usage | {"completion_tokens": sent, "total_tokens": usage["prompt_tokens"] + sent}
            self._event(json.dumps(event))
        usage |= {"completion_tokens": sent, "total_tokens": usage["prompt_tokens"] + sent}
        self._event(json.dumps({"choices": [], "usage": usage}))
        self._event("[DONE]")
        self._chunk(b"")

    def _break(self, number, bad):
        if number and number == self.how["dies_at_request"]:
            print("Fatal Error: the engine core died", flush=True)
            os._exit(9)
        if bad == "garbage":
            self._event("{this is no JSON")
        if bad == "error":
            self._event(json.dumps({"error": {"message": "EngineCore encountered an issue", "code": 500}}))
        if bad in ("cut", "garbage", "error"):
            self.close_connection = True
            self.wfile.flush()
            self.connection.close()
        return bad in ("cut", "garbage", "error")

    def _event(self, data):
        self._chunk(f"data: {data}\n\n".encode())

    def _chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _send(self, status, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="tiny"}} 1.0
# HELP vllm:request_success_total Count of successfully processed requests.
# TYPE vllm:request_success_total counter
vllm:request_success_total{{engine="0",finished_reason="length",model_name="tiny"}} {requests}.0
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{{engine="0",model_name="tiny"}} {tokens}.0
# TYPE vllm:request_queue_time_seconds histogram
vllm:request_queue_time_seconds_bucket{{engine="0",le="0.3",model_name="tiny"}} {requests}.0
vllm:request_queue_time_seconds_bucket{{engine="0",le="+Inf",model_name="tiny"}} {requests}.0
vllm:request_queue_time_seconds_count{{engine="0",model_name="tiny"}} {requests}.0
vllm:request_queue_time_seconds_sum{{engine="0",model_name="tiny"}} 0.5
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{{block_size="32",engine="0",num_gpu_blocks="4096",note="a \\"quoted\\" one"}} 1.0
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{{generation="0"}} 77.0
"""


def answer(prompt, first, count):
    """Tokens `first` ... of the answer to a prompt: they depend on all of it."""
    base = sum(prompt) % 5000
    return [300 + (base + 7 * (first + i)) % 5000 for i in range(count)]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        """A client that went away is no news."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    flags, others = parser.parse_known_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # as vLLM's server does
    how = Handler.how = BEHAVIOUR | json.loads(os.environ.get("FAKE_OPENAI", "{}"))
    print("flags:", *others, flush=True)
    if how["dies_at_once"]:
        print("ValueError: No available memory for the cache blocks", flush=True)
        sys.exit(3)
    if how["ignores_term"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if how["pids"]:
        child = subprocess.Popen(["sleep", "600"])
        Path(how["pids"]).write_text(f"{os.getpid()} {child.pid}")
    Server((flags.host, flags.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
