"""Pulumi's protocol messages, without the SDK around them.

Importing them as `pulumi.runtime.proto` would load the whole SDK: 0.24 s instead of 0.10 s until a plugin is
ready. So this module is a package with the generated modules in the SDK's own folder.
"""

from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import engine_pb2 as engine_pb2
    from pulumi.runtime.proto import engine_pb2_grpc as engine_pb2_grpc
    from pulumi.runtime.proto import language_pb2 as language_pb2
    from pulumi.runtime.proto import provider_pb2 as provider_pb2
else:
    _sdk = PathFinder.find_spec("pulumi")
    __path__ = [f"{folder}/runtime/proto" for folder in _sdk.submodule_search_locations]
