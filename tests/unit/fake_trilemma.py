"""Stands in for `trilemma measure|profile|startup|collectives`: quick, and its numbers follow from its arguments.

Told by further flags: --fail ends with a sentence, --fail-first does so on the first attempt, --stubborn takes its time
on TERM, --hang waits for ever. Every start and end is a line in the file that $FAKE_LOG names.
"""

import json
import os
import signal
import sys
import time
import zlib
from pathlib import Path

FILES = {"measure": "bench", "profile": "profile", "startup": "startup", "collectives": "collectives"}


def log(*words):
    with open(os.environ["FAKE_LOG"], "a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def main():
    arguments = [one.removeprefix("--serve-flag=") for one in sys.argv[1:]]
    out = Path(arguments.pop())
    arguments.pop()
    if "--base-url" in arguments:
        at = arguments.index("--base-url")
        log("url", arguments[at + 1])
        del arguments[at : at + 2]
    place = f"{out.parts[-3]}/{out.parts[-2].strip('.').removesuffix('.draft')}"
    log("start", place)
    if "--stubborn" in arguments:
        signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), log("stopped", place), sys.exit(1)))
    if "--hang" in arguments:
        log("hangs", place)
        time.sleep(60)
    time.sleep(0.03)
    mark = Path(os.environ["FAKE_LOG"] + place.replace("/", "_"))
    if "--fail" in arguments or ("--fail-first" in arguments and not mark.exists()):
        mark.touch()
        print("Traceback (most recent call last): ...")
        sys.exit("trilemma: the engine said no")
    out.mkdir()
    seed = zlib.crc32(" ".join(word for word in arguments if "/" not in word).encode())
    numbers = {"mean_ttft_ms": seed / 7, "completed": seed % 100, "nested": {"load_s": 1.5}, "text": "x", "ours": 1}
    (out / f"{FILES[arguments[0]]}.json").write_text(json.dumps(numbers))
    (out / "requests.parquet").write_bytes(b"x" * (seed % 1000))
    log("end", place)


main()
