// The artifact store's promises: content addressing, nothing half-written, damage found, bounds kept.
#include "engine-core/steps/artifacts/directory_store.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <fstream>
#include <thread>

#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"

namespace lockstep::artifacts {
namespace {

namespace fs = std::filesystem;

class DirectoryStoreTest : public testing::Test {
 protected:
  void SetUp() override { store_ = OpenDirectoryStore(root()).value(); }
  fs::path root() const { return directory_.path() / "artifacts"; }
  fs::path PathOf(const std::string& digest) const { return root() / digest.substr(0, 2) / digest; }
  size_t FileCount() const {
    size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(root())) count += entry.is_regular_file() ? 1 : 0;
    return count;
  }
  TemporaryDirectory directory_ = TemporaryDirectory::Create("lockstep-artifacts").value();
  std::shared_ptr<IArtifactStore> store_;
};

TEST_F(DirectoryStoreTest, Commit_PlacesBytesUnderTheirDigest) {
  auto writer = store_->Create(100).value();
  ASSERT_TRUE(writer->Write("hel").has_value());
  ASSERT_TRUE(writer->Write("lo").has_value());
  EXPECT_EQ(writer->size(), 5u);
  const auto ref = writer->Commit("stdout");
  ASSERT_TRUE(ref.has_value());
  const std::string digest = Sha256Hex("hello");
  EXPECT_EQ(ref->uri, "artifact:sha256/" + digest);
  EXPECT_EQ(ref->sha256, digest);
  EXPECT_EQ(ref->size_bytes, 5);
  EXPECT_EQ(ref->kind, "stdout");
  EXPECT_EQ(ReadFile(PathOf(digest)).value(), "hello");
  EXPECT_EQ(store_->Get(ref->uri, 5).value(), "hello");
}

TEST_F(DirectoryStoreTest, Commit_EqualContentIsStoredOnce) {
  const auto first = store_->Put("same", "a");
  const auto before = fs::last_write_time(PathOf(first->sha256));
  const auto second = store_->Put("same", "b");
  EXPECT_EQ(first->uri, second->uri);
  EXPECT_EQ(second->kind, "b");
  EXPECT_EQ(FileCount(), 1u);
  EXPECT_EQ(fs::last_write_time(PathOf(first->sha256)), before);
}

TEST_F(DirectoryStoreTest, Commit_EmptyContentIsAnArtifact) {
  const auto ref = store_->Put("", "stdout");
  ASSERT_TRUE(ref.has_value());
  EXPECT_EQ(ref->sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(store_->Get(ref->uri, 0).value(), "");
}

TEST_F(DirectoryStoreTest, Commit_ReplacesATruncatedFileOfThatName) {
  const auto ref = store_->Put("whole content", "a").value();
  fs::resize_file(PathOf(ref.sha256), 3);
  ASSERT_TRUE(store_->Put("whole content", "a").has_value());
  EXPECT_EQ(store_->Get(ref.uri, 100).value(), "whole content");
}

TEST_F(DirectoryStoreTest, Writer_DroppedWithoutCommit_LeavesNothing) {
  {
    auto writer = store_->Create(100).value();
    ASSERT_TRUE(writer->Write("half").has_value());
    EXPECT_EQ(FileCount(), 1u);
  }
  EXPECT_EQ(FileCount(), 0u);
}

TEST_F(DirectoryStoreTest, Writer_PastItsBound_IsTooLargeAndStoresNothing) {
  {
    auto writer = store_->Create(4).value();
    ASSERT_TRUE(writer->Write("1234").has_value());
    const auto status = writer->Write("5");
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, "ARTIFACT_TOO_LARGE");
    EXPECT_FALSE(status.error().retryable);
  }
  EXPECT_EQ(FileCount(), 0u);
}

TEST_F(DirectoryStoreTest, Get_BiggerThanAllowed_IsTooLarge) {
  const auto ref = store_->Put("123456", "a").value();
  EXPECT_EQ(store_->Get(ref.uri, 5).error().code, "ARTIFACT_TOO_LARGE");
}

TEST_F(DirectoryStoreTest, Open_UnknownDigest_IsNotFound) {
  EXPECT_EQ(store_->Open(ArtifactUri(Sha256Hex("nowhere"))).error().code, "ARTIFACT_NOT_FOUND");
}

TEST_F(DirectoryStoreTest, Open_OtherUris_AreInvalid) {
  const std::string digest = Sha256Hex("x");
  for (const std::string& uri :
       {std::string(), std::string("artifact:sha256/"), "artifact:sha256/" + digest + "0", "artifact:md5/" + digest,
        "artifact:sha256/../" + digest, std::string("s3://bucket/key"), "artifact:sha256/" + std::string(64, 'A')}) {
    EXPECT_EQ(store_->Open(uri).error().code, "ARTIFACT_URI_INVALID") << uri;
  }
}

TEST_F(DirectoryStoreTest, Read_DamagedBytes_AreReportedWithBothDigests) {
  const auto ref = store_->Put("precious", "a").value();
  std::ofstream(PathOf(ref.sha256), std::ios::trunc) << "Precious";
  const auto read = store_->Get(ref.uri, 100);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, "ARTIFACT_CORRUPT");
  EXPECT_EQ(read.error().Detail("expectedSha256"), ref.sha256);
  EXPECT_EQ(read.error().Detail("actualSha256"), Sha256Hex("Precious"));
}

TEST_F(DirectoryStoreTest, SecondStoreOnTheSameDirectory_ReadsWhatTheFirstWrote) {
  const auto ref = store_->Put("shared", "a").value();
  const auto other = OpenDirectoryStore(root()).value();
  EXPECT_EQ(other->Get(ref.uri, 100).value(), "shared");
}

TEST_F(DirectoryStoreTest, ConcurrentWritersOfOneContent_AllSucceed) {
  const std::string content(300000, 'z');
  std::vector<std::thread> threads;
  std::vector<Result<ArtifactRef>> refs(8, ArtifactRef{});
  for (size_t i = 0; i < refs.size(); ++i) threads.emplace_back([&, i] { refs[i] = store_->Put(content, "a"); });
  for (auto& thread : threads) thread.join();
  for (const auto& ref : refs) EXPECT_EQ(ref->sha256, Sha256Hex(content));
  EXPECT_EQ(FileCount(), 1u);
}

TEST_F(DirectoryStoreTest, MediumFailure_IsRetryable) {
  fs::remove_all(root());
  const auto ref = store_->Put("x", "a");
  ASSERT_FALSE(ref.has_value());
  EXPECT_EQ(ref.error().code, "ARTIFACT_STORE_UNAVAILABLE");
  EXPECT_TRUE(ref.error().retryable);
}

TEST_F(DirectoryStoreTest, Open_RemovesWritesThatWereAbandonedLongAgo) {
  std::ofstream(root() / "tmp/old") << "half";
  std::ofstream(root() / "tmp/new") << "half";
  fs::last_write_time(root() / "tmp/old", fs::file_time_type::clock::now() - std::chrono::hours(25));
  ASSERT_TRUE(OpenDirectoryStore(root()).has_value());
  EXPECT_FALSE(fs::exists(root() / "tmp/old"));
  EXPECT_TRUE(fs::exists(root() / "tmp/new"));
}

TEST(OpenDirectoryStore, WhereAFileStands_IsUnavailable) {
  const auto directory = TemporaryDirectory::Create("lockstep-artifacts").value();
  std::ofstream(directory.path() / "file") << "x";
  EXPECT_EQ(OpenDirectoryStore(directory.path() / "file").error().code, "ARTIFACT_STORE_UNAVAILABLE");
  EXPECT_EQ(OpenDirectoryStore("").error().code, "ARTIFACT_STORE_UNAVAILABLE");
}

TEST_F(DirectoryStoreTest, Property_AnyContentInAnyChunksComesBack) {
  rc::check("store gives back what was written", [this](const std::vector<std::string>& chunks) {
    auto writer = store_->Create(kNoSizeLimit).value();
    std::string whole;
    for (const auto& chunk : chunks) {
      whole += chunk;
      RC_ASSERT(writer->Write(chunk).has_value());
    }
    const auto ref = writer->Commit("any").value();
    RC_ASSERT(ref.sha256 == Sha256Hex(whole));
    RC_ASSERT(store_->Get(ref.uri, whole.size()).value() == whole);
  });
}

TEST(ArtifactRefJson, RoundTripsEveryField) {
  ArtifactRef ref{ArtifactUri(Sha256Hex("x")), "file:a.csv", Sha256Hex("x"), 1, "2026-02-12T00:00:00.000Z"};
  EXPECT_EQ(ArtifactRefFromJson(ToJson(ref), "$").value(), ref);
  EXPECT_EQ(CanonicalJson(ToJson(ArtifactRef{"s3://b/k", "data", "", std::nullopt, ""})),
            R"({"kind":"data","uri":"s3://b/k"})");
}

TEST(ArtifactRefJson, RefusesWrongShapes) {
  const std::string digest = Sha256Hex("x");
  for (const Json& bad :
       {Json("text"), Json::MakeObject({{"kind", "a"}}), Json::MakeObject({{"uri", "u"}}),
        Json::MakeObject({{"uri", 1}, {"kind", "a"}}), Json::MakeObject({{"uri", "u"}, {"kind", "\xc3\xa4"}}),
        Json::MakeObject({{"uri", "u"}, {"kind", "a"}, {"sha256", "12"}}),
        Json::MakeObject({{"uri", "u"}, {"kind", "a"}, {"sizeBytes", -1}}),
        Json::MakeObject({{"uri", "u"}, {"kind", "a"}, {"expiresAt", "soon"}}),
        Json::MakeObject({{"uri", ArtifactUri(digest)}, {"kind", "a"}, {"sha256", Sha256Hex("y")}})}) {
    const auto ref = ArtifactRefFromJson(bad, "artifactRefs[0]");
    ASSERT_FALSE(ref.has_value()) << CanonicalJson(bad);
    EXPECT_EQ(ref.error().code, "INVALID_STEP_SCHEMA");
    EXPECT_EQ(ref.error().issues.at(0).path, "artifactRefs[0]");
  }
}

TEST(AsciiKind, KeepsNamesApart) {
  EXPECT_EQ(AsciiKind("file:a b.csv"), "file:a b.csv");
  EXPECT_EQ(AsciiKind("file:\xc3\xa4%"), "file:%C3%A4%25");
  EXPECT_EQ(AsciiKind(""), "data");
  const std::string a = AsciiKind(std::string(400, 'a') + "1");
  const std::string b = AsciiKind(std::string(400, 'a') + "2");
  EXPECT_EQ(a.size(), 256u);
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace lockstep::artifacts
