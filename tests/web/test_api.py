"""The API: what it answers, and that what it says to copy draws the same."""

import io
import json
import re
import shlex
import time
import zipfile
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from studio_app import ONE, client, lines_of, pixels, saved, small_model, studio, with_table

from biggan.cli import app as command_line
from biggan.latents import LatentLaw
from biggan.pictures import Picture, draw
from biggan.sampling import prepare_law
from biggan.web.worker import MOST_WAITING

THRESHOLD = {"kind": "threshold", "value": 0.5}


@pytest.fixture
def api() -> TestClient:
    return client(studio(small_model()))


def wait_until_measured(api: TestClient) -> None:
    deadline = time.monotonic() + 60
    while api.get("/api/status").json()["measuring"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_models_are_described() -> None:
    many, table = small_model(300, resolution=16), with_table(small_model())
    first, second = client(studio(many, table)).get("/api/models").json()
    assert (first["name"], first["source"], first["resolution"]) == ("demo", "runs/demo", 16)
    assert len(first["class_names"]) == 300
    assert (first["law"], first["values"][0], first["values"][-1]) == ("threshold", 0.1, 2.0)
    assert (second["law"], second["values"][0], second["values"][-1]) == ("truncation", 0.1, 1.0)
    assert first["most_pictures"] == 64


def test_a_model_with_large_images_draws_fewer_at_once() -> None:
    (described,) = client(studio(small_model(resolution=512, channels=3))).get("/api/models").json()
    assert described["most_pictures"] == 16
    many = {"pictures": [ONE] * 17}
    done = client(studio(small_model(resolution=512, channels=3))).post("/api/draw", json=many)
    assert (done.status_code, done.json()["error"]) == (
        422, "17 pictures are too many; a request may ask this model for 16")  # fmt: skip


def test_pictures_come_as_lines_and_are_those_of_python() -> None:
    model = small_model()
    mixed = {"seed": 7, "classes": [{"label": 0, "weight": 0.25}, {"label": 5, "weight": 0.75}],
             "steps": [{"seed": 9, "size": 0.5}]}  # fmt: skip
    body = {"pictures": [ONE, mixed, *[ONE] * 5]}
    header, *lines = lines_of(client(studio(model)).post("/api/draw", json=body).text)
    assert header == {"statistics": "own"}
    assert [line["index"] for line in lines] == list(range(7))
    wanted = draw(model, [Picture(3, {2: 1.0}), Picture(7, {"tench": 0.25, "cock": 0.75}, ((9, 0.5),))])
    assert torch.equal(torch.stack([pixels(lines[0]), pixels(lines[1])]), wanted)
    assert torch.equal(pixels(lines[6]), wanted[0])


def test_a_truncated_law_is_a_preview_until_its_statistics_are_measured() -> None:
    model = small_model()
    with client(studio(model)) as api:
        body = {"pictures": [ONE], "law": THRESHOLD}
        header, preview = lines_of(api.post("/api/draw", json=body).text)
        assert header == {"statistics": "pending"}
        wait_until_measured(api)
        header, line = lines_of(api.post("/api/draw", json=body).text)
    assert header == {"statistics": "own"}
    law, again = LatentLaw("threshold", 0.5), small_model()
    prepare_law(again, law)
    for layer, (mean, variance) in model.statistics_for(law).items():
        assert torch.equal(mean, again.statistics[law][layer][0])
        assert torch.equal(variance, again.statistics[law][layer][1])
    assert torch.equal(pixels(line), draw(again, [Picture(3, {2: 1.0})], law)[0])
    assert not torch.equal(pixels(line), pixels(preview))
    normal = small_model()
    assert torch.equal(model.G.output_bn.running_mean, normal.G.output_bn.running_mean)


def test_statistics_that_cannot_be_measured_are_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object, **named: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("biggan.web.models.standing_statistics", fail)
    with client(studio(small_model())) as api:
        body = {"pictures": [ONE], "law": THRESHOLD}
        states = []
        for _ in range(2):
            header, _line = lines_of(api.post("/api/draw", json=body).text)
            states.append(header["statistics"])
            wait_until_measured(api)
        assert states == ["pending", "failed"]
        done = api.post("/api/zip", json=body)
        assert (done.status_code, "could not be measured" in done.json()["error"]) == (422, True)


def test_a_table_needs_no_measuring() -> None:
    api = client(studio(with_table(small_model())))
    body = {"pictures": [ONE], "law": {"kind": "truncation", "value": 0.3}}
    assert lines_of(api.post("/api/draw", json=body).text)[0] == {"statistics": "own"}


def test_a_file_waits_for_the_laws_own_statistics() -> None:
    with client(studio(small_model())) as api:
        body = {"pictures": [ONE], "law": THRESHOLD}
        early = api.post("/api/zip", json=body)
        assert (early.status_code, early.headers["retry-after"]) == (409, "1")
        assert "still being measured" in early.json()["error"]
        wait_until_measured(api)
        assert api.post("/api/zip", json=body).status_code == 200


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_path_as_frames_and_as_a_file(api: TestClient, kind: str) -> None:
    body = {"start": ONE, "end": {"seed": 4, "classes": [{"label": 3}]}, "frames": 6, "moving": "both"}
    _, *frames = lines_of(api.post("/api/path", json=body).text)
    assert len(frames) == 6
    done = api.post("/api/animation", json=body | {"format": kind, "fps": 10})
    assert done.headers["content-type"] == f"image/{kind}"
    opened = Image.open(io.BytesIO(done.content))
    assert opened.n_frames == 10
    first = torch.frombuffer(bytearray(opened.convert("RGB").resize((8, 8), 0).tobytes()), dtype=torch.uint8)
    assert torch.equal(first.reshape(8, 8, 3)[:, :, 0], pixels(frames[0])[0])


# ---- what is copied draws the same -------------------------------------------------------------------


def test_the_command_draws_what_is_on_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, model = saved(small_model(), tmp_path / "it's a model")
    api = client(studio(model, folder=source))
    labels = [9, 2, 8]
    pictures = [{"seed": 40 + k, "classes": [{"label": labels[k % 3]}]} for k in range(12)]
    body = {"pictures": pictures, "law": THRESHOLD}
    with api:
        api.post("/api/draw", json=body)
        wait_until_measured(api)
        lines = lines_of(api.post("/api/draw", json=body).text)[1:]
        command = api.post("/api/code", json=body).json()["command"]
    words = shlex.split(command)
    assert words[:3] == ["biggan", "sample", str(source)]
    command_line([*words[1:], "--out", str(tmp_path / "out")], result_action="return_value")
    names = {9: "it_s", 2: "great_white_shark", 8: "3"}
    for k, line in enumerate(lines):
        found = Image.open(tmp_path / "out" / f"{names[labels[k % 3]]}_seed{40 + k:06d}.png")
        assert found.tobytes() == pixels(line).numpy().tobytes()


def test_the_python_draws_what_is_on_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, model = saved(with_table(small_model(channels=3)), tmp_path / "export")
    api = client(studio(model, folder=source))
    far = {"seed": 5, "classes": [{"label": 9, "weight": 0.2}, {"label": 8, "weight": 0.8}],
           "steps": [{"seed": 1, "size": 0.3}, {"seed": 2, "size": 1.1}]}  # fmt: skip
    body = {"pictures": [ONE, far, ONE], "law": {"kind": "truncation", "value": 0.35}}
    lines = lines_of(api.post("/api/draw", json=body).text)[1:]
    code = api.post("/api/code", json=body).json()
    assert code["command"] is None
    monkeypatch.chdir(tmp_path)
    exec(compile(code["python"], "again.py", "exec"), {})
    for k, line in enumerate(lines):
        assert Image.open(f"pictures/{k:03d}.png").tobytes() == pixels(line).permute(1, 2, 0).numpy().tobytes()

    animation = {"start": ONE, "end": far, "frames": 5, "law": body["law"], "format": "webp", "fps": 9}
    content = api.post("/api/animation", json=animation).content
    exec(compile(api.post("/api/code/animation", json=animation).json()["python"], "again.py", "exec"), {})
    assert Path("path.webp").read_bytes() == content


def test_the_zip_holds_pictures_their_recipe_and_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, model = saved(small_model(), tmp_path / "export")
    api = client(studio(model, folder=source))
    body = {"pictures": [ONE, {"seed": 8, "classes": [{"label": 1}]}]}
    content = api.post("/api/zip", json=body).content
    assert content == api.post("/api/zip", json=body).content
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.namelist() == ["000_seed3.png", "001_seed8.png", "pictures.json", "again.py"]
    recipe = json.loads(archive.read("pictures.json"))
    assert recipe.pop("model") == str(source)
    monkeypatch.chdir(tmp_path)
    exec(compile(archive.read("again.py"), "again.py", "exec"), {})
    for name in ("000", "001"):
        (stored,) = [entry for entry in archive.namelist() if entry.startswith(name)]
        assert Path(f"pictures/{name}.png").read_bytes() == archive.read(stored)
    assert api.post("/api/zip", json=recipe).content == content


@pytest.mark.parametrize(
    "pictures",
    [
        [{"seed": 1, "classes": [{"label": 1}]}] * 4,                                       # not consecutive
        [{"seed": k, "classes": [{"label": 1}]} for k in range(3)],                         # not whole batches
        [{"seed": k, "classes": [{"label": 1}, {"label": 2}]} for k in range(4)],           # mixed
        [{"seed": k, "classes": [{"label": 1}], "steps": [{"seed": 0, "size": 1}]} for k in range(4)],
    ],
)
def test_no_command_is_given_where_none_draws_it(api: TestClient, pictures: list[dict[str, object]]) -> None:
    assert api.post("/api/code", json={"pictures": pictures}).json()["command"] is None


# ---- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({}, "pictures: Field required"),
        ({"pictures": []}, "pictures: List should have at least 1 item"),
        ({"pictures": [ONE] * 65}, "pictures: List should have at most 64 items"),
        ({"pictures": [ONE], "model": 1}, "model 1 does not exist; there are 1"),
        ({"pictures": [{"seed": 3, "classes": [{"label": 10}]}]}, "class 10 is not one of the model's classes 0 to 9"),
        ({"pictures": [{"seed": -1, "classes": [{"label": 1}]}]}, "pictures.0.seed: Input should be greater"),
        ({"pictures": [{"seed": 2**53, "classes": [{"label": 1}]}]}, "pictures.0.seed: Input should be less"),
        ({"pictures": [ONE | {"stepz": []}]}, "pictures.0.stepz: Extra inputs are not permitted"),
        ({"pictures": [ONE], "law": {"kind": "threshold", "value": 0.51}}, "0.51 is not a multiple of 0.05"),
        ({"pictures": [ONE], "law": {"kind": "cut"}}, "law.kind: Input should be 'normal', 'threshold' or"),
    ],
)
def test_a_wrong_request_is_one_line(api: TestClient, body: dict[str, object], line: str) -> None:
    done = api.post("/api/draw", json=body)
    assert done.status_code == 422
    assert line in done.json()["error"]


def test_a_fault_of_ours_is_said_in_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    monkeypatch.setattr(model.G, "synthesize", lambda z, embedding: 1 / 0)
    _, last = lines_of(client(studio(model)).post("/api/draw", json={"pictures": [ONE]}).text)
    assert "terminal" in last["error"]
    done = client(studio(model)).post("/api/zip", json={"pictures": [ONE]})
    assert (done.status_code, "terminal" in done.json()["error"]) == (500, True)


def test_a_full_queue_says_when_to_come_again(api: TestClient) -> None:
    worker = api.app.state.worker
    worker.jobs.extend([None] * MOST_WAITING)       # the thread sleeps: nobody told it
    done = api.post("/api/draw", json={"pictures": [ONE]})
    worker.jobs.clear()
    assert done.status_code == 429
    assert int(done.headers["retry-after"]) >= 1
    assert "waiting already" in done.json()["error"]
    assert api.post("/api/draw", json={"pictures": [ONE]}).status_code == 200


def test_the_documents_example_is_answered(api: TestClient) -> None:
    page = (Path(__file__).parents[2] / "docs" / "studio.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    lines = lines_of(api.post("/api/draw", content=example, headers={"content-type": "application/json"}).text)
    assert [line.get("index") for line in lines] == [None, 0, 1]
    for path in api.app.openapi()["paths"]:
        assert f"{path}`" in page
