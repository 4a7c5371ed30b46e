"""One thread of BLAS, whichever thread of Python asks for it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from threadpoolctl import ThreadpoolController

from ser.core.threads import one_thread


@pytest.fixture
def blas():
    """Number of threads of each BLAS, of which there are two outside of `one_thread`."""
    controller = ThreadpoolController().select(user_api="blas")
    with controller.limit(limits=2):
        yield lambda: {library["num_threads"] for library in controller.info()}


def test_one_thread_holds_in_any_thread(blas):
    @one_thread()
    def inside():
        return blas()

    with ThreadPoolExecutor(1) as other:
        answers = [inside(), other.submit(inside).result(), inside(), other.submit(inside).result()]
    assert answers == [{1}] * 4
    assert blas() == {2}


def test_whoever_leaves_last_lifts_the_limit(blas):
    entered, may_leave, left = (threading.Event() for _ in range(3))

    def first():
        with one_thread():
            entered.set()
            may_leave.wait()
        left.set()

    with ThreadPoolExecutor(1) as other:
        other.submit(first)
        entered.wait()
        with one_thread():
            may_leave.set()
            left.wait()
            assert blas() == {1}
    assert blas() == {2}
