"""The application: the page and its API. See docs/studio.md for the API by example.

Work is asked for by POST with a JSON body. Images come as a stream of JSON lines, each picture as soon
as it is drawn; a client that goes away ends the work at its next four pictures.
"""

import base64
import functools
import importlib.resources
import io
import json
import logging
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import torch
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.requests import Request as HTTPRequest
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send
from torch import Tensor

from biggan import __version__
from biggan.errors import UserError
from biggan.model import BigGAN
from biggan.pictures import Between, Picture, animation, draw_batches
from biggan.sampling import to_pil
from biggan.web import reproduce
from biggan.web.guard import Guard, error_response
from biggan.web.models import Shown
from biggan.web.schema import (
    AnimationIn,
    CodeOut,
    DrawIn,
    ErrorOut,
    HeaderOut,
    ImageOut,
    ModelOut,
    PathIn,
    Request,
    StatusOut,
)
from biggan.web.worker import MOST_WAITING, BusyError, Job, Worker

JAVASCRIPT = "text/javascript; charset=utf-8"
STATIC = {
    "index.html": "text/html; charset=utf-8",
    "studio.css": "text/css; charset=utf-8",
    "studio.js": JAVASCRIPT,
    "api.js": JAVASCRIPT,
    "classes.js": JAVASCRIPT,
    "saving.js": JAVASCRIPT,
    "scene.js": JAVASCRIPT,
    "icon.svg": "image/svg+xml",
}
ZIP_DATE = (1980, 1, 1, 0, 0, 0)        # the same pictures make the same file

ERRORS: dict[int | str, dict[str, Any]] = {
    403: {"model": ErrorOut, "description": "Another host, origin or site asks."},
    400: {"model": ErrorOut, "description": "The body is not JSON."},
    413: {"model": ErrorOut, "description": "The body is too large."},
    422: {"model": ErrorOut, "description": "The request cannot be done as it is."},
    429: {"model": ErrorOut, "description": "The queue is full; Retry-After says when to come again."},
}
STREAM = {
    "description": "Lines of JSON: first a HeaderOut, then ImageOut after ImageOut, last perhaps an ErrorOut.",
    "content": {"application/x-ndjson": {}},
}

log = logging.getLogger("biggan.web")


class PendingError(Exception):
    """A download that waits for the law's own statistics."""


class JobResponse(StreamingResponse):
    """A job's parts; it is cancelled when the answer ends, however it ends."""

    def __init__(self, job: Job, stream: AsyncIterator[bytes], media_type: str) -> None:
        super().__init__(stream, media_type=media_type)
        self.job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and give up what is not wanted any more."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.job.cancel()


def create_app(models: Mapping[Path, BigGAN]) -> FastAPI:
    """The application over these models, by where they were opened. The first is the one on show."""
    shown = [Shown(index, source, model) for index, (source, model) in enumerate(models.items())]
    worker = Worker()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        worker.close()

    app = FastAPI(
        title="biggan studio",
        version=__version__,
        description=__doc__,
        openapi_url="/api/openapi.json",
        docs_url=None,              # they load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.worker, app.state.shown = worker, shown
    app.add_middleware(Guard)
    _add_errors(app)
    _add_page(app)
    _add_questions(app, shown, worker)
    _add_drawing(app, shown, worker)
    return app


def _add_page(app: FastAPI) -> None:
    """The page's files: those of the table and no others, read once."""
    folder = importlib.resources.files("biggan.web") / "static"
    for name, media_type in STATIC.items():
        answer = functools.partial(_file, (folder / name).read_bytes(), media_type)
        app.add_api_route("/" if name == "index.html" else f"/{name}", answer, include_in_schema=False)


async def _file(content: bytes, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})


def _add_questions(app: FastAPI, shown: Sequence[Shown], worker: Worker) -> None:
    """Routes that draw nothing."""

    @app.get("/api/models", responses={403: ERRORS[403]})
    async def models() -> list[ModelOut]:
        """The models on show, with their classes and bounds."""
        return [each.describe() for each in shown]

    @app.get("/api/status", responses={403: ERRORS[403]})
    async def status() -> StatusOut:
        """How many drawings wait, and which batch statistics are being measured."""
        found = [line for each in shown for line in each.measuring(worker)]
        return StatusOut(waiting=len(worker.jobs), most_waiting=MOST_WAITING, measuring=found)

    @app.post("/api/code", responses=ERRORS)
    async def code(asked: DrawIn) -> CodeOut:
        """The command, if there is one, and the Python that draw these pictures."""
        on = _shown(shown, asked)
        pictures = [picture.picture() for picture in asked.pictures]
        _check(on, pictures)
        given = (on.source, on.model, asked.law.law(), pictures)
        return CodeOut(command=reproduce.command(*given), python=reproduce.python_of_pictures(*given))

    @app.post("/api/code/animation", responses=ERRORS)
    async def code_of_animation(asked: AnimationIn) -> CodeOut:
        """The Python that makes this animation."""
        on = _shown(shown, asked)
        _check(on, asked.recipes())
        python = reproduce.python_of_path(on.source, on.model, asked.law.law(), asked)
        return CodeOut(command=None, python=python)


def _add_drawing(app: FastAPI, shown: Sequence[Shown], worker: Worker) -> None:
    """Routes whose work the worker does."""
    files = ERRORS | {409: {"model": ErrorOut, "description": "The law's batch statistics are still being measured."}}

    def stream(asked: DrawIn | PathIn) -> Response:
        on, recipes = _shown(shown, asked), asked.recipes()
        _check(on, recipes)
        job = worker.submit(_lines(on, recipes, asked, worker))
        return JobResponse(job, _with_last_words(job), "application/x-ndjson")

    @app.post("/api/draw", responses=ERRORS | {200: STREAM}, response_class=Response)
    async def draw(asked: DrawIn) -> Response:
        """Draw pictures."""
        return stream(asked)

    @app.post("/api/path", responses=ERRORS | {200: STREAM}, response_class=Response)
    async def path(asked: PathIn) -> Response:
        """Draw the frames of a path from one picture to another."""
        return stream(asked)

    @app.post("/api/animation", responses=files | _binary("image/gif", "image/webp"), response_class=Response)
    async def animate(asked: AnimationIn, request: HTTPRequest) -> Response:
        """The path as an animation, there and back."""
        on, recipes = _shown(shown, asked), asked.recipes()
        _check(on, recipes)
        _require_own(on, asked, worker)
        job = worker.submit(_animation(on, recipes, asked))
        return Response(await _whole(job, request), media_type=f"image/{asked.format}")

    @app.post("/api/zip", responses=files | _binary("application/zip"), response_class=Response)
    async def zipped(asked: DrawIn, request: HTTPRequest) -> Response:
        """The pictures as PNG files, with what determines them and the Python that draws them again."""
        on, recipes = _shown(shown, asked), asked.recipes()
        _check(on, recipes)
        _require_own(on, asked, worker)
        job = worker.submit(_zip(on, recipes, asked))
        return Response(await _whole(job, request), media_type="application/zip")


def _binary(*media_types: str) -> dict[int | str, dict[str, Any]]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in media_types}
    return {200: {"description": "The file.", "content": content}}


# ---- checks in the event loop ----------------------------------------------------------------------


def _shown(shown: Sequence[Shown], asked: Request) -> Shown:
    if asked.model >= len(shown):
        raise UserError(f"model {asked.model} does not exist; there are {len(shown)}")
    return shown[asked.model]


def _check(on: Shown, recipes: Sequence[Picture | Between]) -> None:
    """UserError if there are too many pictures for the model, or a class that it has not."""
    if len(recipes) > on.most:
        raise UserError(f"{len(recipes)} pictures are too many; a request may ask this model for {on.most}")
    for recipe in recipes:
        for picture in (recipe,) if isinstance(recipe, Picture) else (recipe.start, recipe.end):
            on.model.class_indices(list(picture.classes))


def _require_own(on: Shown, asked: Request, worker: Worker) -> None:
    """A file is never drawn with another law's statistics: PendingError until they are there."""
    law = asked.law.law()
    state = on.state(law, worker)
    if state == "failed":
        raise UserError(f"the batch statistics for {law} could not be measured; the studio's terminal says why")
    if state == "pending":
        raise PendingError(f"the batch statistics for {law} are still being measured; try again soon")


# ---- parts of answers, made in the worker's thread -------------------------------------------------


def _lines(on: Shown, recipes: Sequence[Picture | Between], asked: Request, worker: Worker) -> Iterator[bytes]:
    law = asked.law.law()
    yield _line(HeaderOut(statistics=on.state(law, worker)))
    index = 0
    for batch in draw_batches(on.model, recipes, law):
        lines = []
        for image in batch:
            lines.append(_line(ImageOut(index=index, png=base64.b64encode(png(image)).decode())))
            index += 1
        yield b"".join(lines)


def _animation(on: Shown, recipes: Sequence[Between | Picture], asked: AnimationIn) -> Iterator[bytes]:
    batches = []
    for batch in draw_batches(on.model, recipes, asked.law.law()):
        batches.append(batch)
        yield b""
    yield animation(torch.cat(batches), asked.format, fps=asked.fps)


def _zip(on: Shown, recipes: Sequence[Picture | Between], asked: DrawIn) -> Iterator[bytes]:
    pictures, out, k = [each.picture() for each in asked.pictures], io.BytesIO(), 0
    with zipfile.ZipFile(out, "w") as archive:
        for batch in draw_batches(on.model, recipes, asked.law.law()):
            for image in batch:
                archive.writestr(zipfile.ZipInfo(f"{k:03d}_seed{pictures[k].seed}.png", ZIP_DATE), png(image))
                k += 1
            yield b""
        given = asked.model_dump() | {"model": str(on.source)}
        archive.writestr(zipfile.ZipInfo("pictures.json", ZIP_DATE), json.dumps(given, indent=2) + "\n")
        python = reproduce.python_of_pictures(on.source, on.model, asked.law.law(), pictures)
        archive.writestr(zipfile.ZipInfo("again.py", ZIP_DATE), python)
    yield out.getvalue()


def png(image: Tensor) -> bytes:
    """A uint8 image (C, R, R) as a PNG file."""
    out = io.BytesIO()
    to_pil(image).save(out, "PNG")
    return out.getvalue()


def _line(value: HeaderOut | ImageOut | ErrorOut) -> bytes:
    return value.model_dump_json().encode() + b"\n"


# ---- parts of answers, read in the event loop --------------------------------------------------------


async def _with_last_words(job: Job) -> AsyncIterator[bytes]:
    """A job's parts and, if it fails when the answer has begun, a line that says so."""
    try:
        async for part in job:
            yield part
    except Exception:
        yield _line(ErrorOut(error="drawing failed; the studio's terminal says why"))


async def _whole(job: Job, request: HTTPRequest) -> bytes:
    """All of a job's parts at once, or none where the client has gone."""
    parts = []
    try:
        async for part in job:
            parts.append(part)
            if await request.is_disconnected():
                return b""
        return b"".join(parts)
    finally:
        job.cancel()


# ---- errors ----------------------------------------------------------------------------------------


def _add_errors(app: FastAPI) -> None:
    """Every error is JSON, one line."""

    async def wrong(request: HTTPRequest, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or "body"
        return error_response(422, f"{place}: {first['msg']}")

    async def refused(request: HTTPRequest, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return error_response(error.status_code, str(error.detail), dict(error.headers or {}))

    async def mistaken(request: HTTPRequest, error: Exception) -> Response:
        return error_response(422, str(error))

    async def busy(request: HTTPRequest, error: Exception) -> Response:
        assert isinstance(error, BusyError)
        return error_response(429, str(error), {"retry-after": str(error.retry_after)})

    async def pending(request: HTTPRequest, error: Exception) -> Response:
        return error_response(409, str(error), {"retry-after": "1"})

    async def failed(request: HTTPRequest, error: Exception) -> Response:
        return error_response(500, "a fault of the studio's; its terminal says more")

    app.add_exception_handler(RequestValidationError, wrong)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(UserError, mistaken)
    app.add_exception_handler(BusyError, busy)
    app.add_exception_handler(PendingError, pending)
    app.add_exception_handler(Exception, failed)
