"""`trilemma sweep`: what it prints, its exit codes."""

import re

import pytest

from tests.unit.study_files import STUDY, write
from ui.cli import main


def test_the_designs_then_their_differences(tmp_path, capsys):
    path = write(
        tmp_path, STUDY.replace("[1, 2]", "[0, 1]").replace("  workload.arrivals.request_rate: [20, 40]\n", "")
    )
    assert main(["sweep", str(path), "--out", str(tmp_path / "out"), "--workers", "1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "small: 4 designs"
    assert re.split(r"  +", lines[1].strip()) == [
        "design",
        "replicas",
        "SLO",
        "good (%)",
        "P99 TTFT (ms)",
        "P99 TPOT (ms)",
        "$/h",
        "$/1k good",
    ]
    assert lines[2].split() == ["0", "h100", "0", "failed"]
    assert re.fullmatch(r"1 +h100 +1 +met +100\.00 +18\.28 ±0\.28 +6\.21 ±0\.11 +7\.6368 +0\.111 ±0\.032", lines[3])
    assert "±: 95 % interval of the mean of 3 replications" in lines
    assert any(line.startswith("Cheapest that meets the SLO: 3, a100, replicas=1, $0.06") for line in lines)
    less = lines[lines.index("Against the baseline") + 2 :]
    assert re.fullmatch(r"3 +a100 +1 +1 +the same +\+12\.4 ±4\.1 \(\+68%\) .* -3\.5197 \(-46%\) .*", less[0])
    assert less[1].startswith("paired: "), "nothing of the design that failed"
    assert less[1].endswith("; ±: 95 % interval of the mean difference")
    assert "2 of 4 designs failed:" in lines
    assert any(re.fullmatch(r"  0, h100, replicas=0: .*replicas: found 0, expected at least 1.*", one) for one in lines)
    assert lines[-1] == f"Saved in {tmp_path}/out/results.parquet"
    assert err == "designs: 1 of 2\ndesigns: 2 of 2\n"
    assert main(["sweep", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr() == (out, "")


def test_chance_is_no_difference_and_one_replication_has_no_interval(tmp_path, capsys):
    """The same fleet at another seed differs by chance alone."""
    text = STUDY.split("designs")[0] + "grid: {run.seed: [0, 1]}\nbaseline: {set: {run.seed: 0}}\n"
    path = write(tmp_path, text + "measures: [p99_ttft_ms, mean_e2el_ms, good_share]\n")
    assert main(["sweep", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    less = lines[lines.index("Against the baseline") + 2]
    assert re.split(r"  +", less) == ["1", "1", "0", "no real difference", "no real difference", "the same"]
    write(tmp_path, path.read_text() + "replications: 1\n")
    assert main(["sweep", str(path), "--out", str(tmp_path / "one"), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "one replication, so no intervals" in out
    assert "no real difference" not in out
    assert not re.search(r"±\d", out)


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["chat-gpu"], "chat-gpu: no such file or shipped study, did you mean chat-gpus?"),
        (["none.yaml"], "none.yaml: expected a scenario file, found none"),
        (["chat-gpus", "--workers", "0"], "--workers 0: expected at least 1"),
        (["chat-gpus", "--address", "auto"], "--address auto: expected beside it --executor ray"),
        (["chat-gpus", "--executor", "ray", "--workers", "2"], "--workers 2: found beside --executor ray"),
        (["chat-gpus", "--executor", "slurm"], "'--executor'"),
        (["chat-gpus", "--out", "/dev/null"], "--out /dev/null: found a file"),
    ],
)
def test_usage_errors_are_one_sentence(capsys, argv, problem):
    assert main(["sweep", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("trilemma: ")
    assert err.count("\n") == 1
    assert problem in err
