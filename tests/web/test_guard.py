"""Who may use the studio, and how much they may send."""

import pytest
from studio_app import HOME, ONE, client, small_model, studio

from biggan.web.guard import HEADERS, MOST_BYTES

APP = studio(small_model())
BODY = {"pictures": [ONE]}


OURS = ["127.0.0.1:8000", "localhost", "localhost:9000", "[::1]:8000", "[::1]", "LOCALHOST:1"]
THEIRS = ["evil.example", "127.0.0.1.evil.example:8000", "localhost.evil.example", "192.168.0.7:8000", "", ":8000"]


@pytest.mark.parametrize("host", OURS)
def test_this_machines_names_are_answered(host: str) -> None:
    assert client(APP, host=host).get("/").status_code == 200


@pytest.mark.parametrize("host", THEIRS)
def test_a_rebound_name_is_refused(host: str) -> None:
    done = client(APP, host=host).post("/api/draw", json=BODY)
    assert done.status_code == 403
    assert "ssh -L" in done.json()["error"]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "https://127.0.0.1:8000", "null"])
def test_another_origin_cannot_drive_it(origin: str) -> None:
    for method, path in (("POST", "/api/draw"), ("OPTIONS", "/api/draw"), ("GET", "/api/models")):
        done = client(APP, origin=origin).request(method, path, json=BODY if method == "POST" else None)
        assert done.status_code == 403
        assert not any(name.startswith("access-control") for name in done.headers)


def test_its_own_page_can() -> None:
    assert client(APP, origin=HOME, **{"sec-fetch-site": "same-origin"}).post("/api/draw", json=BODY).status_code == 200
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client(APP, **followed).get("/").status_code == 200      # a link to the page from elsewhere


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_or_image_of_another_site_is_refused(site: str) -> None:
    assert client(APP, **{"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}).get("/api/models").status_code == 403


def test_a_form_of_another_site_that_navigates_sends_no_json() -> None:
    posed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "content-type": "text/plain"}
    done = client(APP, **posed).post("/api/draw", content='{"pictures": [{"seed": 1, "classes": [{"label": 1}]}]}')
    assert done.status_code in (403, 422)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_refused(chunked: bool) -> None:
    text = b'{"pictures": [' + b" " * MOST_BYTES + b"]}"
    content = iter([text[:1000], text[1000:]]) if chunked else text
    done = client(APP).post("/api/draw", content=content, headers={"content-type": "application/json"})
    assert done.status_code == 413
    assert f"{MOST_BYTES:,} bytes" in done.json()["error"]


@pytest.mark.parametrize("path", ["/", "/studio.js", "/api/models", "/nothing"])
def test_every_answer_has_the_headers(path: str) -> None:
    headers = client(APP).get(path).headers
    assert all(headers[name] == value for name, value in HEADERS.items())


@pytest.mark.parametrize("path", [
    "/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "/static/index.html", "/app.py", "//etc/passwd", "/..%5capp.py",
    "/index.html", "/docs", "/redoc",
])  # fmt: skip
def test_nothing_but_the_page_is_served(path: str) -> None:
    done = client(APP).get(path)
    assert done.status_code == 404
    assert set(done.json()) == {"error"}


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = client(APP).get("/").text
    for name in ("studio.css", "studio.js", "api.js", "classes.js", "saving.js", "scene.js", "icon.svg"):
        text = client(APP).get(f"/{name}").text
        assert text.replace("http://www.w3.org/2000/svg", "").count("http") == 0, name
    assert "http" not in page.replace("http-equiv", "")
    assert " style=" not in page        # the policy forbids it
    assert "onclick" not in page
