#include "analyzer/callgraph/frontend.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "analyzer/callgraph/precompiled.h"
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

TEST_F(FrontendTest, PrecompiledHeaders_ChangeNothingButTime) {
  Write("price.h", "#pragma once\ninline int price() { return std::rand(); }\n");
  // As CMake writes it: the pragma would make the project's own header count as the system's.
  Write("cmake_pch.hxx", "#pragma clang system_header\n#ifdef __cplusplus\n#include <cstdlib>\n#include <vector>\n#include \"" +
                             (scratch_.path() / "price.h").string() + "\"\n#endif\n");
  std::vector<CompileCommand> commands;
  for (const std::string name : {"a.cpp", "b.cpp", "c.cpp"}) {
    Write(name, "struct Basket { std::vector<int> items; };\nint " + name.substr(0, 1) +
                    "(const Basket& basket) { int sum = 0; for (int item : basket.items) sum += item; return sum + price(); }\n");
    commands.push_back(Command(name, {"-Xclang", "-include", "-Xclang", (scratch_.path() / "cmake_pch.hxx").string()}));
  }
  PrecompiledHeaders headers((scratch_.path()).string());
  headers.Build({&commands[0], &commands[1], &commands[2]}, 1);
  for (const auto& command : commands) {
    const Unit plain = AnalyzeFile(command, ModelSet::BuiltIn());
    ASSERT_EQ(plain.error, "");
    ASSERT_NE(headers.For(command), nullptr);
    const Unit loaded = AnalyzeFile(command, ModelSet::BuiltIn(), {.headers = headers.For(command), .deadline = {}});
    EXPECT_EQ(EncodeUnit(plain), EncodeUnit(loaded));
    EXPECT_TRUE(std::any_of(plain.functions.begin(), plain.functions.end(), [&](const Function& function) {
      return plain.strings[function.name] == "price" && (function.flags & kSystemCode) == 0 && function.hazards.size() == 1;
    }));
  }
  commands[0].arguments.push_back("-DOTHER");
  EXPECT_EQ(headers.For(commands[0]), nullptr);
}

TEST_F(FrontendTest, PrecompiledHeader_ThatDoesNotLoad_IsReadFromItsSource) {
  Write("a.cpp", "int f() { return 1; }\n");
  const Precompiled damaged{.path = Write("damaged.pch", "not a header"), .dependencies = {}};
  const Unit unit = AnalyzeFile(Command("a.cpp"), ModelSet::BuiltIn(), {.headers = &damaged, .deadline = {}});
  EXPECT_EQ(unit.error, "");
  EXPECT_EQ(unit.functions.size(), 1U);
}

TEST_F(FrontendTest, Deadline_InThePast_StopsTheLoweringAndSaysSo) {
  std::string text;
  for (int i = 0; i < 600; ++i) text += "int f" + std::to_string(i) + "(int a) { return a + a * 2 - a / 3 + (a << 1) + (a & 7) + a % 5; }\n";
  Write("a.cpp", text);
  const Unit unit = AnalyzeFile(Command("a.cpp"), ModelSet::BuiltIn(), {.headers = nullptr, .deadline = std::chrono::steady_clock::time_point()});
  EXPECT_TRUE(unit.late);
  EXPECT_TRUE(unit.budget_exhausted);
  EXPECT_LT(unit.functions.size(), 600U);
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
