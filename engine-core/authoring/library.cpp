#include "engine-core/authoring/library.h"

#include <dlfcn.h>

#include <filesystem>

#include "engine-core/activity/activity.h"
#include "engine-core/authoring/workflow_class.h"

namespace lockstep::workflow {
namespace {

constexpr const char* kEntry = "lockstep_workflow_library";

Status CheckInfo(const std::string& path, const LibraryInfo& info) {
  const auto differs = [&](std::string_view what, const std::string& expected, const std::string& found) {
    return Fail("WORKFLOWS_INCOMPATIBLE", path + ": built against another Lockstep: expected " + std::string(what) + " " + expected +
                                              ", found " + found + "; build it again with this version");
  };
  if (info.abi != kWorkflowAbi) return differs("interface", std::to_string(kWorkflowAbi), std::to_string(info.abi));
  if (info.protobuf / 1000 != GOOGLE_PROTOBUF_VERSION / 1000) {
    return differs("protobuf", std::to_string(GOOGLE_PROTOBUF_VERSION), std::to_string(info.protobuf));
  }
  if (info.layout != LayoutFingerprint()) {
    return differs("layout of types", std::to_string(LayoutFingerprint()), std::to_string(info.layout) + " (" + info.compiler + ")");
  }
  if (info.part_count == 0) {
    return Fail("WORKFLOWS_EMPTY", path + ": expected workflows or activities registered with LOCKSTEP_REGISTER_WORKFLOW or "
                                          "LOCKSTEP_REGISTER_ACTIVITY, found none");
  }
  return {};
}

// Two libraries with one type would make it a matter of their order whose code runs.
Status Merge(const std::string& path, const WorkflowRegistry& found, const activity::ActivityRegistry& found_activities,
             WorkflowRegistry* workflows, activity::ActivityRegistry* activities) {
  const auto clash = [&](std::string_view what, const std::string& type) {
    return Fail("WORKFLOWS_CLASH", path + ": " + std::string(what) + " " + type + " is registered already");
  };
  for (const std::string& type : found.Types()) {
    if (workflows->Find(type) != nullptr) return clash("workflow", type);
    workflows->Register(type, found.Find(type)->function, found.Find(type)->conventions);
  }
  if (activities == nullptr) return {};
  for (const std::string& type : found_activities.Types()) {
    if (activities->Find(type) != nullptr) return clash("activity", type);
    activities->Register(type, *found_activities.Find(type));
  }
  return {};
}

}  // namespace

Status LoadWorkflowLibrary(const std::string& path, WorkflowRegistry* workflows, activity::ActivityRegistry* activities) {
  std::error_code missing;
  if (!std::filesystem::is_regular_file(path, missing)) return Fail("WORKFLOWS_NOT_FOUND", path + ": expected a library, found no such file");
  // A name without a slash would be looked for in the system's folders.
  const std::string file = std::filesystem::absolute(path, missing).string();
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = ::dlerror();
    return Fail("WORKFLOWS_UNLOADABLE", path + ": " + (why != nullptr ? why : "cannot be loaded") +
                                            " (a missing symbol means that it was built against another Lockstep)");
  }
  const auto entry = reinterpret_cast<const LibraryInfo* (*)()>(::dlsym(library, kEntry));
  if (entry == nullptr) {
    return Fail("WORKFLOWS_UNLOADABLE", path + ": expected a library with workflows, found no entry point " + std::string(kEntry));
  }
  const LibraryInfo& info = *entry();
  LOCKSTEP_TRY(CheckInfo(path, info));
  WorkflowRegistry found;
  activity::ActivityRegistry found_activities;
  for (uint64_t i = 0; i < info.part_count; ++i) info.parts[i](&found, &found_activities);
  return Merge(path, found, found_activities, workflows, activities);
}

namespace internal {

WorkflowResult EndWith(Outcome<Payloads> outcome, Location where) {
  if (outcome.ok()) return completed(std::move(*outcome), where);
  if (outcome.error().code == "CANCELLED" && scope_cancelled()) return cancelled({}, where);
  return failed(outcome.failed(), where);
}

void WarnUnreadableSignal(std::string_view name, const Error& error) {
  log_warning("signal " + std::string(name) + " dropped: " + error.message);
}

}  // namespace internal
}  // namespace lockstep::workflow
