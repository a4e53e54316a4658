// The binary form of an analysis, and its key.
#include "analyzer/lint/analysis.h"

#include "analyzer/callgraph/binary.h"
#include "engine-core/base/sha256.h"

namespace lockstep::analyzer {

namespace {

constexpr uint32_t kFormat = 0x4c414e02;

}  // namespace

// The parts of a finding that are plain; its rule travels as an id.
struct StoredFinding {
  Finding finding;
  std::string rule;
};

template <class A> void Fields(A& a, Location& v) { binary::All(a, v.file, v.line, v.column); }
template <class A> void Fields(A& a, ChainStep& v) { binary::All(a, v.function, v.at); }
template <class A> void Fields(A& a, TextEdit& v) { binary::All(a, v.file, v.offset, v.length, v.text); }
template <class A> void Fields(A& a, TrustedMark& v) { binary::All(a, v.function, v.reason, v.at); }
template <class A> void Fields(A& a, Skeleton& v) { binary::All(a, v.commands, v.changes); }
template <class A> void Fields(A& a, StoredFinding& v) {
  Finding& f = v.finding;
  binary::All(a, v.rule, f.severity, f.verdict, f.at, f.what, f.function, f.root, f.scope, f.chain, f.sink, f.edits);
}

namespace {

struct Stored {
  std::vector<StoredFinding> findings;
  std::vector<TrustedMark> trusted;
  std::vector<std::string> roots;
  std::vector<std::pair<std::string, Skeleton>> skeletons;
  std::vector<std::string> reachable_files;
  uint64_t files = 0;
  uint64_t compiled = 0;
  std::vector<std::pair<std::string, std::string>> broken;
  std::vector<std::string> notes;
  std::vector<std::string> sources;
  std::vector<std::pair<std::string, std::vector<std::string>>> includes;
};

template <class A>
void StoredFields(A& a, Stored& v) {
  binary::All(a, v.findings, v.trusted, v.roots, v.skeletons, v.reachable_files, v.files, v.compiled, v.broken, v.notes, v.sources, v.includes);
}

}  // namespace

std::string AnalysisKey(const std::vector<CompileCommand>& commands, const LinkOptions& options) {
  Sha256Stream digest;
  const auto add = [&](const std::string& text) {
    digest.Update(std::to_string(text.size()) + ":");
    digest.Update(text);
  };
  for (const auto& command : commands) {
    add(command.directory);
    add(command.file);
    for (const auto& argument : command.arguments) add(argument);
  }
  for (const auto* patterns : {&options.roots, &options.deterministic_roots}) {
    add("|");
    for (const auto& pattern : *patterns) add(pattern);
  }
  add(options.change_registry ? "registry" : "");
  if (options.change_registry) {
    for (const auto& [id, bounds] : *options.change_registry) add(id + " " + std::to_string(bounds.min) + " " + std::to_string(bounds.max));
  }
  add(options.command_baseline ? "baseline" : "");
  if (options.command_baseline) {
    for (const auto& [root, skeleton] : *options.command_baseline) {
      add(root);
      for (const auto& one : skeleton.commands) add(one);
      add("|");
      for (const auto& one : skeleton.changes) add(one);
    }
  }
  return ToHex(digest.Finish());
}

std::string EncodeAnalysis(const Analysis& analysis) {
  Stored stored{.findings = {},
                .trusted = analysis.linked.trusted,
                .roots = analysis.linked.roots,
                .skeletons = {analysis.linked.skeletons.begin(), analysis.linked.skeletons.end()},
                .reachable_files = analysis.linked.reachable_files,
                .files = analysis.files,
                .compiled = analysis.compiled,
                .broken = analysis.broken,
                .notes = analysis.notes,
                .sources = analysis.sources,
                .includes = analysis.includes};
  for (const auto& finding : analysis.linked.findings) stored.findings.push_back({finding, finding.rule->id});
  binary::Writer writer;
  writer.Number(kFormat);
  StoredFields(writer, stored);
  return writer.Take();
}

std::optional<Analysis> DecodeAnalysis(const std::string& bytes) {
  binary::Reader reader(bytes);
  if (reader.Number() != kFormat) return std::nullopt;
  Stored stored;
  StoredFields(reader, stored);
  if (!reader.Finished()) return std::nullopt;
  Analysis analysis;
  for (auto& one : stored.findings) {
    one.finding.rule = Registry::Get().Find(one.rule);
    if (one.finding.rule == nullptr) return std::nullopt;
    analysis.linked.findings.push_back(std::move(one.finding));
  }
  analysis.linked.trusted = std::move(stored.trusted);
  analysis.linked.roots = std::move(stored.roots);
  analysis.linked.skeletons.insert(stored.skeletons.begin(), stored.skeletons.end());
  analysis.linked.reachable_files = std::move(stored.reachable_files);
  analysis.files = stored.files;
  analysis.compiled = stored.compiled;
  analysis.broken = std::move(stored.broken);
  analysis.notes = std::move(stored.notes);
  analysis.sources = std::move(stored.sources);
  analysis.includes = std::move(stored.includes);
  return analysis;
}

}  // namespace lockstep::analyzer
