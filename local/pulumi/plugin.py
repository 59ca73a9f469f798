"""The process of a plugin: a gRPC server that ends with the CLI that started it."""

import os
import queue
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from local.errors import LocalError

_LOOK: Final = 0.25  # seconds between two looks whether the CLI is still there, or a call cancelled
_THREADS: Final = 200  # a call that waits for a build or a program holds one
_ANY_SIZE: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class ResourceError(LocalError):
    """The stand-in failed at a request of the CLI, or does not implement it."""


def service(title: str, protocol: ServiceDescriptor, answers: object) -> Any:
    """Return a gRPC service that answers calls by methods of `answers`, named like the calls in lower case.

    A method takes the request and returns the fields of the response. A method with a stream as its response
    also takes the call's context, and yields the fields. Calls without a method are refused in the name of
    `title`.
    """
    handlers = {}
    for method in protocol.methods:
        answer = getattr(answers, re.sub(r"(?<=.)([A-Z])", r"_\1", method.name).lower(), None)
        handlers[method.name] = _handler(method, answer or partial(_refuse, title, method.name))
    return grpc.method_handlers_generic_handler(protocol.full_name, handlers)


def _handler(method: MethodDescriptor, answer: Callable[..., Any]) -> Any:
    response = GetMessageClass(method.output_type)

    def single(request: Any, context: grpc.ServicerContext) -> Any:
        with _errors_to(context):
            return response(**(answer(request) or {}))

    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with _errors_to(context):
            yield from (response(**fields) for fields in answer(request, context))

    read, write = GetMessageClass(method.input_type).FromString, response.SerializeToString
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(stream, read, write)
    return grpc.unary_unary_rpc_method_handler(single, read, write)


def _refuse(title: str, method: str, *_: Any) -> NoReturn:
    raise NotImplementedError(f"{title} does not implement {method}. Install Pulumi, which does")


@contextmanager
def _errors_to(context: grpc.ServicerContext) -> Iterator[None]:
    try:
        yield
    except LocalError as error:
        # With this code, the CLI assumes that nothing was changed.
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
    except NotImplementedError as error:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))


def merged(sources: Sequence[Iterable[Any]], ended: Callable[[], bool] = bool) -> Iterator[Any]:
    """Yield items of several sources in the order of their arrival, until all end or `ended` is true.

    A source that is silent for minutes, such as a step of a build, does not delay others.
    """
    arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read(source: Iterable[Any]) -> None:
        try:
            for item in source:
                arrived.put(item)
            arrived.put(None)
        except Exception as error:
            arrived.put(error)

    for source in sources:
        threading.Thread(target=read, args=(source,), daemon=True).start()
    missing = len(sources)
    while missing and not ended():
        with suppress(queue.Empty):
            got = arrived.get(timeout=_LOOK)
            if isinstance(got, Exception):
                raise got
            missing -= got is None
            if got is not None:
                yield got


def serve(handlers: Any, end: Callable[[], None]) -> NoReturn:
    """Serve until the CLI interrupts this process or has ended, call `end`, and exit.

    The CLI reads the port from the first line of output. It interrupts a plugin that it no longer needs, and
    kills it 5 s later. A CLI that was killed cannot interrupt its plugins.
    """
    cli = os.getppid()
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    server = grpc.server(ThreadPoolExecutor(_THREADS), [handlers], options=_ANY_SIZE)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # fails if the CLI has ended already
    while not ended.wait(_LOOK) and os.getppid() == cli:
        pass
    end()
    os._exit(0)  # calls in progress are of no use any more
