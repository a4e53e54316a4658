#include "engine-core/base/files.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(Files, WriteAtomically_ReplacesAndLeavesNothingElseBehind) {
  auto folder = TemporaryDirectory::Create();
  ASSERT_TRUE(folder.has_value());
  const auto path = folder->path() / "x.json";
  ASSERT_TRUE(WriteFileAtomically(path, "one").has_value());
  ASSERT_TRUE(WriteFileAtomically(path, "two").has_value());
  EXPECT_EQ(*ReadFile(path), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder->path()), {}), 1);
}

TEST(Files, WriteAtomically_IntoAMissingFolder_FailsAndNamesIt) {
  const auto status = WriteFileAtomically("/nonexistent-folder/x", "one");
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().message.find("/nonexistent-folder/x"), std::string::npos);
}

TEST(Files, Read_RefusesMissingFoldersAndTooLarge) {
  EXPECT_EQ(ReadFile("/nonexistent-file").error().code, "FILE_NOT_FOUND");
  EXPECT_EQ(ReadFile("/").error().code, "FILE_NOT_REGULAR");
  auto folder = TemporaryDirectory::Create();
  ASSERT_TRUE(WriteFileAtomically(folder->path() / "x", "four").has_value());
  EXPECT_EQ(ReadFile(folder->path() / "x", 3).error().code, "FILE_TOO_LARGE");
}

TEST(Files, TemporaryDirectory_IsGoneAfterwards) {
  std::filesystem::path path;
  {
    auto folder = TemporaryDirectory::Create();
    path = folder->path();
    ASSERT_TRUE(WriteFileAtomically(path / "x", "1").has_value());
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace lockstep
