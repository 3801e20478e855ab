"""Checks a server with gRPC for Python: lists all services by reflection v1alpha, calls every method, and decodes the
details of every error with types from reflection. scripts/grpc-check runs it.

Usage: grpc-check.py ADDRESS TOKEN
"""

import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

# Codes of calls that did not reach the method, or of a failure in it.
WRONG = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
}
# It ends the session of the token, so it is called last; several surfaces have one.
ENDS = "Logout"


def message(pool, name):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def details(pool, error):
    """The names and texts of the details of an error."""
    found = []
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            for packed in message(pool, "google.rpc.Status").FromString(value).details:
                kind = packed.type_url.rpartition("/")[2]
                found.append((kind, message(pool, kind).FromString(packed.value)))
    return found


def call(channel, pool, method, metadata):
    """Calls a method with an empty message; returns the error, if any."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    request = message(pool, method.input_type.full_name)()
    answer = message(pool, method.output_type.full_name).FromString
    try:
        if method.server_streaming:
            stream = channel.unary_stream(path, lambda m: m.SerializeToString(), answer)(
                request, metadata=metadata, timeout=30
            )
            next(stream)
            stream.cancel()
        else:
            channel.unary_unary(path, lambda m: m.SerializeToString(), answer)(request, metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        return error
    return None


def main():
    address, token = sys.argv[1:]
    metadata = [("authorization", f"Bearer {token}")]
    # With this option the library compresses requests and accepts compressed responses.
    channel = grpc.insecure_channel(address, compression=grpc.Compression.Gzip)
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = descriptor_pool.DescriptorPool(database)
    services = database.get_services()
    methods = [method for name in services for method in pool.FindServiceByName(name).methods]
    called, errors = 0, 0
    for method in sorted(methods, key=lambda method: method.name == ENDS):
        if method.client_streaming:
            continue  # Reflection, which is used for every call anyway.
        called += 1
        error = call(channel, pool, method, metadata)
        if error is None:
            continue
        errors += 1
        found = details(pool, error)
        print(f"{method.full_name}: {error.code().name} {error.details()!r} {[kind for kind, _ in found]}")
        ended = method.name == ENDS and error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert ended or error.code() not in WRONG, method.full_name
        infos = [detail for kind, detail in found if kind == "google.rpc.ErrorInfo"]
        assert len(infos) == 1 and infos[0].domain == "tenantry" and infos[0].reason, found
    assert errors, "no error, so no details were read"
    print(f"{len(services)} services, {called} methods called, {errors} errors with details")


main()
