// Test tool: writes a history in another of the forms that exist, so that no test needs a copy made by hand.
//
//   history_convert INPUT OUTPUT [--camel] [--compact]
//
// The name of OUTPUT says format and compression (`x.pb.zst`); `--camel` spells enums as older tools do
// (`TimerStarted`). Exit codes: 0 written, 2 wrong usage, 3 the input is not a history.
#include <cstdio>
#include <string>
#include <string_view>

#include "replay/history/reader.h"
#include "replay/history/writer.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  if (argc < 3) {
    std::fputs("usage: history_convert INPUT OUTPUT [--camel] [--compact]\n", stderr);
    return 2;
  }
  const auto loaded = history::ReadHistory(argv[1]);
  if (!loaded) {
    std::fprintf(stderr, "history_convert: %s\n", loaded.error().ToString().c_str());
    return 3;
  }
  history::WriteOptions options = history::OptionsForPath(argv[2]);
  for (int i = 3; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--camel") {
      options.style.enums = history::EnumSpelling::kCamel;
    } else if (flag == "--compact") {
      options.style.indent = 0;
    } else {
      std::fprintf(stderr, "history_convert: expected --camel or --compact, found %s\n", argv[i]);
      return 2;
    }
  }
  const Status written = history::WriteHistory(argv[2], *loaded->history, options, &loaded->info);
  if (written) return 0;
  std::fprintf(stderr, "history_convert: %s\n", written.error().ToString().c_str());
  return 3;
}
