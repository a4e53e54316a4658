// Perturbations leave correct code alone and expose code that depends on what they disturb.
#include "replay/perturb/perturb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine-core/base/files.h"
#include "engine-core/workflow/testing/history_script.h"
#include "replay/history/writer.h"
#include "replay/perturb/testing/planted.h"

namespace lockstep::replay {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Perturbed : public ::testing::Test {
 protected:
  // A run of the workflow by this process, as a history file.
  std::string Record(const std::string& type) {
    workflow::testing::HistoryScript script(registry_, {.workflow_type = type});
    script.RunTask();
    for (const std::string& id : script.OpenActivities()) script.CompleteActivity(id);
    script.RunTasks();
    const std::string path = (folder_->path() / (type + ".json")).string();
    EXPECT_TRUE(WriteFileAtomically(path, history::WriteJson(script.history())).has_value());
    return path;
  }

  void SetUp() override {
    testing::RegisterPlanted(&registry_);
    auto folder = TemporaryDirectory::Create("lockstep-perturb");
    ASSERT_TRUE(folder.has_value());
    folder_.emplace(std::move(*folder));
  }

  PerturbResult Run(const std::string& type, const std::string& names) {
    PerturbOptions options;
    options.inputs = {Record(type)};
    options.batch.registry = &registry_;
    options.batch.jobs = 1;
    options.names = *ParsePerturbations(names);
    options.child = {std::string(LOCKSTEP_BINARY_DIR) + "/tests/perturb_planted"};
    options.preload = std::string(LOCKSTEP_BINARY_DIR) + "/lib/liblockstep_perturb.so";
    auto result = Perturb(options);
    EXPECT_TRUE(result.has_value()) << result.error().ToString();
    return result ? std::move(*result) : PerturbResult();
  }

  workflow::WorkflowRegistry registry_;
  std::optional<TemporaryDirectory> folder_;
};

TEST_F(Perturbed, CodeThatSortsFirst_IsTheSameEverywhere) {
  const PerturbResult result = Run("sorted", "all");
  EXPECT_TRUE(result.identical()) << RenderText(result, false, false);
  EXPECT_GE(result.rows.size(), 16u);
}

TEST_F(Perturbed, CommandsInHashOrder_AreCaughtByTheSalt) {
  const PerturbResult result = Run("hashed", "hash,timezone,workers,eviction");
  EXPECT_FALSE(result.identical());
  for (const PerturbRow& row : result.rows) {
    if (row.name == "hash") {
      ASSERT_FALSE(row.differences.empty()) << row.variant;
      EXPECT_THAT(row.differences.front().expected + row.differences.front().actual, HasSubstr("DIVERGED"));
    } else {
      EXPECT_THAT(row.differences, IsEmpty()) << row.name;
    }
  }
  EXPECT_THAT(RenderText(result, false, false), HasSubstr("depends on what must not matter"));
}

TEST_F(Perturbed, ChildThatGivesNothing_IsAnError) {
  PerturbOptions options;
  options.inputs = {Record("sorted")};
  options.batch.registry = &registry_;
  options.names = {"timezone"};
  options.child = {"/bin/false"};
  const auto result = Perturb(options);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, "PERTURB_CHILD_FAILED");
}

TEST(Perturbations, AreNamed) {
  EXPECT_EQ(ParsePerturbations("all")->size(), Perturbations().size());
  EXPECT_EQ(ParsePerturbations("hash,clock")->size(), 2u);
  EXPECT_THAT(ParsePerturbations("moon").error().message, HasSubstr("found moon"));
  EXPECT_FALSE(ParsePerturbations("").has_value());
}

}  // namespace
}  // namespace lockstep::replay
