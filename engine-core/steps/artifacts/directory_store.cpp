#include "engine-core/steps/artifacts/directory_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "engine-core/base/check.h"
#include "engine-core/base/clock.h"
#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"
#include "engine-core/steps/descriptor.h"

namespace lockstep::artifacts {
namespace {

namespace fs = std::filesystem;
using steps::Descriptor;

std::unexpected<Error> MediumFailure(const fs::path& path, const char* what, int error) {
  return Fail("ARTIFACT_STORE_UNAVAILABLE", path.string() + ": " + what + ": " + std::strerror(error), true);
}

Status SyncFolder(const fs::path& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) return MediumFailure(folder, "cannot open", errno);
  if (::fsync(descriptor.get()) != 0) return MediumFailure(folder, "cannot sync", errno);
  return {};
}

// Size of the regular file at `path`; nothing when there is none.
std::optional<uint64_t> FileSize(const fs::path& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<uint64_t>(info.st_size);
}

// Writers that died with their process leave temporary files; nobody writes for a day.
constexpr auto kAbandonedAfter = std::chrono::hours(24);

void SweepAbandoned(const fs::path& folder) {
  std::error_code error;
  const auto limit = fs::file_time_type::clock::now() - kAbandonedAfter;
  for (fs::directory_iterator entries(folder, error); !error && entries != fs::directory_iterator();
       entries.increment(error)) {
    std::error_code ignored;
    const auto written = entries->last_write_time(ignored);
    if (!ignored && written < limit) fs::remove(entries->path(), ignored);
  }
}

class DirectoryWriter final : public ArtifactWriter {
 public:
  DirectoryWriter(fs::path root, fs::path temporary, Descriptor file, uint64_t max_bytes)
      : root_(std::move(root)), temporary_(std::move(temporary)), file_(std::move(file)), max_bytes_(max_bytes) {}
  ~DirectoryWriter() override {
    file_.Close();
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  uint64_t size() const override { return size_; }

  Status Write(std::string_view bytes) override {
    LOCKSTEP_CHECK(!committed_, "write after commit");
    if (bytes.size() > max_bytes_ - size_) {
      return Fail("ARTIFACT_TOO_LARGE",
                  "artifact: expected at most " + std::to_string(max_bytes_) + " bytes, found more");
    }
    digest_.Update(bytes);
    size_ += bytes.size();
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return MediumFailure(temporary_, "cannot write", errno);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return {};
  }

  Result<ArtifactRef> Commit(std::string_view kind) override {
    LOCKSTEP_CHECK(!committed_, "second commit");
    committed_ = true;
    const std::string digest = ToHex(digest_.Finish());
    LOCKSTEP_TRY(Place(digest));
    ArtifactRef ref;
    ref.uri = ArtifactUri(digest);
    ref.kind = AsciiKind(kind);
    ref.sha256 = digest;
    ref.size_bytes = static_cast<int64_t>(size_);
    return ref;
  }

 private:
  Status Place(const std::string& digest) {
    const fs::path folder = root_ / digest.substr(0, 2);
    const fs::path target = folder / digest;
    // A file of another length under this name is damage (a crash of the medium): the good bytes replace it.
    if (FileSize(target) == size_) return {};
    if (::fsync(file_.get()) != 0) return MediumFailure(temporary_, "cannot sync", errno);
    file_.Close();
    if (::mkdir(folder.c_str(), 0777) == 0) {
      LOCKSTEP_TRY(SyncFolder(root_));
    } else if (errno != EEXIST) {
      return MediumFailure(folder, "cannot create", errno);
    }
    if (::rename(temporary_.c_str(), target.c_str()) != 0) return MediumFailure(target, "cannot rename", errno);
    temporary_.clear();
    return SyncFolder(folder);
  }

  fs::path root_;
  fs::path temporary_;
  Descriptor file_;
  uint64_t max_bytes_;
  uint64_t size_ = 0;
  bool committed_ = false;
  Sha256Stream digest_;
};

class DirectoryReader final : public ArtifactReader {
 public:
  DirectoryReader(std::string expected, Descriptor file, uint64_t size)
      : expected_(std::move(expected)), file_(std::move(file)), size_(size) {}

  uint64_t size() const override { return size_; }

  Result<size_t> Read(char* buffer, size_t capacity) override {
    if (done_) return size_t{0};
    ssize_t count;
    do {
      count = ::read(file_.get(), buffer, capacity);
    } while (count < 0 && errno == EINTR);
    if (count < 0) return MediumFailure(expected_, "cannot read", errno);
    if (count > 0) {
      digest_.Update(std::string_view(buffer, static_cast<size_t>(count)));
      return static_cast<size_t>(count);
    }
    done_ = true;
    const std::string found = ToHex(digest_.Finish());
    if (found != expected_) {
      return Fail(Error("ARTIFACT_CORRUPT", ArtifactUri(expected_) + ": the stored bytes have SHA-256 " + found)
                      .With("expectedSha256", expected_)
                      .With("actualSha256", found));
    }
    return size_t{0};
  }

 private:
  std::string expected_;
  Descriptor file_;
  uint64_t size_;
  bool done_ = false;
  Sha256Stream digest_;
};

class DirectoryStore final : public IArtifactStore {
 public:
  explicit DirectoryStore(fs::path root) : root_(std::move(root)) {}

  Result<std::unique_ptr<ArtifactWriter>> Create(uint64_t max_bytes) override {
    const fs::path temporary = root_ / "tmp" / SystemIdGenerator().NewUuid();
    Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (file.get() < 0) return MediumFailure(temporary, "cannot create", errno);
    return std::make_unique<DirectoryWriter>(root_, temporary, std::move(file), max_bytes);
  }

  Result<std::unique_ptr<ArtifactReader>> Open(std::string_view uri) override {
    const auto digest = DigestOfUri(uri);
    if (!digest) {
      return Fail("ARTIFACT_URI_INVALID", "artifact URI: expected `artifact:sha256/` and 64 hex digits, found `" +
                                              std::string(uri.substr(0, 120)) + "`");
    }
    const fs::path path = root_ / digest->substr(0, 2) / *digest;
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (file.get() < 0 && errno == ENOENT)
      return Fail("ARTIFACT_NOT_FOUND", std::string(uri) + ": not in the artifact store");
    if (file.get() < 0) return MediumFailure(path, "cannot open", errno);
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return MediumFailure(path, "cannot examine", errno);
    if (!S_ISREG(info.st_mode)) return Fail("ARTIFACT_CORRUPT", path.string() + ": not a regular file");
    return std::make_unique<DirectoryReader>(*digest, std::move(file), static_cast<uint64_t>(info.st_size));
  }

 private:
  fs::path root_;
};

}  // namespace

Result<std::shared_ptr<IArtifactStore>> OpenDirectoryStore(const fs::path& root) {
  std::error_code absolute_error;
  const fs::path absolute = fs::absolute(root, absolute_error);
  if (absolute_error || root.empty()) return Fail("ARTIFACT_STORE_UNAVAILABLE", "artifact directory: expected a path");
  if (auto made = CreateDirectories(absolute / "tmp"); !made) {
    return Fail("ARTIFACT_STORE_UNAVAILABLE", made.error().message, true);
  }
  if (::access((absolute / "tmp").c_str(), W_OK | X_OK) != 0)
    return MediumFailure(absolute / "tmp", "cannot write", errno);
  SweepAbandoned(absolute / "tmp");
  return std::make_shared<DirectoryStore>(absolute);
}

}  // namespace lockstep::artifacts
