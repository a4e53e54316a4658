"""Generates C++ for the Temporal API messages from the descriptors that ship inside the Python package temporalio.

Keeps only the messages reachable from the RPCs in RPCS, plus the history events, because all of the generated code costs
minutes to compile. Two packages carry a C++ keyword in their name and are renamed; the wire format does not know names.
Prints the generated file stems, one a line, for CMake. Writes a file only when its content changes, so that an unchanged
API never rebuilds anything.
"""

import argparse
import filecmp
import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool

SERVICE = "temporal.api.workflowservice.v1.WorkflowService"
RPCS = [
    "CountWorkflowExecutions",
    "DescribeNamespace",
    "DescribeTaskQueue",
    "DescribeWorkflowExecution",
    "GetSystemInfo",
    "GetWorkflowExecutionHistory",
    "ListWorkflowExecutions",
    "PollActivityTaskQueue",
    "PollWorkflowExecutionUpdate",
    "PollWorkflowTaskQueue",
    "QueryWorkflow",
    "RecordActivityTaskHeartbeat",
    "RegisterNamespace",
    "RequestCancelWorkflowExecution",
    "ResetStickyTaskQueue",
    "ResetWorkflowExecution",
    "RespondActivityTaskCanceled",
    "RespondActivityTaskCompleted",
    "RespondActivityTaskFailed",
    "RespondQueryTaskCompleted",
    "RespondWorkflowTaskCompleted",
    "RespondWorkflowTaskFailed",
    "ShutdownWorker",
    "SignalWithStartWorkflowExecution",
    "SignalWorkflowExecution",
    "StartWorkflowExecution",
    "TerminateWorkflowExecution",
    "UpdateWorkflowExecution",
]
ROOT_MESSAGES = [
    "temporal.api.history.v1.History",
    "temporal.api.command.v1.Command",
    "temporal.api.update.v1.Request",
    "temporal.api.update.v1.Response",
    "temporal.api.update.v1.Acceptance",
    "temporal.api.update.v1.Rejection",
    "temporal.api.errordetails.v1.NotFoundFailure",
    "temporal.api.errordetails.v1.WorkflowExecutionAlreadyStartedFailure",
]
RENAMED = {"temporal.api.namespace.v1": "temporal.api.namespace_.v1", "temporal.api.export.v1": "temporal.api.export_.v1"}
# Well-known types come with protobuf itself.
PROVIDED = ("google/protobuf/",)


def load_files():
    """All descriptor protos the Temporal API needs, by file name."""
    import temporalio.api

    for module in pkgutil.walk_packages(temporalio.api.__path__, "temporalio.api."):
        if ".cloud" in module.name or not module.name.endswith("_pb2"):
            continue
        importlib.import_module(module.name)
    pool = descriptor_pool.Default()
    files = {}

    def add(descriptor):
        if descriptor.name in files:
            return
        proto = descriptor_pb2.FileDescriptorProto()
        descriptor.CopyToProto(proto)
        files[descriptor.name] = proto
        for dependency in descriptor.dependencies:
            add(dependency)

    add(pool.FindFileContainingSymbol(SERVICE))
    for message in ROOT_MESSAGES:
        add(pool.FindFileContainingSymbol(message))
    return files


def index_types(files):
    """Top-level message and enum name -> (file, proto, kind)."""
    types = {}
    for file in files.values():
        for message in file.message_type:
            types[f"{file.package}.{message.name}"] = (file, message, "message")
        for enum in file.enum_type:
            types[f"{file.package}.{enum.name}"] = (file, enum, "enum")
    return types


def top_level(types, reference):
    """The top-level type that holds `reference` (a nested type counts as its outermost one)."""
    name = reference.lstrip(".")
    while name and name not in types:
        name = name.rpartition(".")[0]
    return name


def references(message):
    for field in message.field:
        if field.type_name:
            yield field.type_name
    for nested in message.nested_type:
        yield from references(nested)


def reachable(types, roots):
    seen, queue = set(), list(roots)
    while queue:
        name = top_level(types, queue.pop())
        if not name or name in seen:
            continue
        seen.add(name)
        _, proto, kind = types[name]
        if kind == "message":
            queue.extend(references(proto))
    return seen


def prune(files):
    types = index_types(files)
    service_file = next(f for f in files.values() if any(f"{f.package}.{s.name}" == SERVICE for s in f.service))
    service = next(s for s in service_file.service if f"{service_file.package}.{s.name}" == SERVICE)
    methods = [m for m in service.method if m.name in RPCS]
    missing = set(RPCS) - {m.name for m in methods}
    if missing:
        sys.exit(f"generate_temporal_api: the API has no RPC named {sorted(missing)}")
    roots = list(ROOT_MESSAGES)
    for method in methods:
        roots += [method.input_type, method.output_type]
    keep = reachable(types, roots)
    result = {}
    for name, file in files.items():
        if name.startswith(PROVIDED):
            continue
        out = descriptor_pb2.FileDescriptorProto()
        out.CopyFrom(file)
        del out.message_type[:], out.enum_type[:], out.service[:], out.extension[:]
        out.message_type.extend(m for m in file.message_type if f"{file.package}.{m.name}" in keep)
        out.enum_type.extend(e for e in file.enum_type if f"{file.package}.{e.name}" in keep)
        if file is service_file:
            kept = out.service.add()
            kept.name = service.name
            for method in methods:
                kept.method.add().CopyFrom(method)
                kept.method[-1].ClearField("options")
        if out.message_type or out.enum_type or out.service:
            result[name] = out
    set_dependencies(result, files)
    return result


def clear_options(file):
    """HTTP annotations and documentation extensions are of no use here and would pull in their own files."""

    def visit(message):
        for field in message.field:
            deprecated, packed = field.options.deprecated, field.options.packed if field.options.HasField("packed") else None
            field.ClearField("options")
            if deprecated:
                field.options.deprecated = False
            if packed is not None:
                field.options.packed = packed
        map_entry = message.options.map_entry
        message.ClearField("options")
        if map_entry:
            message.options.map_entry = True
        for nested in message.nested_type:
            visit(nested)
        for enum in message.enum_type:
            visit_enum(enum)

    def visit_enum(enum):
        alias = enum.options.allow_alias
        enum.ClearField("options")
        if alias:
            enum.options.allow_alias = True
        for value in enum.value:
            value.ClearField("options")

    for message in file.message_type:
        visit(message)
    for enum in file.enum_type:
        visit_enum(enum)
    for service in file.service:
        service.ClearField("options")
    file.ClearField("options")
    file.options.cc_enable_arenas = True
    file.ClearField("source_code_info")


def set_dependencies(result, files):
    """Each file imports exactly the files that define what it still names."""
    home = {name: file.name for name, (file, _, _) in index_types(files).items()}
    for file in result.values():
        clear_options(file)
        used = set()
        for message in file.message_type:
            used.update(references(message))
        for service in file.service:
            for method in service.method:
                used.update([method.input_type, method.output_type])
        wanted = set()
        for reference in used:
            name = reference.lstrip(".")
            while name and name not in home:
                name = name.rpartition(".")[0]
            if home[name] != file.name:
                wanted.add(home[name])
        del file.dependency[:], file.public_dependency[:], file.weak_dependency[:]
        file.dependency.extend(sorted(wanted))


def rename_packages(result):
    def renamed(reference):
        for old, new in RENAMED.items():
            if reference.startswith(f".{old}."):
                return f".{new}." + reference[len(old) + 2:]
        return reference

    def visit(message):
        for field in message.field:
            if field.type_name:
                field.type_name = renamed(field.type_name)
        for nested in message.nested_type:
            visit(nested)

    for file in result.values():
        file.package = RENAMED.get(file.package, file.package)
        for message in file.message_type:
            visit(message)
        for service in file.service:
            for method in service.method:
                method.input_type = renamed(method.input_type)
                method.output_type = renamed(method.output_type)


def write_if_changed(source, target):
    if os.path.exists(target) and filecmp.cmp(source, target, shallow=False):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="folder for the generated files")
    parser.add_argument("--protoc", default="protoc")
    parser.add_argument("--grpc-plugin", default="grpc_cpp_plugin")
    args = parser.parse_args()

    result = prune(load_files())
    rename_packages(result)
    pool = descriptor_pb2.FileDescriptorSet()
    well_known = ["any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"]
    for name in well_known:
        module = importlib.import_module(f"google.protobuf.{name}_pb2")
        module.DESCRIPTOR.CopyToProto(pool.file.add())
    pool.file.extend(result.values())
    with tempfile.TemporaryDirectory() as scratch:
        descriptor_set = os.path.join(scratch, "temporal_api.binpb")
        with open(descriptor_set, "wb") as stream:
            stream.write(pool.SerializeToString(deterministic=True))
        generated = os.path.join(scratch, "gen")
        os.mkdir(generated)
        names = sorted(result)
        subprocess.run([args.protoc, f"--descriptor_set_in={descriptor_set}", f"--cpp_out={generated}", *names], check=True)
        services = [n for n in names if result[n].service]
        subprocess.run([args.protoc, f"--descriptor_set_in={descriptor_set}", f"--grpc_out={generated}",
                        f"--plugin=protoc-gen-grpc={args.grpc_plugin}", *services], check=True)
        for folder, _, files in os.walk(generated):
            for file in files:
                source = os.path.join(folder, file)
                write_if_changed(source, os.path.join(args.out, os.path.relpath(source, generated)))
        write_if_changed(descriptor_set, os.path.join(args.out, "temporal_api.binpb"))
    for name in names:
        print(name.removesuffix(".proto"))


main()
