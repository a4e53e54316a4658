#include "cli/result_file.h"

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "reports/model/model.h"
#include "reports/render/facts.h"

namespace lockstep::cli {
namespace {

// The words of this process as a shell takes them.
std::string OwnCommand() {
  const auto words = ReadFile("/proc/self/cmdline", 1 << 20);
  if (!words) return {};
  std::string line;
  for (const std::string_view word : Split(words->ends_with('\0') ? words->substr(0, words->size() - 1) : *words, '\0')) {
    const std::string_view name = line.empty() ? word.substr(word.rfind('/') + 1) : word;
    line += (line.empty() ? "" : " ") + reports::ShellQuoted(name);
  }
  return line;
}

}  // namespace

void ResultFile::AddOption(CLI::App* command) {
  command->add_option("--result", file_, "Also write the result for `lockstep report` to this file");
}

Status ResultFile::Write(std::string_view document) const {
  if (file_.empty()) return {};
  LOCKSTEP_ASSIGN(reports::v1::Result result, reports::ParseResult(document, file_));
  result.set_tool_version(LOCKSTEP_VERSION);
  if (result.command().empty()) result.set_command(OwnCommand());
  const auto spent = std::chrono::steady_clock::now() - started_;
  result.set_duration_ms(std::chrono::duration_cast<std::chrono::milliseconds>(spent).count());
  return WriteFileAtomically(file_, reports::ToJson(result));
}

}  // namespace lockstep::cli
