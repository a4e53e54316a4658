// Reads .lockstep.yaml files and answers what applies where.
#include "analyzer/lint/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>

#include "analyzer/models/model_set.h"
#include "engine-core/base/files.h"
#include "engine-core/base/json.h"

namespace lockstep::analyzer {
namespace fs = std::filesystem;
namespace {

std::unexpected<Error> Invalid(const std::string& file, const YAML::Mark& mark, const std::string& message) {
  return Fail("CONFIG_INVALID", file + ":" + std::to_string(mark.line + 1) + ": " + message);
}

std::vector<std::string> Strings(const YAML::Node& node) {
  std::vector<std::string> values;
  if (node.IsScalar()) values.push_back(node.as<std::string>());
  for (const auto& value : node) values.push_back(value.as<std::string>());
  return values;
}

constexpr std::string_view kLevels[] = {"off", "note", "warning", "error", "default"};

}  // namespace

Result<std::map<std::string, GateBounds>> ReadChangeRegistry(const std::string& file) {
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(file));
  std::map<std::string, GateBounds> registry;
  try {
    const YAML::Node root = YAML::Load(text);
    for (const auto& entry : root) {
      registry[entry.first.as<std::string>()] = {entry.second["min"].as<int64_t>(), entry.second["max"].as<int64_t>()};
    }
  } catch (const YAML::Exception& error) {
    return Invalid(file, error.mark, "expected `id: {min: N, max: N}`, found " + error.msg);
  }
  return registry;
}

Result<std::map<std::string, Skeleton>> ReadCommandBaseline(const std::string& file) {
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(file));
  auto json = ParseJson(text);
  if (!json) return Fail("CONFIG_INVALID", file + ": " + json.error().message);
  const Json* roots = json->Find("roots");
  if (roots == nullptr || !roots->is_object()) return Fail("CONFIG_INVALID", file + ": expected an object member `roots`");
  std::map<std::string, Skeleton> skeletons;
  for (const auto& [name, entry] : roots->AsObject()) {
    Skeleton skeleton;
    for (const auto& [key, target] : {std::make_pair("commands", &skeleton.commands), std::make_pair("changes", &skeleton.changes)}) {
      const Json* list = entry.Find(key);
      if (list == nullptr || !list->is_array()) return Fail("CONFIG_INVALID", file + ": /roots/" + name + ": expected an array `" + key + "`");
      for (const Json& value : list->AsArray()) {
        if (value.is_string()) target->push_back(value.AsString());
      }
    }
    skeletons.emplace(name, std::move(skeleton));
  }
  return skeletons;
}

std::string WriteCommandBaseline(const std::map<std::string, Skeleton>& skeletons) {
  Json roots = Json::MakeObject();
  for (const auto& [name, skeleton] : skeletons) {
    Json commands = Json::MakeArray();
    Json changes = Json::MakeArray();
    for (const auto& command : skeleton.commands) commands.Push(command);
    for (const auto& change : skeleton.changes) changes.Push(change);
    roots.Set(name, Json::MakeObject({{"commands", std::move(commands)}, {"changes", std::move(changes)}}));
  }
  return PrettyJson(Json::MakeObject({{"format", 1}, {"roots", std::move(roots)}}));
}

Result<DirectoryConfig> ReadConfig(const std::string& file) {
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(file));
  DirectoryConfig config;
  config.file = file;
  config.directory = fs::path(file).parent_path().string();
  const auto absolute = [&](const std::string& name) { return (fs::path(config.directory) / name).lexically_normal().string(); };
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return config;
    if (!root.IsMap()) return Invalid(file, root.Mark(), "expected a map");
    for (const auto& entry : root) {
      const auto key = entry.first.as<std::string>();
      const YAML::Node& value = entry.second;
      if (key == "rules") {
        for (const auto& rule : value) {
          const auto level = rule.second.as<std::string>();
          if (std::find(std::begin(kLevels), std::end(kLevels), level) == std::end(kLevels)) {
            return Invalid(file, rule.second.Mark(), "expected off, note, warning, error or default, found " + level);
          }
          config.rules.emplace_back(rule.first.as<std::string>(), level);
        }
      } else if (key == "roots") {
        config.roots = Strings(value);
      } else if (key == "deterministic") {
        config.deterministic = Strings(value);
      } else if (key == "models") {
        for (const auto& name : Strings(value)) config.models.push_back(absolute(name));
      } else if (key == "exclude") {
        config.exclude = Strings(value);
      } else if (key == "ignore") {
        config.ignore = Strings(value);
      } else if (key == "scope") {
        const auto scope = value.as<std::string>();
        if (scope != "off" && scope != "on") return Invalid(file, value.Mark(), "expected scope on or off, found " + scope);
        config.off = scope == "off";
      } else if (key == "change_registry") {
        LOCKSTEP_ASSIGN(config.change_registry, ReadChangeRegistry(absolute(value.as<std::string>())));
      } else if (key == "command_baseline") {
        config.command_baseline = absolute(value.as<std::string>());
      } else if (key == "max_suppression_days") {
        config.max_suppression_days = value.as<int>();
      } else if (key != "plans") {
        return Invalid(file, entry.first.Mark(), "unknown key " + key);
      }
    }
  } catch (const YAML::Exception& error) {
    return Invalid(file, error.mark, error.msg);
  }
  return config;
}

Result<const DirectoryConfig*> ConfigTree::In(const std::string& directory) {
  if (const auto it = known_.find(directory); it != known_.end()) return it->second.get();
  const fs::path file = fs::path(directory) / ".lockstep.yaml";
  std::error_code ignored;
  std::unique_ptr<DirectoryConfig> config;
  if (fs::is_regular_file(file, ignored)) {
    LOCKSTEP_ASSIGN(DirectoryConfig read, ReadConfig(file.string()));
    config = std::make_unique<DirectoryConfig>(std::move(read));
  }
  return known_.emplace(directory, std::move(config)).first->second.get();
}

Result<std::vector<const DirectoryConfig*>> ConfigTree::For(const std::string& source_file) {
  std::vector<const DirectoryConfig*> configs;
  for (fs::path directory = fs::path(source_file).parent_path();; directory = directory.parent_path()) {
    LOCKSTEP_ASSIGN(const DirectoryConfig* config, In(directory.string()));
    if (config != nullptr) configs.push_back(config);
    if (directory == directory.parent_path()) break;
  }
  std::reverse(configs.begin(), configs.end());
  if (!extra_.empty()) {
    auto it = known_.find("--config");
    if (it == known_.end()) {
      LOCKSTEP_ASSIGN(DirectoryConfig read, ReadConfig(fs::absolute(extra_).lexically_normal().string()));
      it = known_.emplace("--config", std::make_unique<DirectoryConfig>(std::move(read))).first;
    }
    configs.push_back(it->second.get());
  }
  return configs;
}

std::vector<const DirectoryConfig*> ConfigTree::All() const {
  std::vector<const DirectoryConfig*> all;
  for (const auto& [directory, config] : known_) {
    if (config != nullptr) all.push_back(config.get());
  }
  return all;
}

bool Ignored(const std::vector<const DirectoryConfig*>& configs, const std::string& file) {
  return std::any_of(configs.begin(), configs.end(), [&](const DirectoryConfig* config) {
    const std::string relative = fs::path(file).lexically_relative(config->directory).string();
    return std::any_of(config->ignore.begin(), config->ignore.end(), [&](const auto& pattern) { return MatchesPattern(pattern, relative); });
  });
}

std::optional<Severity> LevelFor(const std::vector<const DirectoryConfig*>& configs, const std::string& rule, const std::string& file,
                                 Severity severity) {
  std::optional<Severity> level = severity;
  for (const DirectoryConfig* config : configs) {
    if (config->off && rule != "determinism-suppression") return std::nullopt;
    const std::string relative = fs::path(file).lexically_relative(config->directory).string();
    for (const auto& pattern : config->exclude) {
      if (MatchesPattern(pattern, relative) || relative.rfind(pattern + "/", 0) == 0) return std::nullopt;
    }
    for (const auto& [pattern, value] : config->rules) {
      if (!MatchesPattern(pattern, rule)) continue;
      if (value == "off") level = std::nullopt;
      else if (value == "default") level = severity;
      else level = value == "error" ? Severity::kError : value == "warning" ? Severity::kWarning : Severity::kNote;
    }
  }
  return level;
}

}  // namespace lockstep::analyzer
