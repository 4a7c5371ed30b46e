"""What a request to MLflow's server may cost, looked at before the server takes it in.

The server reads and parses whatever it is sent, at once for everybody, before it asks the model. So
the model puts this in front of it when it is loaded there (`ser.tracking.pyfunc`).
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, nullcontext
from http import HTTPStatus
from typing import Any, TypeAlias

MAX_REQUEST = 17 * 2**20  # bytes: 12 MiB of recordings as base64, and the rest
MAX_VALUES = 10_000  # of a request, which has 300 at most; base64 has none of a JSON's own signs
READ_SECONDS = 30  # in which a request must have arrived
WAITING = 32  # requests; one more is refused
READING = 2  # large requests, or of unknown size, that are read at once
WORKING = 2  # requests that are answered at once
LARGE = 2 * 2**20  # bytes of a request, of which one is answered at once: it is copied ten times
PATH = "/invocations"
FORMATS = ("dataframe_records", "dataframe_split", "inputs", "instances")

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


class RefusedError(Exception):
    """A request that is not answered.

    Parameters
    ----------
    status : HTTPStatus
    reason : str
        A sentence.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Limits:
    """ASGI middleware: few requests at work, none that is too large, and a reason for the others.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._n_waiting = 0
        self._reading = asyncio.Semaphore(READING)
        self._working = asyncio.Semaphore(WORKING)
        self._large = asyncio.Semaphore(1)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        gone = asyncio.Event()
        work = asyncio.ensure_future(self._answer(scope, receive, send, gone))
        work.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await asyncio.shield(work)  # who stops waiting does not stop the thread that works
        finally:
            gone.set()

    async def _answer(
        self, scope: Message, receive: Receive, send: Send, gone: asyncio.Event
    ) -> None:
        self._n_waiting += 1
        try:
            await self._in_turn(scope, receive, send, gone)
        except RefusedError as error:
            await _refuse(send, error)
        finally:
            self._n_waiting -= 1

    async def _in_turn(
        self, scope: Message, receive: Receive, send: Send, gone: asyncio.Event
    ) -> None:
        if self._n_waiting > WAITING:
            await _body(receive, limit=0)
            reason = f"{WAITING} requests are being answered already: ask again later."
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, reason)
        declared = _declared(scope)
        if MAX_REQUEST < declared < math.inf:  # nothing of it is kept, so it takes no turn
            await _body(receive, limit=0)
            raise _too_large(declared)
        async with AsyncExitStack() as slots:
            # Who sends little, and slowly, keeps nobody waiting who sends little.
            async with nullcontext() if declared <= LARGE else self._reading:
                body = await _body(receive, limit=MAX_REQUEST)
                if len(body) > LARGE:
                    await slots.enter_async_context(self._large)
                await slots.enter_async_context(self._working)
            if not gone.is_set():
                body = await asyncio.to_thread(as_table, body, dict(scope["headers"]))
                await self._app(_resized(scope, body), _replay(body, receive), send)


def as_table(body: bytes, headers: dict[bytes, bytes]) -> bytes:
    """A request as the server takes it in without making more of it than it is.

    ``inputs`` would become arrays in which every text takes as much room as the longest, and what
    is no JSON would be repeated in the error.

    Raises
    ------
    RefusedError
        If it is not a table in JSON.
    """
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind != b"application/json":
        reason = "A request is JSON: send it with Content-Type: application/json."
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)
    if sum(map(body.count, b"[{,")) > MAX_VALUES:
        reason = f"The request has more than {MAX_VALUES} values."
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = f"The request is not JSON that can be read ({type(error).__name__}: {error})."
        raise RefusedError(HTTPStatus.BAD_REQUEST, reason[:300]) from None
    given = [name for name in FORMATS if isinstance(request, dict) and name in request]
    if len(given) != 1:
        reason = f"A request has exactly one of the input fields {', '.join(FORMATS)}."
        raise RefusedError(HTTPStatus.BAD_REQUEST, reason)
    (name,), table = given, request[given[0]]
    if unknown := [field for field in request if field != name]:
        reason = f"Unknown field {', '.join(unknown)}: a request has one of {', '.join(FORMATS)}."
        raise RefusedError(HTTPStatus.BAD_REQUEST, reason[:300])
    if name.startswith("dataframe"):
        return body
    name, table = _rows(name, table)
    return json.dumps({name: table}).encode()


def _rows(name: str, table: object) -> tuple[str, object]:
    """Columns, or rows, as one of the two formats that become a table as they are."""
    if isinstance(table, dict):
        columns = [value if isinstance(value, list) else [value] for value in table.values()]
        if len({len(column) for column in columns}) > 1:
            reason = f"The columns of {name} are not of one length."
            raise RefusedError(HTTPStatus.BAD_REQUEST, reason)
        rows = [list(row) for row in zip(*columns, strict=True)]
        return "dataframe_split", {"columns": list(table), "data": rows}
    if isinstance(table, list) and all(isinstance(row, dict) for row in table):
        return "dataframe_records", table
    reason = f"{name} is neither columns nor rows with audio_b64 or path."
    raise RefusedError(HTTPStatus.BAD_REQUEST, reason)


def _declared(scope: Message) -> float:
    """Bytes that a request says it has, and so has at most."""
    length = dict(scope["headers"]).get(b"content-length", b"")
    return int(length) if length.isdigit() else math.inf


async def _body(receive: Receive, *, limit: int) -> bytes:
    """What a request holds; all of it is waited for, as who still sends reads no answer."""
    parts, size, more = [], 0, True
    try:
        async with asyncio.timeout(READ_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError(HTTPStatus.BAD_REQUEST, "The request is not whole.")
                parts.append(message.get("body", b""))
                size, more = size + len(parts[-1]), message.get("more_body", False)
                if size > limit:
                    parts.clear()
    except TimeoutError:
        reason = f"The request did not arrive in {READ_SECONDS} s."
        raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, reason) from None
    if limit and size > limit:
        raise _too_large(size)
    return b"".join(parts)


def _too_large(size: float) -> RefusedError:
    reason = (
        f"The request has {size} bytes; at most {MAX_REQUEST} are taken. Send fewer recordings, "
        "shorter ones, or send them as FLAC, OGG or MP3."
    )
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)


def _replay(body: bytes, receive: Receive) -> Receive:
    """What an application receives, of a body that has been read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def _resized(scope: Message, body: bytes) -> Message:
    kept = [(key, value) for key, value in scope["headers"] if key != b"content-length"]
    return {**scope, "headers": [*kept, (b"content-length", str(len(body)).encode())]}


async def _refuse(send: Send, error: RefusedError) -> None:
    answer = {"error_code": error.status.name, "message": str(error)}
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": int(error.status), "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
