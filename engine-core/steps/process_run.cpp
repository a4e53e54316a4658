#include "engine-core/steps/process_run.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/steps/artifact_sink.h"
#include "engine-core/steps/child_process.h"
#include "engine-core/steps/descriptor.h"
#include "engine-core/steps/globs.h"
#include "engine-core/steps/params.h"
#include "engine-core/steps/step_error.h"
#include "engine-core/steps/text.h"

namespace lockstep::steps {
namespace {

namespace fs = std::filesystem;
using artifacts::ArtifactRef;

constexpr size_t kMaxCollectedFiles = 128;

bool IsInsideOrSame(const fs::path& root, const fs::path& path) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }

// ---- the directory it runs in ----

struct WorkingDirectory {
  fs::path path;
  Descriptor file;
  std::optional<TemporaryDirectory> scratch;
};

Result<WorkingDirectory> OpenWorkingDirectory(const ProgramRun& run) {
  WorkingDirectory out;
  if (run.cwd) {
    out.path = *run.cwd;
  } else {
    LOCKSTEP_ASSIGN(out.scratch, TemporaryDirectory::Create("lockstep-step"));
    out.path = out.scratch->path();
  }
  out.file = Descriptor(::open(out.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (out.file.get() < 0) return Fail(TransientError(out.path.string() + ": " + std::strerror(errno)));
  return out;
}

// ---- what it may see ----

// Spec 01 section 5.6: secrets are handed over by their local name. The target (changed by UPDATE_TARGET) has names of
// its own.
Result<std::map<std::string, std::string>> Environment(const ProgramRun& run, const StepRequest& request) {
  std::map<std::string, std::string> env = run.env;
  for (const auto& [name, value] : request.secrets) {
    if (HasNul(value))
      return Fail(PermanentError("secret `" + name + "`: holds a zero byte, which no environment can carry"));
    if (!env.emplace(name, value).second) {
      return Fail(ParamError("params.env." + name, "expected a name that no secret of the step has"));
    }
  }
  for (const auto& [name, value] : request.target) {
    std::string variable = "LOCKSTEP_TARGET_";
    for (const char c : name) variable += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    env.emplace(variable, value);
  }
  return env;
}

// ---- what it leaves behind ----

Result<ArtifactRef> StoreFile(const fs::path& root, const std::string& relative, const Redactor& redactor,
                              uint64_t max_bytes, artifacts::IArtifactStore& store) {
  std::error_code error;
  const fs::path canonical = fs::canonical(root / relative, error);
  Descriptor file(error ? -1 : ::open(canonical.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info{};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Fail(PermanentError("artifact `" + relative + "`: cannot be read"));
  }
  LOCKSTEP_ASSIGN(auto writer, store.Create(max_bytes));
  StreamSearch search(redactor);
  char buffer[64 * 1024];
  while (true) {
    const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(TransientError("artifact `" + relative + "`: " + std::strerror(errno)));
    if (count == 0) return writer->Commit("file:" + relative);
    const std::string_view bytes(buffer, static_cast<size_t>(count));
    if (search.Feed(bytes)) {
      return Fail(StepError("SECRET_IN_ARTIFACT", Category::kUser, false,
                            "artifact `" + relative + "`: holds the value of a secret of this step"));
    }
    if (auto status = writer->Write(bytes); !status) {
      Error failure = std::move(status).error();
      if (failure.code == "ARTIFACT_TOO_LARGE") failure.message = "artifact `" + relative + "`: " + failure.message;
      return Fail(std::move(failure));
    }
  }
}

Json Reference(const ArtifactRef& ref) {
  return Json::MakeObject({{"uri", ref.uri}, {"sha256", ref.sha256}, {"sizeBytes", Json(ref.size_bytes.value_or(0))}});
}

// The output of one run while it is collected.
struct Written {
  ArtifactSink out;
  ArtifactSink err;
};

Result<Written> OpenSinks(const StepRequest& request, Services& services) {
  LOCKSTEP_ASSIGN(auto out, ArtifactSink::Open(*services.artifacts, request.redactor, UINT64_MAX));
  LOCKSTEP_ASSIGN(auto err, ArtifactSink::Open(*services.artifacts, request.redactor, UINT64_MAX));
  return Written{std::move(out), std::move(err)};
}

// ---- how it ended ----

// The error that an end other than an expected exit means; nothing when the step succeeded.
std::optional<Error> ErrorOf(const ProcessOutcome& outcome, const ProgramRun& run, const ProcessSettings& settings) {
  const std::string name = "program `" + run.argv.front() + "`";
  const auto contains = [](const std::vector<int64_t>& codes, int64_t code) {
    return std::find(codes.begin(), codes.end(), code) != codes.end();
  };
  switch (outcome.end) {
    case ProcessEnd::kCancelled:
      return CancelledError(name + ": stopped because the step was cancelled");
    case ProcessEnd::kTimedOut:
      return TimeoutError(name + ": stopped because the attempt's time was over");
    case ProcessEnd::kOutputLimit:
      return StepError("PROCESS_OUTPUT_TOO_LARGE", Category::kUser, false,
                       name + ": expected at most " + std::to_string(settings.max_output_bytes) +
                           " bytes on standard output and on standard error, found more");
    case ProcessEnd::kSignaled:
      return TransientError(name + ": ended by signal " + std::to_string(outcome.signal))
          .With("signal", std::to_string(outcome.signal));
    case ProcessEnd::kExited:
      break;
  }
  if (contains(run.expect_exit, outcome.exit_code)) return std::nullopt;
  std::string expected;
  for (const int64_t code : run.expect_exit) expected += (expected.empty() ? "" : ", ") + std::to_string(code);
  const std::string message =
      name + ": expected exit code " + expected + ", found " + std::to_string(outcome.exit_code);
  Error error = contains(run.permanent_exit, outcome.exit_code) ? PermanentError(message) : TransientError(message);
  return std::move(error).With("exitCode", std::to_string(outcome.exit_code));
}

ProcessSpec SpecOf(const ProgramRun& run, const WorkingDirectory& directory, const activity::ActivityContext& context,
                   const ProcessSettings& settings, Written& written) {
  ProcessSpec spec;
  spec.program = run.program;
  spec.argv = run.argv;
  spec.cwd_fd = directory.file.get();
  spec.stdin_text = run.stdin_text;
  spec.max_output_bytes = settings.max_output_bytes;
  spec.time_limit_ms = context.info().start_to_close_ms;
  spec.kill_grace_ms = settings.kill_grace_ms;
  spec.on_stdout = [&written](std::string_view bytes) { return written.out.Write(bytes); };
  spec.on_stderr = [&written](std::string_view bytes) { return written.err.Write(bytes); };
  return spec;
}

// What a finished program leaves: its output streams and the files it was to produce.
struct Streams {
  ArtifactRef out;
  ArtifactRef err;
  std::optional<std::string> out_text;  // when short and UTF-8

  std::vector<ArtifactRef> Refs() const {
    std::vector<ArtifactRef> refs{out};
    if (err.size_bytes != 0) refs.push_back(err);
    return refs;
  }
};

Result<StepOutput> Collect(const ProgramRun& run, const StepRequest& request, Services& services,
                           const fs::path& directory, const ProcessOutcome& outcome, const Streams& streams) {
  LOCKSTEP_ASSIGN(const std::vector<std::string> files, ExpandGlobs(directory, run.artifact_globs, kMaxCollectedFiles));
  std::vector<ArtifactRef> refs = streams.Refs();
  Json entries = Json::MakeArray();
  for (const std::string& file : files) {
    const uint64_t max_bytes = services.configuration.processes.max_artifact_bytes;
    LOCKSTEP_ASSIGN(ArtifactRef ref, StoreFile(directory, file, request.redactor, max_bytes, *services.artifacts));
    Json entry = Reference(ref);
    entries.Push(std::move(entry.Set("path", PrintableText(file))));
    refs.push_back(std::move(ref));
  }
  StepOutput output;
  output.result = Json::MakeObject({{"exitCode", outcome.exit_code}});
  if (run.output_is_artifact) {
    output.artifacts = std::move(refs);
    output.result->Set("stdout", Reference(streams.out))
        .Set("stderr", Reference(streams.err))
        .Set("artifacts", std::move(entries));
    if (streams.out_text) output.result->Set("stdoutText", *streams.out_text);
  } else {
    output.result->Set("log", Json::MakeObject({{"stdout", Reference(streams.out)},
                                                {"stderr", Reference(streams.err)},
                                                {"files", std::move(entries)}}));
  }
  return output;
}

}  // namespace

Result<std::string> ResolveProgram(const std::string& name, const ProcessSettings& settings) {
  if (const auto entry = settings.programs.find(name); entry != settings.programs.end()) return entry->second;
  for (const auto& [allowed, path] : settings.programs) {
    if (path == name) return path;
  }
  return Fail(StepError("PROGRAM_NOT_ALLOWED", Category::kUser, false,
                        "params.argv[0]: `" + ShortText(name) + "` is not among the programs that this worker allows"));
}

Result<fs::path> ResolveWorkingDirectory(const std::string& cwd, const ProcessSettings& settings) {
  const auto refuse = [&cwd](const std::string& why) {
    return Fail(StepError("WORKING_DIRECTORY_NOT_ALLOWED", Category::kUser, false,
                          "params.cwd: `" + ShortText(cwd) + "` " + why));
  };
  if (settings.roots.empty()) return refuse("is not allowed: this worker has no roots for working directories");
  if (HasNul(cwd)) return refuse("is no path");
  const fs::path wanted(cwd);
  std::error_code error;
  const fs::path canonical = fs::canonical(wanted.is_absolute() ? wanted : settings.roots.front() / wanted, error);
  if (error) return refuse("does not exist");
  const bool inside = std::any_of(settings.roots.begin(), settings.roots.end(), [&canonical](const fs::path& root) {
    std::error_code ignored;
    const fs::path real = fs::canonical(root, ignored);
    return !ignored && IsInsideOrSame(real, canonical);
  });
  if (!inside) return refuse("lies outside the roots that this worker allows");
  if (!fs::is_directory(canonical, error)) return refuse("is not a directory");
  return canonical;
}

Result<StepOutput> RunProgram(const ProgramRun& run, const StepRequest& request, activity::ActivityContext& context,
                              Services& services) {
  const ProcessSettings& settings = services.configuration.processes;
  LOCKSTEP_ASSIGN(const WorkingDirectory directory, OpenWorkingDirectory(run));
  LOCKSTEP_ASSIGN(Written written, OpenSinks(request, services));
  ProcessSpec spec = SpecOf(run, directory, context, settings, written);
  LOCKSTEP_ASSIGN(spec.env, Environment(run, request));
  LOCKSTEP_ASSIGN(const ProcessOutcome outcome, RunProcess(spec, context));

  Streams streams;
  LOCKSTEP_ASSIGN(streams.out, written.out.Commit("stdout"));
  LOCKSTEP_ASSIGN(streams.err, written.err.Commit("stderr"));
  streams.out_text = written.out.WholeText();
  auto error = ErrorOf(outcome, run, settings);
  if (!error) {
    auto output = Collect(run, request, services, directory.path, outcome, streams);
    if (output) return output;
    error = std::move(output).error();
  } else if (const std::string tail = written.err.Tail(); !tail.empty()) {
    error->message += "; end of standard error:\n" + tail;
  }
  AttachArtifacts(&*error, streams.Refs());
  return Fail(std::move(*error));
}

namespace {

class ProcessRun final : public StepExecutor {
 public:
  Result<StepOutput> Execute(const StepRequest& request, activity::ActivityContext& context,
                             Services& services) override {
    const ProcessSettings& settings = services.configuration.processes;
    ParamReader reader(request.params);
    ProgramRun run;
    run.argv = reader.Strings("argv");
    run.env = reader.StringMap("env");
    const std::optional<std::string> cwd = reader.OptionalString("cwd");
    run.stdin_text = reader.OptionalString("stdin").value_or("");
    run.expect_exit = reader.Integers("expectExit", {0}, 0, 255);
    run.artifact_globs = reader.Strings("artifacts");
    if (run.argv.empty() || run.argv.front().empty()) reader.Reject("argv", "expected a program and its arguments");
    CheckTexts(run, &reader);
    LOCKSTEP_TRY(reader.Finish());
    for (size_t i = 0; i < run.artifact_globs.size(); ++i) {
      LOCKSTEP_TRY(CheckGlob(run.artifact_globs[i], "params.artifacts[" + std::to_string(i) + "]"));
    }
    LOCKSTEP_ASSIGN(run.program, ResolveProgram(run.argv.front(), settings));
    if (cwd) {
      LOCKSTEP_ASSIGN(run.cwd, ResolveWorkingDirectory(*cwd, settings));
    }
    return RunProgram(run, request, context, services);
  }

 private:
  static void CheckTexts(const ProgramRun& run, ParamReader* reader) {
    for (size_t i = 0; i < run.argv.size(); ++i) {
      if (HasNul(run.argv[i])) reader->Reject("argv[" + std::to_string(i) + "]", "expected a text without zero bytes");
    }
    for (const auto& [name, value] : run.env) {
      const bool legal = !name.empty() && !IsAsciiDigit(name.front()) &&
                         std::all_of(name.begin(), name.end(), [](char c) { return IsAsciiAlnum(c) || c == '_'; });
      if (!legal) reader->Reject("env", "expected names of letters, digits and `_`, found `" + ShortText(name) + "`");
      if (HasNul(value)) reader->Reject("env." + name, "expected a text without zero bytes");
    }
  }
};

}  // namespace

std::shared_ptr<StepExecutor> ProcessRunExecutor() { return std::make_shared<ProcessRun>(); }

}  // namespace lockstep::steps
