// What survives the process: histories and open work, in one transaction; messages of other processes.
#include "engine-core/providers/embedded/history_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "engine-core/base/files.h"

namespace lockstep::embedded {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OneId final : public IIdGenerator {
 public:
  std::string NewUuid() override { return "id"; }
};

class HistoryStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = TemporaryDirectory::Create("lockstep-embedded");
    ASSERT_TRUE(folder.has_value());
    folder_.emplace(std::move(*folder));
    store_ = Open();
  }
  std::unique_ptr<HistoryStore> Open() {
    auto store = OpenHistoryStore(folder_->path() / "embedded.db");
    EXPECT_TRUE(store.has_value()) << store.error().ToString();
    return std::move(*store);
  }
  ServerRun Run(const std::string& id, int32_t execution = 1) {
    ExecutionStart start;
    start.workflow_id = id;
    start.run_id = id + "-" + std::to_string(execution);
    start.workflow_type = "t";
    start.task_queue = "q";
    start.execution = execution;
    return ServerRun(std::move(start), {&ids_, &ids_}, 1'000);
  }

  OneId ids_;
  std::optional<TemporaryDirectory> folder_;
  std::unique_ptr<HistoryStore> store_;
};

TEST_F(HistoryStoreTest, ChainComesBack_AsItWasSaved_AlsoForAnotherProcess) {
  ServerRun first = Run("w"), second = Run("w", 2);
  const ServerRun* only[] = {&first};
  ASSERT_TRUE(store_->Save(only).has_value());
  first.Signal(2'000, "s", {}, "client");
  first.Terminate(3'000, "enough", "client");
  const ServerRun* both[] = {&first, &second};
  ASSERT_TRUE(store_->Save(both).has_value());
  const auto other = Open();
  const auto chain = other->LoadRun("w");
  ASSERT_TRUE(chain.has_value());
  ASSERT_EQ(chain->size(), 2u);
  EXPECT_EQ((*chain)[0].history.SerializeAsString(), first.history().SerializeAsString());
  EXPECT_EQ(CanonicalJson((*chain)[1].state), CanonicalJson(second.SaveState()));
  EXPECT_THAT(*other->LoadRun("unknown"), IsEmpty());
  const auto runs = other->ListRuns();
  ASSERT_TRUE(runs.has_value());
  ASSERT_EQ(runs->size(), 1u);
  EXPECT_EQ((*runs)[0].executions, 2);
  EXPECT_FALSE((*runs)[0].closed);
}

TEST_F(HistoryStoreTest, MessagesComeInOrder_UntilTheyAreRemoved) {
  ASSERT_TRUE(store_->PostMessage("w", {0, "signal", "pause", "{}", "1"}).has_value());
  ASSERT_TRUE(store_->PostMessage("v", {0, "cancel", "enough", "", "2"}).has_value());
  ASSERT_TRUE(store_->PostMessage("w", {0, "signal", "resume", "{}", "3"}).has_value());
  const auto messages = Open()->Messages("w");
  ASSERT_TRUE(messages.has_value());
  ASSERT_EQ(messages->size(), 2u);
  EXPECT_EQ((*messages)[0].name, "pause");
  ASSERT_TRUE(store_->RemoveMessages("w", (*messages)[0].seq).has_value());
  EXPECT_EQ(store_->Messages("w")->size(), 1u);
  EXPECT_EQ(store_->Messages("v")->size(), 1u);
}

TEST_F(HistoryStoreTest, WhatIsNoStore_IsRefused) {
  const auto path = folder_->path() / "other.db";
  std::ofstream(path) << "this is no database, however long it is, and long it is indeed: " << std::string(4096, 'x');
  const auto store = OpenHistoryStore(path);
  ASSERT_FALSE(store.has_value());
  EXPECT_THAT(store.error().message, HasSubstr("other.db"));
}

}  // namespace
}  // namespace lockstep::embedded
