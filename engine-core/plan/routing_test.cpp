// Queue selection (spec 04 section 5.3) row by row.
#include "engine-core/plan/routing.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace lockstep::plan {
namespace {

Step With(WorkerClass worker_class, std::optional<std::string> queue = std::nullopt) {
  Step step;
  step.step_id = "s";
  step.worker_class = worker_class;
  step.task_queue = std::move(queue);
  return step;
}
const QueueScope kScope{"acme", "dev", {"tq-data-gpu"}};

TEST(SelectQueue, Row1_ExplicitQueue) {
  EXPECT_EQ(*SelectQueue(With(WorkerClass::kControl, "tq-data-gpu"), kScope), "tq-data-gpu");
  EXPECT_EQ(*SelectQueue(With(WorkerClass::kControl, "tq-data-dev"), kScope), "tq-data-dev");
  EXPECT_EQ(*SelectQueue(With(WorkerClass::kControl, "tq-isolation-acme-dev"), kScope), "tq-isolation-acme-dev");
}
TEST(SelectQueue, Row2_Isolation) {
  EXPECT_EQ(*SelectQueue(With(WorkerClass::kIsolation), kScope), "tq-isolation-acme-dev");
}
TEST(SelectQueue, Row3_Data) { EXPECT_EQ(*SelectQueue(With(WorkerClass::kData), kScope), "tq-data-dev"); }
TEST(SelectQueue, Row4_Control) { EXPECT_EQ(*SelectQueue(With(WorkerClass::kControl), kScope), "tq-control-dev"); }

TEST(SelectQueue, ForeignQueue_TASK_QUEUE_NOT_ALLOWED) {
  for (const char* queue :
       {"tq-isolation-other-dev", "tq-data-prod", "tq-control-prod", "default", "", "tq-data-", "TQ-data-dev"}) {
    const auto selected = SelectQueue(With(WorkerClass::kData, queue), kScope);
    ASSERT_FALSE(selected.has_value()) << queue;
    EXPECT_EQ(selected.error().code, "TASK_QUEUE_NOT_ALLOWED");
    EXPECT_EQ(selected.error().issues[0].path, "steps[0].taskQueue");
  }
}

TEST(IsQueueName, Pattern) {
  for (const char* good : {"tq-control-dev", "tq-data-eu-1", "tq-isolation-acme-dev", "tq-isolation-a-b-c"})
    EXPECT_TRUE(IsQueueName(good)) << good;
  for (const char* bad : {"tq-control-", "tq-isolation-acme", "tq-isolation-acme-", "tq-isolation-", "tq-other-dev",
                          "tq-control-Dev", "xtq-control-dev", "tq-control-a_b"}) {
    EXPECT_FALSE(IsQueueName(bad)) << bad;
  }
  EXPECT_TRUE(IsQueueName("tq-data-" + std::string(192, 'a')));
  EXPECT_FALSE(IsQueueName("tq-data-" + std::string(193, 'a')));
}

TEST(DerivedQueue, AnyIds_GiveLegalNames) {
  rc::check([] {
    const auto id = rc::gen::container<std::string>(rc::gen::element('a', 'Z', '0', '.', '_', ':', '-'));
    const std::string tenant = "t" + *id, environment = "e" + *id;
    for (const auto worker_class : {WorkerClass::kControl, WorkerClass::kData, WorkerClass::kIsolation}) {
      RC_ASSERT(IsQueueName(DerivedQueue(worker_class, tenant, environment)));
    }
  });
}
TEST(DerivedQueue, TenantsThatDifferInCaseOnly_DoNotShare) {
  EXPECT_NE(DerivedQueue(WorkerClass::kIsolation, "acme", "dev"), DerivedQueue(WorkerClass::kIsolation, "Acme", "dev"));
  EXPECT_NE(DerivedQueue(WorkerClass::kIsolation, "a.b", "dev"), DerivedQueue(WorkerClass::kIsolation, "a_b", "dev"));
  EXPECT_TRUE(IsQueueName(DerivedQueue(WorkerClass::kIsolation, std::string(128, 'x'), std::string(128, 'y'))));
}

}  // namespace
}  // namespace lockstep::plan
