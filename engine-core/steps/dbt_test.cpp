// `dbt.*` against a program that behaves like dbt where it matters: arguments, exit codes, result files.
#include "engine-core/steps/dbt.h"

#include "engine-core/steps/testing/step_test.h"

namespace lockstep::steps {
namespace {

namespace fs = std::filesystem;

class DbtTest : public testing::StepTest {
 protected:
  // A program that notes its arguments and ends with `exit_code`.
  void Configure(int exit_code) {
    const auto program = Path("dbt");
    std::ofstream(program) << "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$NOTES\"\n"
                              "while [ $# -gt 0 ]; do if [ \"$1\" = --target-path ]; then mkdir -p \"$2\"; printf '{}' "
                              "> \"$2/run_results.json\"; fi; shift; done\n"
                              "echo 'Completed'; exit "
                           << exit_code << "\n";
    fs::permissions(program, fs::perms::owner_all);
    DbtSettings& settings = services_.configuration.dbt;
    settings.program = program.string();
    settings.project_dir = "/srv/project";
    settings.profiles_dir = "/srv/profiles";
    settings.env = {{"NOTES", PathText("notes")}, {"PATH", "/usr/bin:/bin"}};
  }
  std::vector<std::string> Notes() const {
    std::ifstream in(Path("notes"));
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }
};

TEST_F(DbtTest, Run_PassesSelectionAndVariables) {
  Configure(0);
  target_ = Json::MakeObject({{"connection", "prod"}});
  const auto value = Run("dbt.run", Json::MakeObject({{"select", Json(Json::Array{"orders", "tag:daily"})},
                                                      {"exclude", Json(Json::Array{"old"})},
                                                      {"vars", Json::MakeObject({{"day", "2026-02-18"}})}}));
  ASSERT_TRUE(value.has_value()) << value.error().message;
  const auto notes = Notes();
  ASSERT_GE(notes.size(), 10u);
  EXPECT_EQ(notes[0], "run");
  const std::vector<std::string> tail(notes.end() - 9, notes.end());
  EXPECT_EQ(tail, (std::vector<std::string>{"--select", "orders", "tag:daily", "--exclude", "old", "--vars",
                                            R"({"day":"2026-02-18"})", "--target", "prod"}));
  EXPECT_NE(std::find(notes.begin(), notes.end(), "/srv/project"), notes.end());
  EXPECT_NE(std::find(notes.begin(), notes.end(), "/srv/profiles"), notes.end());
}

TEST_F(DbtTest, Output_StandsInTheLog_SoThatOutcomesStayComparable) {
  Configure(0);
  const auto value = Run("dbt.test", Json::MakeObject());
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_TRUE(value->Find("artifactRefs")->AsArray().empty());
  const Json* log = value->Find("result")->Find("log");
  EXPECT_EQ(Artifact(*log->Find("stdout")), "Completed\n");
  EXPECT_EQ(log->Find("files")->AsArray().at(0).GetString("path"), "target/run_results.json");
  EXPECT_EQ(Notes().at(0), "test");
}

TEST_F(DbtTest, Compile_IsTheThirdCommand) {
  Configure(0);
  ASSERT_TRUE(Run("dbt.compile", Json::MakeObject()).has_value());
  EXPECT_EQ(Notes().at(0), "compile");
}

TEST_F(DbtTest, ExitOne_IsTransient_ExitTwo_IsPermanent) {
  Configure(1);
  EXPECT_ERROR(Run("dbt.run", Json::MakeObject()), "TRANSIENT_STEP_ERROR");
  Configure(2);
  EXPECT_ERROR(Run("dbt.run", Json::MakeObject()), "PERMANENT_STEP_ERROR");
}

TEST_F(DbtTest, WithoutConfiguration_IsRefusedWithoutRetry) {
  const auto value = Run("dbt.run", Json::MakeObject());
  EXPECT_ERROR(value, "DBT_NOT_CONFIGURED");
  EXPECT_FALSE(value.error().retryable);
}

TEST_F(DbtTest, SelectorThatLooksLikeAnOption_IsRefused) {
  Configure(0);
  for (const char* selector : {"--profiles-dir", "-x", ""}) {
    EXPECT_ERROR(Run("dbt.run", Json::MakeObject({{"select", Json(Json::Array{selector})}})), "INVALID_STEP_SCHEMA");
  }
  target_ = Json::MakeObject({{"connection", "--evil"}});
  EXPECT_ERROR(Run("dbt.run", Json::MakeObject()), "INVALID_STEP_SCHEMA");
}

}  // namespace
}  // namespace lockstep::steps
