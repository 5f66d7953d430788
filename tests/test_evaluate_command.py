"""`biggan evaluate` as a user meets it, in one process and in two."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image
from processes import ROOT, run_processes
from test_cli import biggan, error_line

from biggan import BigGAN, BigGANConfig, TrainConfig
from biggan.curves import values_of
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.training import train

SMALL = ("--extractor", "small_extractor:Patches")


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")


@pytest.fixture
def export(tmp_path: Path, tiny: BigGANConfig) -> Path:
    BigGAN(tiny, recipe={"data": "digits"}).save_pretrained(tmp_path / "export")
    return tmp_path / "export"


def test_two_processes_measure_what_one_measures(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for count in (1, 2):
        monkeypatch.setenv("BIGGAN_CACHE", str(tmp_path / f"cache{count}"))
        out = tmp_path / f"{count}.json"
        command = ["-m", "biggan", "evaluate", export, "--num", 1700, "--per-class", *SMALL, "--out", out]
        first, *others = run_processes(count, *command)
        assert first.returncode == 0, first.stderr
        assert "wrote" in first.stdout
        assert all(other.returncode == 0 and other.stdout == "" for other in others)
        results.append(json.loads(out.read_text()))
        assert list((tmp_path / f"cache{count}" / "evaluations").iterdir()) == []
    one, two = results
    assert one["protocol"] == two["protocol"]
    for name, value in one["metrics"].items():
        assert two["metrics"][name] == pytest.approx(value, rel=1e-6), name
    assert one["classes"] == two["classes"]


def test_a_curve_over_truncation_continues(export: Path, tmp_path: Path) -> None:
    out = tmp_path / "curve.json"
    command = ["evaluate", export, *SMALL, "--num", 100, "--out", out]
    biggan(*command, "--truncations", "0.5,1")
    done = biggan(*command, "--truncations", "0.5:2:0.5")
    assert done.stdout.count("drawing 100 images") == 2         # the first two are known
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    assert [row["truncation"] for row in rows] == ["0.5", "1", "1.5", "2"]
    assert len({row["fid"] for row in rows}) == 4
    results = json.loads(out.read_text())["results"]
    assert [r["protocol"]["latent_law"] for r in results] == [f"truncation {v}" for v in ("0.5", "1", "1.5", "2")]
    assert all(r["protocol"]["statistics"].startswith("standing") for r in results)
    assert Image.open(tmp_path / "curve.png").width > 800
    out.write_text('{"form')
    assert "remove it or give another --out" in error_line(*command, "--truncations", "0.5,1")
    assert out.read_text() == '{"form'


def test_a_curve_over_training(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    from conftest import Watcher

    run = tmp_path / "run"
    train(tiny, tiny_train, tiny_digits, run, Watcher())
    (run / "checkpoints" / "000000000048.safetensors").write_bytes(b"no checkpoint")
    done = biggan("evaluate", run, "--all-checkpoints", "--num", 100, *SMALL)
    assert "000000000048.safetensors is damaged and was left out" in done.stdout
    rows = list(csv.DictReader((run / "checkpoints.csv").open()))
    assert [row["images_seen"] for row in rows] == ["32", "64"]
    assert Image.open(run / "checkpoints.png").width > 800
    biggan("evaluate", run, "--num", 100, *SMALL)
    last = json.loads((run / "metrics.json").read_text())
    assert float(rows[-1]["fid"]) == pytest.approx(last["metrics"]["fid"], rel=1e-6)     # the export's weights
    biggan("evaluate", run / "checkpoints" / "000000000032.safetensors", "--num", 100, *SMALL)
    first = json.loads((run / "000000000032" / "metrics.json").read_text())
    assert first["metrics"]["fid"] == pytest.approx(float(rows[0]["fid"]), rel=1e-6)
    biggan("sample", run / "checkpoints" / "000000000032.safetensors", "--sheet")
    assert (run / "000000000032" / "sheet.png").is_file()
    assert "has no checkpoints" in error_line("evaluate", run / "export", "--all-checkpoints", *SMALL)


def test_two_results_are_ranked_only_if_measured_alike(export: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.json" for k in range(3)]
    for path, options in zip(paths, (["--seed", 0], ["--seed", 500], ["--threshold", 1]), strict=True):
        biggan("evaluate", export, "--num", 100, *SMALL, "--out", path, *options)
    table = biggan("evaluate", "--compare", *paths[:2]).stdout
    assert "fid" in table
    assert " *" in table
    line = error_line("evaluate", "--compare", paths[0], paths[2])
    assert "latent_law: normal / threshold 1" in line
    assert "fid" in biggan("evaluate", "--compare", paths[0], paths[2], "--ignoring", "latent_law").stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "give a model, or --compare"),
        (["--compare", "a.json"], "--compare takes two files"),
        (["--compare", "a.json", "b.json"], "a.json cannot be read"),
    ],
)
def test_a_wrong_command_is_one_line(arguments: list[str], line: str) -> None:
    assert line in error_line("evaluate", *arguments)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--protocol", "fid50k"], "unknown protocol 'fid50k'"),
        (["--truncations", "0.1:2"], "--truncations 0.1:2 must be of the form"),
        (["--truncations", "1,2", "--thresholds", "1,2"], "give one of them"),
        (["--truncations", "1,2", "--truncation", "1"], "a curve has its own laws"),
        (["--extractor", "inception", "--inception-weights", __file__], "is not the standard Inception weight file"),
        (["--split", "test"], "digits has no test split"),
    ],
)
def test_a_wrong_measurement_is_one_line(export: Path, arguments: list[str], line: str) -> None:
    assert line in error_line("evaluate", export, *arguments)
    assert not (export / "metrics.json").exists()


def test_protocols_are_listed() -> None:
    listed = biggan("protocols").stdout
    for name in ("classifier10k-train", "fid50k-train", "fid10k-test"):
        assert name in listed


def test_ranges_include_both_ends() -> None:
    assert values_of("0.1:2.0:0.1", "--truncations") == pytest.approx([k / 10 for k in range(1, 21)])
    assert values_of("0.5,1", "--truncations") == [0.5, 1]
    for text in ("", "a", "1:2", "1:2:0", "2:1:0.5", "1:2:3:4"):
        with pytest.raises(UserError, match="must be of the form"):
            values_of(text, "--truncations")
