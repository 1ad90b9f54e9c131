"""The nine calls over HTTP: one request's way from its credentials to its envelope.

Whatever the contract has a code for is HTTP 200 with that code; HTTP's own codes are for what it has none for.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response, Security
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from starlette.requests import ClientDisconnect

from endpoint.answers import ImageAnswer, envelope, joined
from endpoint.options import Credentials
from endpoint.server.docs_page import CONTENT_SECURITY_POLICY, docs_page
from endpoint.server.openapi import described
from endpoint.server.request_images import Refused, TransferBounds, fits, images_of
from endpoint.workers.pool import PoolClosed, QueueFull, WorkerLost, WorkerPool
from endpoint.workers.process import CardTimeout
from endpoint.workers.worker_main import ReaderFailed
from schemas.contract import OPERATIONS, SUCCESS, Operation

_logger = logging.getLogger(__name__)
_VERSIONS = ("v2", "v3")
_HTTP_CODES: dict[type[Exception], tuple[int, str]] = {
    QueueFull: (503, "too many images are waiting"),
    PoolClosed: (503, "the endpoint is being stopped"),
    CardTimeout: (504, "the image took the reader too long"),
    ClientDisconnect: (400, "the client went away"),
}
_UNREADABLE: dict[type[BaseException], str] = {
    WorkerLost: "the reader crashed on an image, twice",
    ReaderFailed: "the reader failed on an image",
}
"""What counts as an image that cannot be read, code 3: sent again, it would end in the same way."""
_REFUSED_AFTER_S = 1.0
"""Wrong credentials are answered after that long, so that a connection tries one password a second."""
_RETRY_AFTER_S = 1  # a place comes free with every image that was read


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """Whom the endpoint lets in (None: everyone), how often it answers (0: always), and how much it takes."""

    credentials: Credentials | None
    max_answers: int
    transfer: TransferBounds
    refused_after_s: float = _REFUSED_AFTER_S


class _Basic(HTTPBasic):
    """Basic auth that leaves every refusal to the contract: errorCode 5, where FastAPI would answer HTTP 401."""

    async def __call__(self, request: Request) -> HTTPBasicCredentials | None:  # type: ignore[override]  # as its base
        try:
            return await super().__call__(request)
        except HTTPException:
            return None


_basic = _Basic(scheme_name="api_key and api_secret", auto_error=False)
Caller = Annotated[HTTPBasicCredentials | None, Security(_basic)]


class CardService:
    """Request -> ImageAnswer: let in, within the quota, well formed, and then read."""

    def __init__(self, pool: WorkerPool, policy: ServerPolicy) -> None:
        self._pool = pool
        self._policy = policy
        self.answers = 0

    async def answer(self, request: Request, operation: Operation, caller: HTTPBasicCredentials | None) -> ImageAnswer:
        """One request -> its answer. Raises what `_HTTP_CODES` lists, and HTTPException 408 and 413."""
        try:
            self._check(request, caller)
            answer = await self._read(request, operation)
            self._count(answer)
        except Refused as refusal:
            if refusal.error_code == "5":
                await asyncio.sleep(self._policy.refused_after_s)
            return ImageAnswer(refusal.error_code)
        return answer

    def _check(self, request: Request, caller: HTTPBasicCredentials | None) -> None:
        if not _is_let_in(caller, self._policy.credentials):
            raise Refused("5")
        self._check_quota()
        if not fits(request.method, request.query_params.get("format_type")):
            raise Refused("6")

    async def _read(self, request: Request, operation: Operation) -> ImageAnswer:
        with self._pool.places(len(operation.image_params)):
            images = await images_of(request, operation.image_params, self._policy.transfer)
            get_thumb = request.query_params.get("get_thumb", "").lower() == "true"
            readings = (
                self._pool.read(image, get_thumb=get_thumb, says_valid=operation.says_valid) for image in images
            )
            read = await asyncio.gather(*readings, return_exceptions=True)  # places are held until both are done
        return joined([_raised(answer) for answer in read])

    def _count(self, answer: ImageAnswer) -> None:
        """Counted when answered, so that no refused image uses up the quota."""
        if answer.error_code == SUCCESS:
            self._check_quota()
            self.answers += 1

    def _check_quota(self) -> None:
        if 0 < self._policy.max_answers <= self.answers:
            raise Refused("4")


def build_app(service: CardService, pool: WorkerPool, latency_s: float) -> FastAPI:
    """The endpoint's routes: the nine calls under /api/v2 and /api/v3, /healthz, /docs and /openapi.json."""
    app = FastAPI(
        title="cardbeam embedded card endpoint",
        description="Reads identity cards on this machine, under the contract of the remote endpoint.",
        docs_url=None,
        redoc_url=None,
    )
    calls = _calls(service, latency_s)
    for version in _VERSIONS:
        app.include_router(calls, prefix=f"/api/{version}", tags=[version])
    app.add_api_route("/docs", _docs_of(app), include_in_schema=False)
    app.add_api_route("/healthz", _health_of(pool), summary="Whether a worker answers", responses={503: {}})
    for error in _HTTP_CODES:
        app.add_exception_handler(error, _http_error)
    return app


def _calls(service: CardService, latency_s: float) -> APIRouter:
    router = APIRouter()
    for operation in OPERATIONS.values():
        for method in ("GET", "POST"):
            call = _call_of(service, operation, latency_s)
            router.add_api_route(f"/{operation.path}", call, methods=[method], **described(operation, method))
    return router


def _call_of(
    service: CardService, operation: Operation, latency_s: float
) -> Callable[[Request, Caller], Coroutine[Any, Any, Response]]:
    async def call(request: Request, caller: Caller) -> Response:
        answer = await service.answer(request, operation, caller)
        await asyncio.sleep(latency_s)
        return Response(orjson.dumps(envelope(answer)), media_type="application/json")

    return call


def _health_of(pool: WorkerPool) -> Callable[[], Coroutine[Any, Any, JSONResponse]]:
    async def health() -> JSONResponse:
        healthy = await pool.is_healthy()
        return JSONResponse({"status": "ok" if healthy else "no worker answers"}, 200 if healthy else 503)

    return health


def _docs_of(app: FastAPI) -> Callable[[], Coroutine[Any, Any, HTMLResponse]]:
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()), headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    return docs


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    status, detail = _HTTP_CODES[type(error)]
    if status >= 500 and status != 503:
        _logger.error("HTTP %s: %s %s", status, detail, error)
    headers = {"Retry-After": str(_RETRY_AFTER_S)} if status == 503 else None
    return JSONResponse({"detail": detail}, status, headers)


def _is_let_in(caller: HTTPBasicCredentials | None, wanted: Credentials | None) -> bool:
    if wanted is None:
        return True
    key, secret = (caller.username, caller.password) if caller else ("", "")
    same_key = hmac.compare_digest(key.encode(), wanted.api_key.encode())
    same_secret = hmac.compare_digest(secret.encode(), wanted.api_secret.encode())
    return same_key and same_secret


def _raised(answer: ImageAnswer | BaseException) -> ImageAnswer:
    if why := next((text for kind, text in _UNREADABLE.items() if isinstance(answer, kind)), None):
        _logger.error("errorCode 3: %s %s", why, answer)  # no card text: see ReaderFailed
        return ImageAnswer("3")
    if isinstance(answer, BaseException):
        raise answer
    return answer
