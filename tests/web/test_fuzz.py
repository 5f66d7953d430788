"""Anything at all, sent to every operation of the OpenAPI document: no fault of ours, no hang."""

import json
import time
from collections import Counter
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from studio_app import ONE, client, lines_of, small_model, studio

APP = studio(small_model(), small_model(3, seed=1))
API: TestClient = client(APP)
DOCUMENT = APP.openapi()
OPERATIONS = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]
ASKED = [(method, path) for method, path in OPERATIONS if "requestBody" in DOCUMENT["paths"][path][method]]
QUICK = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SECONDS = 20.0                      # an answer takes a few hundredths; 64 frames a few tenths


# Values that the models have, most of them, so that what is allowed is often drawn.
LIKELY = {
    "model": st.sampled_from([0, 0, 1, 7]),
    "label": st.sampled_from([0, 1, 2, 2, 1, 9, 10, 999_999]),
    "value": st.sampled_from([0.05, 0.5, 1.0, 2.0, 0.33]),
    "pictures": st.lists(st.deferred(lambda: allowed({"$ref": "PictureIn"})), min_size=1, max_size=5)
    | st.builds(lambda picture: [picture] * 64, st.deferred(lambda: allowed({"$ref": "PictureIn"}))),
}


def body_schema(method: str, path: str) -> dict[str, Any]:
    schema: dict[str, Any] = DOCUMENT["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    return schema


def allowed(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema of the document allows; KeyError for a part of JSON Schema that it does not use."""
    if "$ref" in schema:
        return allowed(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "object":
        parts = {name: LIKELY[name] if name in LIKELY else allowed(part) for name, part in schema["properties"].items()}
        needed = {name: parts.pop(name) for name in schema.get("required", [])}
        return st.fixed_dictionaries(needed, optional=parts)
    if schema["type"] == "array":
        items = allowed(schema["items"])
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=schema["maxItems"])
    numbers = {"integer": st.integers, "number": st.floats}[schema["type"]]
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    return numbers(low, high).filter(
        lambda value: value != schema.get("exclusiveMinimum") and value != schema.get("exclusiveMaximum")
    )


def check(method: str, path: str, **sent: Any) -> int:
    began = time.monotonic()
    done = API.request(method, path, **sent)
    assert time.monotonic() - began < SECONDS
    documented = DOCUMENT["paths"][path][method]["responses"] if path in DOCUMENT["paths"] else {}
    assert str(done.status_code) in {*documented, "404", "405"}, (done.status_code, done.text[:300])
    if done.status_code >= 400:
        assert set(done.json()) == {"error"}
        assert "\n" not in done.json()["error"]
    elif done.headers["content-type"] == "application/x-ndjson":
        assert not any("error" in line for line in lines_of(done.text))
    return done.status_code


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_the_document_has_every_operation() -> None:
    assert {path for _, path in OPERATIONS} == {
        "/api/models", "/api/status", "/api/code", "/api/code/animation",
        "/api/draw", "/api/path", "/api/animation", "/api/zip",
    }  # fmt: skip
    assert client(APP).get("/api/openapi.json").json() == json.loads(json.dumps(DOCUMENT))


@pytest.mark.parametrize(("method", "path"), ASKED, ids=lambda part: str(part))
def test_what_the_schema_allows_is_answered(method: str, path: str) -> None:
    schema, found = body_schema(method, path), Counter()

    @QUICK
    @given(allowed(schema))
    def run(body: Any) -> None:
        found[check(method, path, json=body)] += 1

    run()
    assert found.total() >= QUICK.max_examples
    assert found[200] >= 5, found


@pytest.mark.parametrize(("method", "path"), ASKED, ids=lambda part: str(part))
def test_what_the_schema_forbids_is_refused(method: str, path: str) -> None:
    good = {"pictures": [ONE]} if "DrawIn" in str(body_schema(method, path)["$ref"]) else {"start": ONE, "end": ONE}
    assert check(method, path, json=good | {"frames": 2} if "start" in good else good) == 200
    names = st.sampled_from(["model", "law", "pictures", "start", "end", "frames", "moving", "fps", "format", "x"])

    @QUICK
    @given(names, anything)
    def run(name: str, value: Any) -> None:
        text = json.dumps({**good, name: value})        # NaN and lone surrogates, too
        check(method, path, content=text, headers={"content-type": "application/json"})

    run()


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: str(part))
def test_any_bytes_are_answered(method: str, path: str) -> None:
    odd = [b"[" * 30_000, b'{"a":' * 12_000, b'{"pictures": ' + b"9" * 10_000 + b"}", b'{"model": 1e999}', b"\xff\xfe"]
    kinds = st.sampled_from(["application/json", "text/plain", "", "a/b;;"])

    @QUICK
    @given(st.binary(max_size=200) | st.sampled_from(odd), kinds)
    def run(content: bytes, kind: str) -> None:
        check(method, path, content=content, headers={"content-type": kind})

    run()


def test_any_path_is_the_page_or_nothing() -> None:
    pieces = st.sampled_from(["..", ".", "%2e%2e", "%2f", "%5c", "%00", "static", "api", "models", "etc", "~", "*"])
    methods = st.sampled_from(["GET", "POST", "PUT", "HEAD"])

    @QUICK
    @given(st.lists(pieces | st.text("abc/.%\\", max_size=6), max_size=6), methods)
    def run(parts: list[str], method: str) -> None:
        done = API.request(method, "/" + "/".join(parts).lstrip("/"))
        known = done.status_code == 200 and done.headers["content-type"].startswith(("text/html", "application/json"))
        assert known or done.status_code in (403, 404, 405, 422), done.status_code

    run()
