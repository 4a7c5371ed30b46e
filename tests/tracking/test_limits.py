"""The server's limits, without a server: who is let in, who waits, what a request becomes."""

import asyncio
import json

import pytest

from ser.tracking import serving
from ser.tracking.serving import Limits, RefusedError, as_table

JSON = {b"content-type": b"application/json"}


def ask(limits, body, *, leave=False):
    """A task that asks, and the messages that come back; with `leave` the body never ends."""
    parts, said = [body], []

    async def receive():
        if parts:
            part = parts.pop()
            return {"type": "http.request", "body": part, "more_body": leave}
        return {"type": "http.disconnect"}

    async def send(message):
        said.append(message)

    scope = {"type": "http", "path": "/invocations", "method": "POST", "headers": [*JSON.items()]}
    return asyncio.ensure_future(limits(scope, receive, send)), said


def test_two_are_at_work_some_wait_and_the_rest_is_told_so(monkeypatch):
    monkeypatch.setattr(serving, "WAITING", 5)
    at_work, most, served = [0], [0], []

    async def run():
        end = asyncio.Event()

        async def app(scope, receive, send):
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            served.append((await receive())["body"])
            await end.wait()
            at_work[0] -= 1
            await send({"type": "http.response.start", "status": 200, "headers": []})

        limits = Limits(app)
        asked = [ask(limits, b'{"inputs": [{"path": "a"}]}') for _ in range(8)]
        while sum(bool(said) for _, said in asked) < 3 or at_work[0] < 2:
            await asyncio.sleep(0.001)
        gone = asked[4][0]
        gone.cancel()  # who has left is not worked for
        end.set()
        await asyncio.gather(*(task for task, _ in asked), return_exceptions=True)
        return [said[0]["status"] for _, said in asked if said]

    statuses = asyncio.run(run())
    assert sorted(statuses) == [200] * 4 + [429] * 3
    assert most[0] == serving.WORKING
    assert served == [b'{"dataframe_records": [{"path": "a"}]}'] * 4


@pytest.mark.parametrize(
    ("body", "leave", "status"),
    [(b" " * 2000, False, 413), (b"{}", True, 400), (b"{}", False, 400), (b"\0", False, 400)],
)
def test_who_is_refused_is_told_why_and_the_application_not_asked(monkeypatch, body, leave, status):
    monkeypatch.setattr(serving, "MAX_REQUEST", 1000)

    async def run():
        task, said = ask(Limits(None), body, leave=leave)
        await task
        return said

    start, answer = asyncio.run(run())
    assert start["status"] == status
    assert json.loads(answer["body"])["message"].endswith(".")


@pytest.mark.parametrize(
    ("request_", "table"),
    [
        ({"inputs": {"path": ["a", "b"]}}, {"columns": ["path"], "data": [["a"], ["b"]]}),
        ({"inputs": {"path": "a"}}, {"columns": ["path"], "data": [["a"]]}),
        ({"instances": [{"path": "a"}]}, [{"path": "a"}]),
        ({"dataframe_records": [{"path": "a"}]}, [{"path": "a"}]),
    ],
)
def test_a_request_becomes_a_table(request_, table):
    (made,) = json.loads(as_table(json.dumps(request_).encode(), JSON)).values()
    assert made == table


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", b"text/csv", 415),
        (b"[1]", b"application/json", 400),
        (b"[" * 9000, b"application/json", 400),
        (b"[" * 10_001, b"application/json", 413),
        (b"9" * 5000, b"application/json", 400),
        (b'{"inputs": {"a": [1], "b": [1, 2]}}', b"application/json; charset=utf-8", 400),
        (b'{"inputs": 1, "instances": 1}', b"application/json", 400),
    ],
)
def test_what_is_no_table_is_refused(body, kind, status):
    with pytest.raises(RefusedError) as caught:
        as_table(body, {b"content-type": kind})
    assert caught.value.status == status
