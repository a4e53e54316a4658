#include "engine-core/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace lockstep {
namespace {

std::unexpected<Error> IoFailure(const std::filesystem::path& path, const char* what, int error) {
  const char* code = error == ENOENT ? "FILE_NOT_FOUND" : error == EISDIR ? "FILE_NOT_REGULAR" : "FILE_IO";
  return Fail(code, path.string() + ": " + what + ": " + std::strerror(error));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ > 2) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Status WriteAll(int fd, const std::filesystem::path& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return IoFailure(path, "cannot write", errno);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

// Up to `count` bytes behind what `out` holds; 0 at the end.
ssize_t ReadMore(int fd, size_t count, std::string* out) {
  const size_t before = out->size();
  ssize_t got = 0;
  out->resize_and_overwrite(before + count, [&](char* data, size_t) {
    do {
      got = ::read(fd, data + before, count);
    } while (got < 0 && errno == EINTR);
    return before + static_cast<size_t>(std::max<ssize_t>(got, 0));
  });
  return got;
}

}  // namespace

Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes) {
  constexpr size_t kBlock = 64 * 1024;
  constexpr size_t kSlack = 256;  // for the end of the file to be found, and for readers that pad what they parse
  const bool standard_input = path == "-";
  const Descriptor file(standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return IoFailure(path, "cannot open", errno);
  std::string out;
  struct stat info {};
  if (::fstat(file.get(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return IoFailure(path, "cannot read", EISDIR);
    if (S_ISREG(info.st_mode) && info.st_size > 0) {
      out.reserve(std::min(static_cast<uint64_t>(info.st_size), max_bytes) + kSlack);
    }
  }
  while (true) {
    // One byte more than is allowed shows that there is more.
    const uint64_t allowed = max_bytes - out.size() + (max_bytes < UINT64_MAX ? 1 : 0);
    const size_t left = out.capacity() - out.size();
    const size_t room = left >= kSlack ? left : std::max(kBlock, out.size());
    const ssize_t count = ReadMore(file.get(), static_cast<size_t>(std::min<uint64_t>(room, allowed)), &out);
    if (count < 0) return IoFailure(path, "cannot read", errno);
    if (count == 0) return out;
    if (out.size() > max_bytes) {
      return Fail("FILE_TOO_LARGE", path.string() + ": expected at most " + std::to_string(max_bytes) + " bytes, found more");
    }
  }
}

Status WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  std::string temporary = (folder / ("." + path.filename().string() + ".XXXXXX")).string();
  const int raw = ::mkstemp(temporary.data());
  if (raw < 0) return IoFailure(path, "cannot create a temporary file beside it", errno);
  Status status;
  {
    const Descriptor file(raw);
    status = WriteAll(file.get(), path, bytes);
    if (status && ::fchmod(file.get(), 0644) != 0) status = IoFailure(path, "cannot set the mode", errno);
    if (status && ::fsync(file.get()) != 0) status = IoFailure(path, "cannot flush", errno);
  }
  if (status && ::rename(temporary.c_str(), path.c_str()) != 0) status = IoFailure(path, "cannot rename into place", errno);
  if (!status) {
    ::unlink(temporary.c_str());
    return status;
  }
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
  return {};
}

Status CreateDirectories(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return Fail("FILE_IO", path.string() + ": cannot create the folder: " + error.message());
  return {};
}

Result<TemporaryDirectory> TemporaryDirectory::Create(std::string_view prefix) {
  std::error_code error;
  const std::filesystem::path base = std::filesystem::temp_directory_path(error);
  if (error) return Fail("FILE_IO", "no temporary folder: " + error.message());
  std::string name = (base / (std::string(prefix) + "-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) return IoFailure(name, "cannot create", errno);
  return TemporaryDirectory(std::filesystem::path(name));
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

TemporaryDirectory::TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TemporaryDirectory& TemporaryDirectory::operator=(TemporaryDirectory&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

}  // namespace lockstep
