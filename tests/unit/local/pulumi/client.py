"""A client in the place of the CLI: calls a stand-in's methods by name, with messages as JSON."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass

from local.pulumi.protocol import language_pb2, provider_pb2

PROVIDER = provider_pb2.DESCRIPTOR.services_by_name["ResourceProvider"]
LANGUAGE = language_pb2.DESCRIPTOR.services_by_name["LanguageRuntime"]


class Client:
    """Calls the methods of one protocol at a port of this machine."""

    def __init__(self, protocol: ServiceDescriptor, port: int) -> None:
        self._protocol = protocol
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._calls: list[Any] = []  # one that nobody refers to is cancelled

    def __call__(self, method: str, **request: Any) -> dict[str, Any]:
        """Return the response to a call."""
        answer: dict[str, Any] = MessageToDict(self._start(method, request).result(60))
        return answer

    def stream(self, method: str, **request: Any) -> Any:
        """Return a call in progress, which yields messages and can be cancelled."""
        self._calls.append(self._start(method, request))
        return self._calls[-1]

    def _start(self, name: str, request: dict[str, Any]) -> Any:
        method = self._protocol.methods_by_name[name]
        # Recordings have fields that newer versions of the protocol have dropped.
        message = ParseDict(
            request, GetMessageClass(method.input_type)(), ignore_unknown_fields=True
        )
        path = f"/{self._protocol.full_name}/{name}"
        read = GetMessageClass(method.output_type).FromString
        write = type(message).SerializeToString
        if method.server_streaming:
            return self._channel.unary_stream(path, write, read)(message)
        return self._channel.unary_unary(path, write, read).future(message)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


@contextmanager
def served(protocol: ServiceDescriptor, handlers: Any) -> Iterator[Client]:
    """Serve a stand-in in this process."""
    server = grpc.server(ThreadPoolExecutor(4), [handlers])
    client = Client(protocol, server.add_insecure_port("127.0.0.1:0"))
    server.start()
    try:
        yield client
    finally:
        client.close()
        server.stop(None)
