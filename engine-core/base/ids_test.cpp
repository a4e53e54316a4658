#include "engine-core/base/ids.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(Ids, StepId_FollowsSpec01Section53) {
  EXPECT_TRUE(IsStepId("extract.orders"));
  EXPECT_TRUE(IsStepId("_a:b/c-d"));
  EXPECT_FALSE(IsStepId("RUN"));
  EXPECT_FALSE(IsStepId(""));
  EXPECT_FALSE(IsStepId("a|b"));
  EXPECT_FALSE(IsStepId(".a"));
  EXPECT_TRUE(IsStepId(std::string(128, 'a')));
  EXPECT_FALSE(IsStepId(std::string(129, 'a')));
}

TEST(Ids, PlanVersion_IsOpaque) {
  for (const char* text : {"2", "2026.02.19", "1.0.0+build-1"}) EXPECT_TRUE(IsPlanVersion(text)) << text;
  for (const char* text : {"", "a|b", "-1", "a:b"}) EXPECT_FALSE(IsPlanVersion(text)) << text;
}

TEST(Ids, EventType_IsPascalCase) {
  EXPECT_TRUE(IsEventType("RunStarted"));
  for (const char* text : {"onRun", "Ru", "Run_Started", "RunStarted1234567890123456789012345678901234567890123456789012345678"}) {
    EXPECT_FALSE(IsEventType(text)) << text;
  }
}

TEST(Ids, Uuid_HasVersionFourAndVariantTen) {
  EXPECT_EQ(FormatUuidV4({}), "00000000-0000-4000-8000-000000000000");
  EXPECT_TRUE(IsUuidV4(SystemIdGenerator().NewUuid()));
  EXPECT_TRUE(IsUuidV4("0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a"));
  EXPECT_FALSE(IsUuidV4("0d3c6a9e-4f0c-1a8e-9d5d-3d4c0f7dbb8a"));
  EXPECT_FALSE(IsUuidV4("0D3C6A9E-4F0C-4A8E-9D5D-3D4C0F7DBB8A"));
}

}  // namespace
}  // namespace lockstep
