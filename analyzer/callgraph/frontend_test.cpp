#include "analyzer/callgraph/frontend.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "engine-core/base/files.h"

namespace lockstep::analyzer {
namespace {

class FrontendTest : public testing::Test {
 protected:
  FrontendTest() : scratch_(*TemporaryDirectory::Create("frontend")) {}
  std::string Write(const std::string& name, const std::string& text) {
    const auto path = scratch_.path() / name;
    EXPECT_TRUE(CreateDirectories(path.parent_path()));
    EXPECT_TRUE(WriteFileAtomically(path, text));
    return path.string();
  }
  CompileCommand Command(const std::string& file, std::vector<std::string> flags = {}) {
    CompileCommand command{.directory = scratch_.path().string(), .file = (scratch_.path() / file).string(), .arguments = {"clang++", "-std=c++20"}};
    command.arguments.insert(command.arguments.end(), flags.begin(), flags.end());
    command.arguments.push_back(file);
    return command;
  }
  TemporaryDirectory scratch_;
};

TEST_F(FrontendTest, ReadCompileCommands_RelativeDirectoryAndQuotedCommand) {
  Write("build/compile_commands.json",
        R"([{"directory": ".", "file": "../b.cpp", "command": "g++ -DNAME=\"a b\" -c ../b.cpp"},
            {"directory": ")" + scratch_.path().string() + R"(", "file": "a.cpp", "arguments": ["clang++", "-c", "a.cpp"]},
            {"directory": ")" + scratch_.path().string() + R"(", "file": "a.cpp", "arguments": ["clang++", "-O2", "-c", "a.cpp"]}])");
  const auto commands = ReadCompileCommands((scratch_.path() / "build").string());
  ASSERT_TRUE(commands) << commands.error().message;
  ASSERT_EQ(commands->size(), 2U);
  EXPECT_EQ((*commands)[0].file, (scratch_.path() / "a.cpp").string());
  EXPECT_EQ((*commands)[0].arguments.size(), 3U);
  EXPECT_EQ((*commands)[1].file, (scratch_.path() / "b.cpp").string());
  EXPECT_EQ((*commands)[1].directory, (scratch_.path() / "build").string());
  EXPECT_EQ((*commands)[1].arguments[1], "-DNAME=a b");
}

TEST_F(FrontendTest, ReadCompileCommands_BadInput_NamesThePlace) {
  Write("compile_commands.json", R"([{"directory": "."}])");
  const auto missing = ReadCompileCommands(scratch_.path().string());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "COMPILE_COMMANDS_INVALID");
  EXPECT_NE(missing.error().message.find("/0: expected a string member `file`"), std::string::npos);
  Write("compile_commands.json", "{}");
  EXPECT_FALSE(ReadCompileCommands(scratch_.path().string()));
  Write("compile_commands.json", "[");
  EXPECT_FALSE(ReadCompileCommands(scratch_.path().string()));
  EXPECT_EQ(ReadCompileCommands("/nowhere").error().code, "FILE_NOT_FOUND");
}

TEST_F(FrontendTest, AdjustArguments_DropsFlagsOfOtherCompilersWithOneNoteEach) {
  std::vector<std::string> notes;
  const auto arguments = AdjustArguments(Command("a.cpp", {"-fno-gnu-unique-nonsense", "-fconserve-magic", "-Werror", "-O2", "-MD", "-MF", "a.d", "-o", "a.o"}), &notes);
  EXPECT_EQ(std::count(arguments.begin(), arguments.end(), "-fconserve-magic"), 0);
  EXPECT_EQ(std::count(arguments.begin(), arguments.end(), "-Werror"), 0);
  EXPECT_EQ(std::count(arguments.begin(), arguments.end(), "a.d"), 0);
  EXPECT_EQ(std::count(arguments.begin(), arguments.end(), "a.o"), 0);
  EXPECT_EQ(std::count(arguments.begin(), arguments.end(), "-O2"), 1);
  EXPECT_EQ(notes.size(), 2U);
}

TEST_F(FrontendTest, AnalyzeFile_FileThatDoesNotCompile_CarriesClangsMessage) {
  Write("a.cpp", "int main() { return zzz_unknown_zzz; }\n");
  const Unit unit = AnalyzeFile(Command("a.cpp"), ModelSet::BuiltIn());
  EXPECT_EQ(unit.error, (scratch_.path() / "a.cpp").string() + ":1:21: error: use of undeclared identifier 'zzz_unknown_zzz'");
  EXPECT_TRUE(unit.functions.empty());
}

TEST_F(FrontendTest, AnalyzeFile_MissingFile_IsAnError) {
  const Unit unit = AnalyzeFile(Command("nowhere.cpp"), ModelSet::BuiltIn());
  EXPECT_FALSE(unit.error.empty());
}

TEST_F(FrontendTest, AnalyzeFile_TwiceTheSame_GivesTheSameBytes) {
  Write("a.cpp", "#include <map>\n#include <string>\nint f(std::map<std::string, int> m) { int s = 0; for (auto& [k, v] : m) s += v; auto g = [&] { return s; }; return g(); }\n");
  EXPECT_EQ(EncodeUnit(AnalyzeFile(Command("a.cpp"), ModelSet::BuiltIn())), EncodeUnit(AnalyzeFile(Command("a.cpp"), ModelSet::BuiltIn())));
}

TEST_F(FrontendTest, AnalyzeFile_RecordsDependenciesWithDigests) {
  Write("a.h", "inline int one() { return 1; }\n");
  Write("a.cpp", "#include \"a.h\"\nint f() { return one(); }\n");
  const Unit unit = AnalyzeFile(Command("a.cpp"), ModelSet::BuiltIn());
  ASSERT_EQ(unit.error, "");
  const auto header = std::find_if(unit.dependencies.begin(), unit.dependencies.end(), [](const Dependency& d) { return d.path.ends_with("/a.h"); });
  ASSERT_NE(header, unit.dependencies.end());
  EXPECT_FALSE(header->system);
  EXPECT_EQ(header->stamp, StampOf(header->path, false));
}

TEST_F(FrontendTest, InferCommand_TakesTheNearestFilesFlags) {
  const std::vector<CompileCommand> known = {Command("x/far.cpp", {"-DFAR"}), Command("lib/near.cpp", {"-DNEAR"})};
  const auto command = InferCommand(known, (scratch_.path() / "lib/thing.h").string());
  EXPECT_EQ(std::count(command.arguments.begin(), command.arguments.end(), "-DNEAR"), 1);
  EXPECT_EQ(command.arguments.back(), (scratch_.path() / "lib/thing.h").string());
}

TEST(DecodeUnit, DamagedBytes_AreRefused) {
  Unit unit;
  unit.main_file = "a.cpp";
  unit.strings = {"", "x"};
  unit.functions.emplace_back().calls.emplace_back();
  const std::string bytes = EncodeUnit(unit);
  Unit copy;
  ASSERT_TRUE(DecodeUnit(bytes, &copy));
  EXPECT_EQ(copy.main_file, "a.cpp");
  for (size_t length = 0; length < bytes.size(); ++length) EXPECT_FALSE(DecodeUnit(bytes.substr(0, length), &copy)) << length;
  EXPECT_FALSE(DecodeUnit(bytes + "x", &copy));
  rc::check([&](const std::string& noise) {
    Unit other;
    (void)DecodeUnit(bytes.substr(0, bytes.size() / 2) + noise, &other);
  });
}

}  // namespace
}  // namespace lockstep::analyzer
