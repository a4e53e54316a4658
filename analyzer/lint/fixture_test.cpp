// Runs the analyzer over fixtures/lint/cpp: every file is a program of its own, every sub-folder `program_*` is one program of
// several files. The expected findings stand in the files, in the way of clang-tidy's tests:
//   code();   // expect: determinism-wall-clock, determinism-indirect-call
//   // expect-next: determinism-...      the line below
//   // flags: -ffast-math                further compiler flags        // registry: change ids with bounds, `id=min..max`
// All findings of all rules count, so that a fixture of one rule is a negative for every other.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "analyzer/callgraph/frontend.h"
#include "analyzer/callgraph/program.h"
#include "analyzer/registry/registry.h"

namespace lockstep::analyzer {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(LOCKSTEP_SOURCE_DIR) / "fixtures/lint/cpp";

using Expectation = std::tuple<std::string, uint32_t, std::string>;  // file, line, id

struct Case {
  std::set<Expectation> expected;
  std::vector<std::string> flags;
  std::map<std::string, GateBounds> registry;
  bool has_registry = false;
};

std::string Trim(std::string text) {
  text.erase(0, text.find_first_not_of(" \t"));
  const size_t end = text.find_last_not_of(" \t\r");
  text.erase(end == std::string::npos ? 0 : end + 1);
  return text;
}

void ReadExpectations(const fs::path& file, Case* out) {
  std::ifstream in(file);
  std::string line;
  for (uint32_t number = 1; std::getline(in, line); ++number) {
    const auto list = [&](const std::string& mark, uint32_t at) {
      const size_t begin = line.find(mark);
      if (begin == std::string::npos) return;
      std::stringstream ids(line.substr(begin + mark.size()));
      for (std::string id; std::getline(ids, id, ',');) out->expected.insert({file.filename().string(), at, Trim(id)});
    };
    list("// expect: ", number);
    list("// expect-next: ", number + 1);
    if (const size_t begin = line.find("// flags: "); begin != std::string::npos) {
      std::stringstream flags(line.substr(begin + 10));
      for (std::string flag; flags >> flag && flag != "//";) out->flags.push_back(flag);
    }
    if (const size_t begin = line.find("// registry:"); begin != std::string::npos) {
      out->has_registry = true;
      std::stringstream entries(line.substr(begin + 12));
      for (std::string entry; entries >> entry;) {
        const size_t equals = entry.find('=');
        const size_t dots = entry.find("..");
        out->registry[entry.substr(0, equals)] = {std::stoll(entry.substr(equals + 1)), std::stoll(entry.substr(dots + 2))};
      }
    }
  }
}

std::string Describe(const std::set<Expectation>& all) {
  std::string text;
  for (const auto& [file, line, id] : all) text += "  " + file + ":" + std::to_string(line) + " " + id + "\n";
  return text;
}

void CheckProgram(const std::vector<fs::path>& files) {
  Case expected;
  for (const auto& file : files) ReadExpectations(file, &expected);
  for (const auto& entry : fs::directory_iterator(files.front().parent_path())) {
    if (files.size() > 1 && entry.path().extension() == ".h") ReadExpectations(entry.path(), &expected);
  }
  std::vector<Unit> units;
  for (const auto& file : files) {
    CompileCommand command;
    command.directory = kFixtures.string();
    command.file = file.string();
    command.arguments = {"clang++", "-std=c++23", "-I" + (kFixtures / "include").string(), std::string("-I") + LOCKSTEP_SOURCE_DIR, "-c", file.string()};
    command.arguments.insert(command.arguments.end() - 1, expected.flags.begin(), expected.flags.end());
    units.push_back(AnalyzeFile(command, ModelSet::BuiltIn()));
    ASSERT_EQ(units.back().error, "") << file;
    ASSERT_FALSE(units.back().budget_exhausted) << file;
    // What the cache stores is what was computed.
    Unit copy;
    ASSERT_TRUE(DecodeUnit(EncodeUnit(units.back()), &copy));
    ASSERT_EQ(EncodeUnit(copy), EncodeUnit(units.back()));
  }
  LinkOptions options;
  if (expected.has_registry) options.change_registry = expected.registry;
  const LinkResult result = Link(units, options);
  EXPECT_FALSE(result.roots.empty()) << "no root in " << files.front();
  std::set<Expectation> found;
  for (const auto& finding : result.findings) {
    found.insert({fs::path(finding.at.file).filename().string(), finding.at.line, finding.rule->id});
    EXPECT_FALSE(finding.chain.empty());
    EXPECT_EQ(finding.chain.back().at, finding.at);
  }
  std::set<Expectation> missing, surplus;
  std::set_difference(expected.expected.begin(), expected.expected.end(), found.begin(), found.end(), std::inserter(missing, missing.end()));
  std::set_difference(found.begin(), found.end(), expected.expected.begin(), expected.expected.end(), std::inserter(surplus, surplus.end()));
  EXPECT_TRUE(missing.empty()) << "not found:\n" << Describe(missing);
  EXPECT_TRUE(surplus.empty()) << "not expected:\n" << Describe(surplus);
}

std::vector<std::string> Folders() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kFixtures)) {
    if (entry.is_directory() && entry.path().filename() != "include") names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Fixture : public testing::TestWithParam<std::string> {};

TEST_P(Fixture, FindsExactlyWhatTheCommentsSay) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(kFixtures / GetParam())) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  bool any = false;
  for (const auto& entry : entries) {
    if (fs::is_directory(entry)) {
      std::vector<fs::path> files;
      for (const auto& file : fs::directory_iterator(entry)) {
        if (file.path().extension() == ".cpp") files.push_back(file.path());
      }
      std::sort(files.begin(), files.end());
      CheckProgram(files);
      any = true;
    } else if (entry.extension() == ".cpp") {
      SCOPED_TRACE(entry.string());
      CheckProgram({entry});
      any = true;
    }
  }
  EXPECT_TRUE(any) << "no fixture in " << GetParam();
}

std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Rules, Fixture, testing::ValuesIn(Folders()), TestName);

}  // namespace
}  // namespace lockstep::analyzer
