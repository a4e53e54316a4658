// The artifact store port (spec 00 section 5, "Artifacts"): bytes that are too large or too raw for an event, kept
// under the SHA-256 of their content. Invariant: a URI that the store handed out always names exactly those bytes or
// nothing.
//
// URI form: `artifact:sha256/<64 lower-case hex digits>`. It holds no place and no machine name, so it means the same
// on every machine that shares the store. A reference that a store returned always carries `sha256` and `sizeBytes`
// (spec 02 section 3.3).
//
// Errors: ARTIFACT_URI_INVALID, ARTIFACT_NOT_FOUND, ARTIFACT_TOO_LARGE (a writer's or caller's bound), ARTIFACT_CORRUPT
// (the bytes no longer have the digest of their name), ARTIFACT_STORE_UNAVAILABLE (retryable: the medium failed).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace lockstep::artifacts {

struct ArtifactRef {
  std::string uri;
  std::string kind;    // printable ASCII, 1 to 256 bytes
  std::string sha256;  // 64 lower-case hex digits; empty only for a reference that Lockstep did not write
  std::optional<int64_t> size_bytes;
  std::string expires_at;  // optional, `YYYY-MM-DDThh:mm:ss.mmmZ`
  friend bool operator==(const ArtifactRef&, const ArtifactRef&) = default;
};

Json ToJson(const ArtifactRef& ref);
Json ToJson(const std::vector<ArtifactRef>& refs);
// INVALID_STEP_SCHEMA with one issue when the shape is wrong; `path` is where the value stands, for the message.
Result<ArtifactRef> ArtifactRefFromJson(const Json& value, std::string_view path);

std::string ArtifactUri(std::string_view sha256);
// The digest a URI of this store names, or nothing.
std::optional<std::string> DigestOfUri(std::string_view uri);
// Any text as a legal `kind`: bytes outside printable ASCII, and `%`, become %XX; over-long text is cut and its digest
// added.
std::string AsciiKind(std::string_view text);

// Takes a stream. Not thread-safe. A writer that dies without `Commit` leaves nothing behind.
class ArtifactWriter {
 public:
  virtual ~ArtifactWriter() = default;
  // ARTIFACT_TOO_LARGE once the bound would be passed; the writer is of no use afterwards.
  virtual Status Write(std::string_view bytes) = 0;
  virtual uint64_t size() const = 0;
  // Makes the bytes durable under their digest. At most once.
  virtual Result<ArtifactRef> Commit(std::string_view kind) = 0;
};

// Gives a stream back. Not thread-safe.
class ArtifactReader {
 public:
  virtual ~ArtifactReader() = default;
  // Fills at most `capacity` bytes; 0 at the end. ARTIFACT_CORRUPT instead of the end when the digest of all bytes is
  // wrong.
  virtual Result<size_t> Read(char* buffer, size_t capacity) = 0;
  virtual uint64_t size() const = 0;
};

// Thread-safe; several processes may share one store.
class IArtifactStore {
 public:
  virtual ~IArtifactStore() = default;
  virtual Result<std::unique_ptr<ArtifactWriter>> Create(uint64_t max_bytes) = 0;
  virtual Result<std::unique_ptr<ArtifactReader>> Open(std::string_view uri) = 0;

  // The whole of a small artifact.
  Result<ArtifactRef> Put(std::string_view bytes, std::string_view kind);
  Result<std::string> Get(std::string_view uri, uint64_t max_bytes);
};

}  // namespace lockstep::artifacts
