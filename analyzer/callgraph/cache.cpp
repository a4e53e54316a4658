// One file per entry: 64 hex digits of a digest over the body, then the body. Anything that does not fit is a miss.
#include "analyzer/callgraph/cache.h"

#include <filesystem>

#include "analyzer/callgraph/binary.h"
#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"

namespace lockstep::analyzer {

namespace {
// Raised whenever the lowering changes what it puts into a summary.
constexpr std::string_view kAnalysisVersion = "lockstep-analysis-1 " LOCKSTEP_ANALYZER_BUILD;
}  // namespace

SummaryCache::SummaryCache(std::string directory, std::string models_digest) : directory_(std::move(directory)) {
  salt_ = std::string(kAnalysisVersion) + "\n" + models_digest;
  if (!directory_.empty() && !CreateDirectories(directory_)) directory_.clear();
}

std::string SummaryCache::PathOf(const CompileCommand& command) const {
  std::string key = salt_ + "\n" + command.directory + "\n" + command.file;
  for (const auto& argument : command.arguments) key += "\n" + argument;
  const std::string digest = Sha256Hex(key);
  return (std::filesystem::path(directory_) / digest.substr(0, 2) / (digest.substr(2) + ".unit")).string();
}

const std::string& SummaryCache::Stamp(const std::string& path, bool system) {
  const std::string key = (system ? "s" : "u") + path;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto it = stamps_.find(key); it != stamps_.end()) return it->second;
  }
  std::string stamp = StampOf(path, system);
  const std::lock_guard<std::mutex> lock(mutex_);
  return stamps_.emplace(key, std::move(stamp)).first->second;
}

std::optional<Unit> SummaryCache::Load(const CompileCommand& command) {
  if (directory_.empty()) return std::nullopt;
  auto bytes = ReadFile(PathOf(command));
  if (!bytes || bytes->size() < 64) return std::nullopt;
  const std::string body = bytes->substr(64);
  if (Sha256Hex(body) != bytes->substr(0, 64)) return std::nullopt;
  Unit unit;
  if (!DecodeUnit(body, &unit)) return std::nullopt;
  for (const auto& dependency : unit.dependencies) {
    if (Stamp(dependency.path, dependency.system) != dependency.stamp) return std::nullopt;
  }
  return unit;
}

std::string SummaryCache::RunPathOf(const std::string& key) const {
  return (std::filesystem::path(directory_) / "runs" / (Sha256Hex(salt_ + "\n" + key) + ".run")).string();
}

std::optional<std::string> SummaryCache::LoadRun(const std::string& key) {
  if (directory_.empty()) return std::nullopt;
  auto bytes = ReadFile(RunPathOf(key));
  if (!bytes || bytes->size() < 64) return std::nullopt;
  const std::string body = bytes->substr(64);
  if (Sha256Hex(body) != bytes->substr(0, 64)) return std::nullopt;
  binary::Reader reader(body);
  std::vector<Dependency> dependencies;
  std::string result;
  binary::All(reader, dependencies, result);
  if (!reader.Finished()) return std::nullopt;
  for (const auto& dependency : dependencies) {
    if (Stamp(dependency.path, dependency.system) != dependency.stamp) return std::nullopt;
  }
  return result;
}

void SummaryCache::StoreRun(const std::string& key, const std::vector<Dependency>& dependencies, const std::string& bytes) {
  if (directory_.empty()) return;
  const std::string path = RunPathOf(key);
  if (!CreateDirectories(std::filesystem::path(path).parent_path())) return;
  binary::Writer writer;
  binary::All(writer, const_cast<std::vector<Dependency>&>(dependencies), const_cast<std::string&>(bytes));  // The writer only reads.
  const std::string body = writer.Take();
  (void)WriteFileAtomically(path, Sha256Hex(body) + body);
}

void SummaryCache::Store(const CompileCommand& command, const Unit& unit) {
  if (directory_.empty()) return;
  const std::string path = PathOf(command);
  if (!CreateDirectories(std::filesystem::path(path).parent_path())) return;
  const std::string body = EncodeUnit(unit);
  (void)WriteFileAtomically(path, Sha256Hex(body) + body);
}

}  // namespace lockstep::analyzer
