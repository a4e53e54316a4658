// `lockstep inspect`: time line and integrity check of any SDK's history.
#include <temporal/api/history/v1/message.pb.h>
#include <unistd.h>

#include <memory>

#include "cli/command.h"
#include "replay/history/growth.h"
#include "replay/history/integrity.h"
#include "replay/history/pending.h"
#include "replay/history/reader.h"
#include "replay/history/timeline.h"
#include "replay/record/record.h"
#include "replay/session/batch.h"

namespace lockstep::cli {
namespace {

struct Options {
  std::vector<std::string> paths;
  Output output;
};

// The histories inside a record directory, or the path itself.
std::vector<std::string> HistoryFiles(const std::string& path) {
  if (path == "-" || !replay::IsRecordDirectory(path)) return {path};
  std::vector<std::string> files;
  std::error_code error;
  for (size_t position = 1;; ++position) {
    const std::string file = path + "/" + replay::HistoryFileName(position);
    if (!std::filesystem::exists(file, error)) break;
    files.push_back(file);
  }
  if (files.empty()) files.push_back(path + "/" + replay::HistoryFileName(1));
  return files;
}

int RunInspect(const Options& options) {
  const auto inputs = replay::FindHistories(options.paths);
  if (!inputs) return Report(inputs.error());
  Json all = Json::MakeArray();
  std::string text;
  int code = kExitOk;
  for (const std::string& input : *inputs) {
    for (const std::string& file : HistoryFiles(input)) {
      const auto loaded = history::ReadHistory(file);
      if (!loaded) {
        code = std::max(code, Report(loaded.error()));
        continue;
      }
      const auto problems = history::CheckIntegrity(*loaded->history, loaded->info);
      if (!problems.empty()) code = std::max(code, kExitCorrupt);
      if (options.output.json()) {
        history::PendingFold fold;
        for (const auto& event : loaded->history->events()) fold.Apply(event);
        all.Push(history::InspectJson(*loaded).Set("growth", history::ToJson(history::MeasureGrowth(*loaded->history))).Set("pending", history::ToJson(fold.work())));
      } else {
        if (!text.empty()) text += "\n";
        text += history::RenderTimeline(*loaded, {.color = options.output.color()});
        if (loaded->history->events_size() > 0) text += "\n" + history::RenderGrowth(history::MeasureGrowth(*loaded->history));
      }
    }
  }
  if (options.output.json()) text = PrettyJson(all.AsArray().size() == 1 ? all.AsArray().front() : all);
  return options.output.Write(text, code);
}

}  // namespace

void AddInspect(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("inspect", "Time line and integrity check of a history of any SDK");
  command->add_option("PATH", options->paths, "Histories, record directories, or folders of them; - reads standard input")->required();
  options->output.AddOptions(command);
  command->footer("Exit code 3 when a history cannot be read or does not hold together.\n"
                  "With --format json: one object a file (a list when there are several).\n"
                  "Examples:\n"
                  "  lockstep inspect history.json\n"
                  "  temporal workflow show -w ID --output json | lockstep inspect - --format json");
  command->callback([options, run] { *run = [options] { return RunInspect(*options); }; });
}

}  // namespace lockstep::cli
