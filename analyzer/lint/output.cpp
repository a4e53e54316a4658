// Text shows a site once, with the other roots counted; the machine formats hold one finding per (root, id, site).
#include "analyzer/lint/output.h"

#include <algorithm>
#include <filesystem>
#include <functional>

namespace lockstep::analyzer {
namespace {

std::string Shown(const std::string& file, const std::string& base) {
  if (!base.empty() && file.size() > base.size() && file.rfind(base, 0) == 0 && file[base.size()] == '/') return file.substr(base.size() + 1);
  return file;
}

std::string At(const Location& at, const OutputOptions& options) {
  return Shown(at.file, options.base) + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
}

struct Colours {
  const char* bold = "";
  const char* red = "";
  const char* magenta = "";
  const char* cyan = "";
  const char* green = "";
  const char* off = "";
};

Colours ColoursFor(bool on) {
  if (!on) return {};
  return {"\033[1m", "\033[1;31m", "\033[1;35m", "\033[1;36m", "\033[1;32m", "\033[0m"};
}

std::string Counted(size_t count, const char* noun) { return std::to_string(count) + " " + noun + (count == 1 ? "" : "s"); }

}  // namespace

std::string RenderText(const LintResult& result, const OutputOptions& options) {
  const Colours c = ColoursFor(options.colour);
  std::string out;
  for (const auto& broken : result.broken) out += broken.message + "\n";
  size_t errors = 0, warnings = 0;
  for (size_t i = 0; i < result.findings.size();) {
    // Equal sites are neighbours; the one with the shortest chain speaks.
    size_t end = i + 1;
    while (end < result.findings.size() && result.findings[end].at == result.findings[i].at && result.findings[end].rule == result.findings[i].rule) ++end;
    const Finding* best = &result.findings[i];
    for (size_t k = i; k < end; ++k) {
      if (result.findings[k].chain.size() < best->chain.size()) best = &result.findings[k];
    }
    const Finding& finding = *best;
    (finding.severity == Severity::kError ? errors : warnings) += finding.severity == Severity::kNote ? 0 : 1;
    const char* colour = finding.severity == Severity::kError ? c.red : finding.severity == Severity::kWarning ? c.magenta : c.cyan;
    out += c.bold + At(finding.at, options) + ": " + colour + std::string(SeverityName(finding.severity)) + ": " + c.off + c.bold +
           finding.Message() + c.off + " [" + finding.rule->id + "]\n";
    if (!finding.source_line.empty()) {
      const std::string number = std::to_string(finding.at.line);
      out += std::string(number.size() < 5 ? 5 - number.size() : 0, ' ') + number + " | " + finding.source_line + "\n";
      std::string caret;
      for (uint32_t k = 1; k < finding.at.column && k <= finding.source_line.size(); ++k) caret += finding.source_line[k - 1] == '\t' ? '\t' : ' ';
      out += std::string(std::max<size_t>(5, number.size()), ' ') + " | " + caret + c.green + "^" + c.off + "\n";
    }
    if (!finding.root.empty()) {
      out += "      " + std::string(c.cyan) + "note: " + c.off + std::string(VerdictName(finding.verdict)) + "; reached from " + finding.root;
      if (finding.chain.size() > 1) {
        for (size_t k = 1; k < finding.chain.size(); ++k) out += " -> " + finding.chain[k].function;
      }
      if (end - i > 1) out += " (and from " + Counted(end - i - 1, "other root") + ")";
      out += "\n";
      for (size_t k = 0; k + 1 < finding.chain.size(); ++k) {
        out += At(finding.chain[k].at, options) + ": " + c.cyan + "note: " + c.off + finding.chain[k].function + " calls " +
               finding.chain[k + 1].function + " here\n";
      }
    }
    if (!finding.sink.function.empty()) {
      out += At(finding.sink.at, options) + ": " + c.cyan + "note: " + c.off + "its value ends up in " + finding.sink.function + "\n";
    }
    if (!finding.edits.empty()) out += "      " + std::string(c.cyan) + "note: " + c.off + "--fix can change this\n";
    i = end;
  }
  for (const auto& trust : result.trusted) {
    out += At(trust.at, options) + ": " + c.cyan + "note: " + c.off + trust.function + " is trusted: " + trust.reason + "\n";
  }
  for (const auto& note : result.notes) out += std::string(c.cyan) + "note: " + c.off + note + "\n";
  out += Counted(errors, "error") + ", " + Counted(warnings, "warning") + " in " + Counted(result.files, "file") + ", " +
         Counted(result.roots.size(), "root");
  if (!result.suppressed.empty()) out += ", " + Counted(result.suppressed.size(), "finding") + " suppressed";
  if (result.baselined != 0) out += ", " + Counted(result.baselined, "finding") + " in the baseline";
  if (result.unaffected != 0) out += ", " + Counted(result.unaffected, "finding") + " not touched by the change";
  return out + "\n";
}

Json RenderJson(const LintResult& result, const OutputOptions& options) {
  const auto place = [&](const Location& at) {
    return Json::MakeObject({{"file", Shown(at.file, options.base)}, {"line", static_cast<int64_t>(at.line)}, {"column", static_cast<int64_t>(at.column)}});
  };
  const auto render = [&](const Finding& finding) {
    Json chain = Json::MakeArray();
    for (const auto& step : finding.chain) {
      Json entry = place(step.at);
      entry.Set("function", step.function);
      chain.Push(std::move(entry));
    }
    Json fixes = Json::MakeArray();
    for (const auto& edit : finding.edits) {
      fixes.Push(Json::MakeObject({{"file", Shown(edit.file, options.base)},
                                   {"offset", static_cast<int64_t>(edit.offset)},
                                   {"length", static_cast<int64_t>(edit.length)},
                                   {"text", edit.text}}));
    }
    Json entry = place(finding.at);
    entry.Set("id", finding.rule->id);
    entry.Set("severity", SeverityName(finding.severity));
    entry.Set("verdict", VerdictName(finding.verdict));
    entry.Set("message", finding.Message());
    entry.Set("what", finding.what);
    entry.Set("replacement", finding.rule->replacement);
    entry.Set("function", finding.function);
    entry.Set("root", finding.root);
    entry.Set("scope", finding.scope);
    entry.Set("chain", std::move(chain));
    if (!finding.sink.function.empty()) {
      Json sink = place(finding.sink.at);
      sink.Set("what", finding.sink.function);
      entry.Set("sink", std::move(sink));
    }
    entry.Set("fingerprint", finding.fingerprint);
    if (!finding.edits.empty()) entry.Set("fixes", std::move(fixes));
    return entry;
  };
  Json findings = Json::MakeArray();
  for (const auto& finding : result.findings) findings.Push(render(finding));
  Json suppressed = Json::MakeArray();
  for (size_t i = 0; i < result.suppressed.size(); ++i) {
    const SuppressedBy by = i < result.suppressed_by.size() ? result.suppressed_by[i] : SuppressedBy{};
    suppressed.Push(render(result.suppressed[i]).Set("reason", by.reason).Set("owner", by.owner).Set("expires", by.expires));
  }
  Json changes = Json::MakeArray();
  for (const auto& change : result.command_changes) {
    Json gates = Json::MakeArray();
    for (const auto& id : change.gates) gates.Push(id);
    changes.Push(Json::MakeObject({{"root", change.root}, {"gates", std::move(gates)}}));
  }
  Json trusted = Json::MakeArray();
  for (const auto& trust : result.trusted) {
    Json entry = place(trust.at);
    entry.Set("function", trust.function);
    entry.Set("reason", trust.reason);
    trusted.Push(std::move(entry));
  }
  Json broken = Json::MakeArray();
  for (const auto& problem : result.broken) broken.Push(Json::MakeObject({{"file", Shown(problem.file, options.base)}, {"message", problem.message}}));
  Json notes = Json::MakeArray();
  for (const auto& note : result.notes) notes.Push(note);
  Json roots = Json::MakeArray();
  for (const auto& root : result.roots) roots.Push(root);
  const auto count = [&](Severity severity) {
    return Json::Size(static_cast<size_t>(std::count_if(result.findings.begin(), result.findings.end(), [&](const Finding& f) { return f.severity == severity; })));
  };
  return Json::MakeObject({{"format", 1},
                           {"tool", "lockstep-tidy"},
                           {"findings", std::move(findings)},
                           {"suppressed", std::move(suppressed)},
                           {"trusted", std::move(trusted)},
                           {"broken", std::move(broken)},
                           {"notes", std::move(notes)},
                           {"commandChanges", std::move(changes)},
                           {"models", result.models},
                           {"roots", std::move(roots)},
                           {"summary", Json::MakeObject({{"files", Json::Size(result.files)},
                                                         {"errors", count(Severity::kError)},
                                                         {"warnings", count(Severity::kWarning)},
                                                         {"notes", count(Severity::kNote)},
                                                         {"baselined", Json::Size(result.baselined)},
                                                         {"unaffected", Json::Size(result.unaffected)}})}});
}

namespace {

std::string Uri(const std::string& path) {
  std::string uri;
  for (const char raw : path) {
    const auto c = static_cast<unsigned char>(raw);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '-' || c == '_' || c == '~' || c == '+';
    if (plain) {
      uri.push_back(raw);
      continue;
    }
    constexpr char kHex[] = "0123456789ABCDEF";
    uri += {'%', kHex[c >> 4], kHex[c & 15]};
  }
  return path.rfind('/', 0) == 0 ? "file://" + uri : uri;
}

std::string_view Level(Severity severity) { return severity == Severity::kError ? "error" : severity == Severity::kWarning ? "warning" : "note"; }

Json SarifPlace(const Location& at, const OutputOptions& options, const std::string& message) {
  const std::string shown = Shown(at.file, options.base);
  Json artifact = Json::MakeObject({{"uri", Uri(shown)}});
  if (shown.rfind('/', 0) != 0) artifact.Set("uriBaseId", "SRCROOT");
  Json location = Json::MakeObject({{"physicalLocation", Json::MakeObject({{"artifactLocation", std::move(artifact)},
                                                                          {"region", Json::MakeObject({{"startLine", static_cast<int64_t>(std::max(1U, at.line))},
                                                                                                       {"startColumn", static_cast<int64_t>(std::max(1U, at.column))}})}})}});
  if (!message.empty()) location.Set("message", Json::MakeObject({{"text", message}}));
  return location;
}

Json SarifRules() {
  Json rules = Json::MakeArray();
  for (const auto& rule : Registry::Get().rules()) {
    rules.Push(Json::MakeObject({{"id", rule.id},
                                 {"name", rule.number},
                                 {"shortDescription", Json::MakeObject({{"text", rule.title}})},
                                 {"fullDescription", Json::MakeObject({{"text", rule.title + ": " + rule.why + "."}})},
                                 {"help", Json::MakeObject({{"text", "Use instead: " + rule.replacement},
                                                            {"markdown", std::string(Registry::Page(rule))}})},
                                 {"defaultConfiguration", Json::MakeObject({{"level", Level(rule.severity)}})},
                                 {"properties", Json::MakeObject({{"family", rule.family}, {"reach", rule.reach}})}}));
  }
  return rules;
}

}  // namespace

Json RenderSarif(const LintResult& result, const OutputOptions& options) {
  Json results = Json::MakeArray();
  const auto& rules = Registry::Get().rules();
  const auto add = [&](const Finding& finding, bool suppressed) {
    Json steps = Json::MakeArray();
    for (size_t i = 0; i < finding.chain.size(); ++i) {
      const bool last = i + 1 == finding.chain.size();
      const std::string text = last ? finding.what : finding.chain[i].function + " calls " + finding.chain[i + 1].function;
      steps.Push(Json::MakeObject({{"location", SarifPlace(finding.chain[i].at, options, text)}}));
    }
    Json flows = Json::MakeArray();
    flows.Push(Json::MakeObject({{"threadFlows", Json(Json::Array{Json::MakeObject({{"locations", std::move(steps)}})})}}));
    const auto index = std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) { return &rule == finding.rule; }) - rules.begin();
    Json entry = Json::MakeObject({{"ruleId", finding.rule->id},
                                   {"ruleIndex", static_cast<int64_t>(index)},
                                   {"level", Level(finding.severity)},
                                   {"message", Json::MakeObject({{"text", finding.Message()}})},
                                   {"locations", Json(Json::Array{SarifPlace(finding.at, options, "")})},
                                   {"codeFlows", std::move(flows)},
                                   {"partialFingerprints", Json::MakeObject({{"lockstep/v1", finding.fingerprint}})},
                                   {"properties", Json::MakeObject({{"verdict", VerdictName(finding.verdict)}, {"root", finding.root}, {"scope", finding.scope}})}});
    if (!finding.edits.empty()) {
      std::map<std::string, Json> by_file;
      for (const auto& edit : finding.edits) {
        by_file.emplace(edit.file, Json::MakeArray()).first->second.Push(
            Json::MakeObject({{"deletedRegion", Json::MakeObject({{"byteOffset", static_cast<int64_t>(edit.offset)}, {"byteLength", static_cast<int64_t>(edit.length)}})},
                              {"insertedContent", Json::MakeObject({{"text", edit.text}})}}));
      }
      Json changes = Json::MakeArray();
      for (auto& [file, replacements] : by_file) {
        const std::string shown = Shown(file, options.base);
        changes.Push(Json::MakeObject({{"artifactLocation", Json::MakeObject({{"uri", Uri(shown)}})}, {"replacements", std::move(replacements)}}));
      }
      entry.Set("fixes", Json(Json::Array{Json::MakeObject({{"description", Json::MakeObject({{"text", "Use " + finding.rule->replacement}})},
                                                            {"artifactChanges", std::move(changes)}})}));
    }
    if (!finding.sink.function.empty()) {
      entry.Set("relatedLocations", Json(Json::Array{SarifPlace(finding.sink.at, options, "the value ends up in " + finding.sink.function)}));
    }
    if (suppressed) entry.Set("suppressions", Json(Json::Array{Json::MakeObject({{"kind", "inSource"}})}));
    results.Push(std::move(entry));
  };
  for (const auto& finding : result.findings) add(finding, false);
  for (const auto& finding : result.suppressed) add(finding, true);
  Json notifications = Json::MakeArray();
  for (const auto& problem : result.broken) {
    notifications.Push(Json::MakeObject({{"level", "error"}, {"message", Json::MakeObject({{"text", problem.message}})}}));
  }
  Json run = Json::MakeObject(
      {{"tool", Json::MakeObject({{"driver", Json::MakeObject({{"name", "lockstep-tidy"}, {"semanticVersion", "0.1.0"}, {"rules", SarifRules()}})}})},
       {"invocations", Json(Json::Array{Json::MakeObject({{"executionSuccessful", true}, {"toolExecutionNotifications", std::move(notifications)}})})},
       {"columnKind", "utf16CodeUnits"},
       {"results", std::move(results)}});
  if (!options.base.empty()) {
    run.Set("originalUriBaseIds", Json::MakeObject({{"SRCROOT", Json::MakeObject({{"uri", Uri(options.base) + "/"}})}}));
  }
  return Json::MakeObject({{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"}, {"version", "2.1.0"}, {"runs", Json(Json::Array{std::move(run)})}});
}

std::string RenderGithub(const LintResult& result, const OutputOptions& options) {
  const auto escape = [](const std::string& text, bool property) {
    std::string out;
    for (char c : text) {
      if (c == '%') out += "%25";
      else if (c == '\r') out += "%0D";
      else if (c == '\n') out += "%0A";
      else if (property && c == ':') out += "%3A";
      else if (property && c == ',') out += "%2C";
      else out.push_back(c);
    }
    return out;
  };
  std::string out;
  const Finding* last = nullptr;
  for (const auto& finding : result.findings) {
    if (last != nullptr && last->at == finding.at && last->rule == finding.rule) continue;
    last = &finding;
    std::string text = finding.Message();
    if (!finding.root.empty()) {
      text += "\nreached from " + finding.root;
      for (size_t k = 1; k < finding.chain.size(); ++k) text += " -> " + finding.chain[k].function;
    }
    const char* command = finding.severity == Severity::kError ? "error" : finding.severity == Severity::kWarning ? "warning" : "notice";
    out += std::string("::") + command + " file=" + escape(Shown(finding.at.file, options.base), true) + ",line=" + std::to_string(finding.at.line) +
           ",col=" + std::to_string(finding.at.column) + ",title=" + escape(finding.rule->id, true) + "::" + escape(text, false) + "\n";
  }
  return out;
}

std::string RenderDiff(const std::string& file, const std::string& before, const std::string& after) {
  const auto lines = [](const std::string& text) {
    std::vector<std::string> result;
    for (size_t at = 0; at < text.size();) {
      size_t end = text.find('\n', at);
      if (end == std::string::npos) end = text.size();
      result.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return result;
  };
  const auto a = lines(before);
  const auto b = lines(after);
  std::string out = "--- a/" + file + "\n+++ b/" + file + "\n";
  // Fixes change few lines: resynchronise at the next equal line.
  size_t i = 0, k = 0;
  while (i < a.size() || k < b.size()) {
    if (i < a.size() && k < b.size() && a[i] == b[k]) {
      ++i, ++k;
      continue;
    }
    size_t skip_a = 0, skip_b = 0;
    bool found = false;
    for (size_t distance = 1; distance < 200 && !found; ++distance) {
      for (size_t x = 0; x <= distance && !found; ++x) {
        const size_t y = distance - x;
        if (i + x < a.size() && k + y < b.size() && a[i + x] == b[k + y] && !a[i + x].empty()) {
          skip_a = x;
          skip_b = y;
          found = true;
        }
      }
    }
    if (!found) {
      skip_a = a.size() - i;
      skip_b = b.size() - k;
    }
    out += "@@ -" + std::to_string(i + 1) + "," + std::to_string(skip_a) + " +" + std::to_string(k + 1) + "," + std::to_string(skip_b) + " @@\n";
    for (size_t x = 0; x < skip_a; ++x) out += "-" + a[i + x] + "\n";
    for (size_t y = 0; y < skip_b; ++y) out += "+" + b[k + y] + "\n";
    i += skip_a;
    k += skip_b;
  }
  return out;
}

}  // namespace lockstep::analyzer
