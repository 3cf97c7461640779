"""Named traces: where they are looked for, and downloads from a local server."""

import gzip
import hashlib
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sim.errors import InputError
from sim.workload import fetch as fetching
from sim.workload import named
from sim.workload.fetch import fetch
from sim.workload.traces import FORMATS
from tests.shared_data import DATA, needs_data

BODY = b"TIMESTAMP,ContextTokens,GeneratedTokens\n" * 50_000
SHA = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        type(self).asked += 1
        if self.path == "/absent":
            self.send_error(404)
            return
        body = b"changed" if self.path == "/changed" else BODY
        self.send_response(200)
        if self.path != "/unannounced":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:1000] if self.path in ("/short", "/stall") else body)
        if self.path == "/stall":
            time.sleep(1.5)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Handler.asked = 0
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TRILEMMA_DATA", raising=False)
    trace = replace(named.TRACES["azure2023-conv"], id="tiny", path="traces/tiny/tiny.csv", sha256=SHA, bytes=len(BODY))
    monkeypatch.setitem(named.TRACES, "tiny", trace)
    monkeypatch.setitem(named.TRACES, "unpinned", replace(trace, id="unpinned", sha256=None, bytes=None))
    return tmp_path / "trilemma" / "traces" / "tiny"


def test_registry_is_whole():
    assert set(FORMATS) - {trace.format for trace in named.TRACES.values()} == {"vllm-bench", "csv"}
    for key, trace in named.TRACES.items():
        assert trace.id == key
        assert trace.url.startswith("https://")
        assert trace.sha256 is None or len(bytes.fromhex(trace.sha256)) == 32


@needs_data
def test_hashes_are_those_of_the_data_folder(monkeypatch):
    monkeypatch.setenv("TRILEMMA_DATA", str(DATA))
    for trace_id in ("azure2023-conv", "azure2023-code", "mooncake-conversation", "mooncake-synthetic"):
        path = named.locate(trace_id)
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert len(content) == named.TRACES[trace_id].bytes
        assert hashlib.sha256(content).hexdigest() == named.TRACES[trace_id].sha256


def test_locate_looks_in_the_data_folder_first_then_in_the_cache(cache, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"^[^\n]*trilemma data get tiny[^\n]*TRILEMMA_DATA[^\n]*$"):
        named.locate("tiny")
    cache.mkdir(parents=True)
    (cache / "tiny.csv").write_bytes(BODY)
    assert named.locate("tiny") == cache / "tiny.csv"
    monkeypatch.setenv("TRILEMMA_DATA", str(tmp_path / "data"))
    assert named.locate("tiny") == cache / "tiny.csv"
    packed = tmp_path / "data/traces/tiny/tiny.csv.gz"
    packed.parent.mkdir(parents=True)
    packed.write_bytes(gzip.compress(BODY))
    assert named.locate("tiny") == packed
    with pytest.raises(InputError, match="expected one of azure2023-conv"):
        named.locate("azure")


@pytest.mark.parametrize("page", ["/ok", "/unannounced"])
def test_fetch_puts_the_file_in_the_cache_once(cache, server, page):
    seen = []
    got = fetch("tiny", lambda done, total: seen.append((done, total)), server + page)
    assert got.path.read_bytes() == BODY
    assert (got.sha256, got.pinned) == (SHA, True)
    assert seen[-1] == (len(BODY), len(BODY))
    assert len(seen) >= 2
    assert [file.name for file in cache.iterdir()] == ["tiny.csv"]
    assert named.locate("tiny") == got.path
    assert fetch("tiny", url=server + page).path == got.path
    assert Handler.asked == 1


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("/absent", "HTTP 404"),
        ("/changed", "ended after 7 bytes|SHA-256"),
        ("/short", "ended after 1,000 bytes|IncompleteRead"),
        ("/stall", "timed out"),
    ],
)
def test_a_failed_fetch_is_one_sentence_and_leaves_nothing(cache, server, page, fault, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT_S", 0.3)
    with pytest.raises(InputError, match=rf"^tiny: [^\n]*({fault})[^\n]*$"):
        fetch("tiny", url=server + page)
    assert not list(cache.iterdir())
    assert fetch("tiny", url=server + "/ok").sha256 == SHA


def test_a_wrong_hash_is_refused_whatever_the_size(cache, server, monkeypatch):
    monkeypatch.setitem(named.TRACES, "tiny", replace(named.TRACES["tiny"], sha256="0" * 64))
    with pytest.raises(InputError, match=f"has SHA-256 {SHA}, expected 0000"):
        fetch("tiny", url=server + "/ok")
    assert not list(cache.iterdir())


def test_more_than_expected_is_refused(cache, server, monkeypatch):
    monkeypatch.setitem(named.TRACES, "tiny", replace(named.TRACES["tiny"], bytes=1000))
    with pytest.raises(InputError, match="larger than the 1,000 bytes"):
        fetch("tiny", url=server + "/unannounced")


def test_no_server_at_all(cache):
    with pytest.raises(InputError, match="cannot be downloaded"):
        fetch("tiny", url="http://127.0.0.1:9/")


def test_a_cache_that_cannot_be_written(cache, server):
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where a folder should be")
    with pytest.raises(InputError, match="cannot write"):
        fetch("tiny", url=server + "/ok")


def test_an_unknown_hash_is_trusted_once_and_then_kept(cache, server):
    first = fetch("unpinned", url=server + "/ok")
    assert (first.sha256, first.pinned) == (SHA, False)
    assert (cache / "tiny.csv.sha256").read_text().startswith(SHA)
    first.path.unlink()
    with pytest.raises(InputError, match="SHA-256"):
        fetch("unpinned", url=server + "/changed")
    assert fetch("unpinned", url=server + "/ok").sha256 == SHA


def test_a_damaged_copy_is_fetched_again(cache, server):
    fetch("tiny", url=server + "/ok").path.write_bytes(b"rotten")
    assert fetch("tiny", url=server + "/ok").path.read_bytes() == BODY
    assert Handler.asked == 2
