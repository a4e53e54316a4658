#include "engine-core/steps/worker_configuration.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <functional>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/steps/http_origin.h"
#include "engine-core/steps/text.h"

namespace lockstep::steps {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigurationBytes = 1 << 20;
constexpr int64_t kMaxMilliseconds = 24ll * 3600 * 1000;
constexpr int64_t kMaxBytes = int64_t{1} << 40;
// Where a program that is named without a path is looked for. Fixed: PATH must not decide what a plan may run.
constexpr const char* kProgramFolders[] = {"/usr/local/bin", "/usr/bin", "/bin"};

// Walks the document; remembers the first finding and the members that were asked for.
class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  std::optional<Error> error;

  void Mismatch(const YAML::Node& node, const std::string& place, const std::string& expected) {
    if (error) return;
    // Composed values keep their mark; an absent one stands at the beginning.
    const YAML::Mark mark = node.IsDefined() ? node.Mark() : YAML::Mark::null_mark();
    const std::string line = mark.is_null() ? "1" : std::to_string(mark.line + 1);
    error = Error("WORKER_CONFIG_INVALID",
                  name_ + ":" + line + ": " + place + ": expected " + expected + ", found " + Describe(node));
  }

  // Calls `row` with each member; a member that it does not know is a finding.
  void Members(const YAML::Node& node, const std::string& place,
               const std::function<bool(const std::string&, const YAML::Node&, const std::string&)>& row) {
    if (error || !node.IsDefined() || node.IsNull()) return;
    if (!node.IsMap()) return Mismatch(node, place.empty() ? "the document" : place, "a mapping");
    std::set<std::string> seen;
    for (const auto& pair : node) {
      if (!pair.first.IsScalar()) return Mismatch(pair.first, place, "a name");
      const std::string& key = pair.first.Scalar();
      const std::string below = place.empty() ? key : place + "." + key;
      if (!seen.insert(key).second) return Mismatch(pair.first, below, "the name once");
      if (!row(key, pair.second, below)) return Mismatch(pair.first, below, "a known setting");
    }
  }

  std::string Text(const YAML::Node& node, const std::string& place) {
    if (node.IsScalar() && !node.Scalar().empty() && node.Scalar().find('\0') == std::string::npos)
      return node.Scalar();
    Mismatch(node, place, "a text");
    return {};
  }

  bool Bool(const YAML::Node& node, const std::string& place) {
    if (node.IsScalar() && node.Tag() != "!" && (node.Scalar() == "true" || node.Scalar() == "false")) {
      return node.Scalar() == "true";
    }
    Mismatch(node, place, "true or false");
    return false;
  }

  int64_t Integer(const YAML::Node& node, const std::string& place, int64_t min, int64_t max) {
    const auto value = node.IsScalar() ? ParseInt64(node.Scalar()) : std::nullopt;
    if (value && *value >= min && *value <= max) return *value;
    Mismatch(node, place, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
    return min;
  }

  fs::path AbsolutePath(const YAML::Node& node, const std::string& place) {
    const fs::path path = Text(node, place);
    if (!path.is_absolute()) Mismatch(node, place, "an absolute path");
    return path.lexically_normal();
  }

  template <typename Row>
  void Elements(const YAML::Node& node, const std::string& place, const Row& row) {
    if (error || node.IsNull()) return;
    if (!node.IsSequence()) return Mismatch(node, place, "a list");
    for (size_t i = 0; i < node.size(); ++i) row(node[i], place + "[" + std::to_string(i) + "]");
  }

 private:
  static std::string Describe(const YAML::Node& node) {
    if (!node.IsDefined() || node.IsNull()) return "nothing";
    if (node.IsMap()) return "a mapping";
    if (node.IsSequence()) return "a list";
    return "`" + ShortText(node.Scalar()) + "`";
  }

  std::string name_;
};

// ---- sections ----

void AddProgram(Reader* in, const YAML::Node& node, const std::string& place, ProcessSettings* out) {
  const std::string text = in->Text(node, place);
  if (text.empty()) return;
  if (text.find('/') != std::string::npos) {
    const fs::path path = in->AbsolutePath(node, place);
    const std::string name = path.filename();
    // Two programs of one name: only their paths may be written in a plan.
    if (!out->programs.emplace(name, path.string()).second) out->programs.emplace(path.string(), path.string());
    return;
  }
  for (const char* folder : kProgramFolders) {
    std::error_code error;
    const fs::path path = fs::path(folder) / text;
    if (!fs::is_regular_file(path, error)) continue;
    out->programs.emplace(text, path.string());
    return;
  }
  in->Mismatch(node, place, "a program in /usr/local/bin, /usr/bin or /bin, or an absolute path");
}

void ReadPrograms(Reader* in, const YAML::Node& node, const std::string& place, ProcessSettings* out) {
  if (node.IsSequence()) {
    in->Elements(node, place,
                 [&](const YAML::Node& element, const std::string& at) { AddProgram(in, element, at, out); });
    return;
  }
  in->Members(node, place, [&](const std::string& key, const YAML::Node& value, const std::string& at) {
    if (key.find('/') != std::string::npos) in->Mismatch(value, at, "a name without `/`");
    out->programs[key] = in->AbsolutePath(value, at).string();
    return true;
  });
}

void ReadProcesses(Reader* in, const YAML::Node& node, const std::string& place, ProcessSettings* out) {
  in->Members(node, place, [&](const std::string& key, const YAML::Node& value, const std::string& at) {
    if (key == "programs") {
      ReadPrograms(in, value, at, out);
    } else if (key == "roots") {
      in->Elements(value, at, [&](const YAML::Node& element, const std::string& below) {
        out->roots.push_back(in->AbsolutePath(element, below));
      });
    } else if (key == "maxOutputBytes") {
      out->max_output_bytes = static_cast<uint64_t>(in->Integer(value, at, 1024, kMaxBytes));
    } else if (key == "maxArtifactBytes") {
      out->max_artifact_bytes = static_cast<uint64_t>(in->Integer(value, at, 1024, kMaxBytes));
    } else {
      return false;
    }
    return true;
  });
}

void ReadDbt(Reader* in, const YAML::Node& node, const std::string& place, DbtSettings* out) {
  in->Members(node, place, [&](const std::string& key, const YAML::Node& value, const std::string& at) {
    if (key == "program") {
      out->program = in->AbsolutePath(value, at).string();
    } else if (key == "projectDir") {
      out->project_dir = in->AbsolutePath(value, at);
    } else if (key == "profilesDir") {
      out->profiles_dir = in->AbsolutePath(value, at);
    } else if (key == "env") {
      in->Members(value, at, [&](const std::string& name, const YAML::Node& text, const std::string& below) {
        out->env[name] = in->Text(text, below);
        return true;
      });
    } else {
      return false;
    }
    return true;
  });
  if (node.IsMap() && out->program.empty())
    in->Mismatch(YAML::Node(YAML::NodeType::Undefined), place + ".program", "an absolute path");
  if (node.IsMap() && out->project_dir.empty())
    in->Mismatch(YAML::Node(YAML::NodeType::Undefined), place + ".projectDir", "an absolute path");
}

SqlConnection ReadConnection(Reader* in, const YAML::Node& node, const std::string& place) {
  SqlConnection out;
  in->Members(node, place, [&](const std::string& key, const YAML::Node& value, const std::string& at) {
    if (key == "driver") {
      if (in->Text(value, at) != "sqlite") in->Mismatch(value, at, "`sqlite`");
    } else if (key == "path") {
      out.path = in->AbsolutePath(value, at).string();
    } else if (key == "mode") {
      const std::string mode = in->Text(value, at);
      if (mode == "ro")
        out.mode = SqlConnection::Mode::kReadOnly;
      else if (mode == "rw")
        out.mode = SqlConnection::Mode::kReadWrite;
      else if (mode == "rwc")
        out.mode = SqlConnection::Mode::kCreate;
      else
        in->Mismatch(value, at, "`ro`, `rw` or `rwc`");
    } else {
      return false;
    }
    return true;
  });
  if (out.path.empty()) in->Mismatch(node, place + ".path", "an absolute path");
  return out;
}

void ReadSql(Reader* in, const YAML::Node& node, const std::string& place, SqlSettings* out) {
  in->Members(node, place, [&](const std::string& key, const YAML::Node& value, const std::string& at) {
    if (key == "connections") {
      in->Members(value, at, [&](const std::string& name, const YAML::Node& connection, const std::string& below) {
        out->connections[name] = ReadConnection(in, connection, below);
        return true;
      });
    } else if (key == "busyTimeoutMs") {
      out->busy_timeout_ms = in->Integer(value, at, 0, kMaxMilliseconds);
    } else if (key == "maxResultBytes") {
      out->max_result_bytes = static_cast<uint64_t>(in->Integer(value, at, 1024, kMaxBytes));
    } else {
      return false;
    }
    return true;
  });
}

void ReadHttp(Reader* in, const YAML::Node& node, const std::string& place, HttpSettings* out) {
  in->Members(node, place, [&](const std::string& key, const YAML::Node& value, const std::string& at) {
    if (key == "allowedHosts") {
      in->Elements(value, at, [&](const YAML::Node& element, const std::string& below) {
        const auto origin = ParseAllowedOrigin(in->Text(element, below));
        if (!origin)
          return in->Mismatch(element, below, "`host`, `host:port` or `scheme://host:port` with http or https");
        out->allowed.push_back(*origin);
      });
    } else if (key == "allowLoopback") {
      out->allow_loopback = in->Bool(value, at);
    } else if (key == "allowPrivateNetworks") {
      out->allow_private_networks = in->Bool(value, at);
    } else if (key == "connectTimeoutMs") {
      out->connect_timeout_ms = in->Integer(value, at, 1, kMaxMilliseconds);
    } else if (key == "requestTimeoutMs") {
      out->request_timeout_ms = in->Integer(value, at, 1, kMaxMilliseconds);
    } else if (key == "maxResponseBytes") {
      out->max_response_bytes = static_cast<uint64_t>(in->Integer(value, at, 1, kMaxBytes));
    } else if (key == "caFile") {
      out->ca_file = in->AbsolutePath(value, at).string();
    } else {
      return false;
    }
    return true;
  });
}

void ReadDocument(Reader* in, const YAML::Node& document, WorkerConfiguration* out) {
  in->Members(document, "", [&](const std::string& key, const YAML::Node& value, const std::string& at) {
    if (key == "processes") {
      ReadProcesses(in, value, at, &out->processes);
    } else if (key == "dbt") {
      ReadDbt(in, value, at, &out->dbt);
    } else if (key == "sql") {
      ReadSql(in, value, at, &out->sql);
    } else if (key == "http") {
      ReadHttp(in, value, at, &out->http);
    } else if (key == "secretsDirectory") {
      out->secrets_directory = in->AbsolutePath(value, at);
    } else if (key == "testKinds") {
      out->test_kinds = in->Bool(value, at);
    } else {
      return false;
    }
    return true;
  });
}

}  // namespace

Result<WorkerConfiguration> ParseWorkerConfiguration(std::string_view text, std::string_view name) {
  // The only exceptions of this room; none leaves it.
  try {
    Reader reader(name);
    WorkerConfiguration out;
    const YAML::Node document = YAML::Load(std::string(text));
    ReadDocument(&reader, document, &out);
    if (reader.error) return Fail(*reader.error);
    return out;
  } catch (const YAML::Exception& failure) {
    const std::string line = failure.mark.is_null() ? "1" : std::to_string(failure.mark.line + 1);
    return Fail("WORKER_CONFIG_INVALID",
                std::string(name) + ":" + line + ": expected YAML, found " + ShortText(failure.msg));
  }
}

Result<WorkerConfiguration> LoadWorkerConfiguration(const fs::path& path) {
  auto text = ReadFile(path, kMaxConfigurationBytes);
  if (!text) return Fail("WORKER_CONFIG_INVALID", text.error().message);
  return ParseWorkerConfiguration(*text, path.string());
}

}  // namespace lockstep::steps
