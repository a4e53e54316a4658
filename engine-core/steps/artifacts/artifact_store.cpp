#include "engine-core/steps/artifacts/artifact_store.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/sha256.h"
#include "engine-core/base/time.h"

namespace lockstep::artifacts {
namespace {

constexpr std::string_view kUriPrefix = "artifact:sha256/";
constexpr size_t kMaxKindBytes = 256;
constexpr size_t kMaxUriBytes = 2048;

bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::unexpected<Error> BadRef(std::string_view path, std::string expectation) {
  const std::string place(path);
  Error error("INVALID_STEP_SCHEMA", place + ": " + expectation);
  error.issues.push_back(Issue{place, "param_invalid", std::move(expectation)});
  return Fail(std::move(error));
}

// The member as text; nothing (and no finding) when it is absent.
bool ReadText(const Json& value, std::string_view name, std::string* out) {
  const Json* member = value.Find(name);
  if (member == nullptr) return true;
  if (!member->is_string()) return false;
  *out = member->AsString();
  return true;
}

}  // namespace

Json ToJson(const ArtifactRef& ref) {
  Json out = Json::MakeObject();
  out.Set("uri", ref.uri);
  out.Set("kind", ref.kind);
  if (!ref.sha256.empty()) out.Set("sha256", ref.sha256);
  if (ref.size_bytes) out.Set("sizeBytes", *ref.size_bytes);
  if (!ref.expires_at.empty()) out.Set("expiresAt", ref.expires_at);
  return out;
}

Json ToJson(const std::vector<ArtifactRef>& refs) {
  Json out = Json::MakeArray();
  for (const ArtifactRef& ref : refs) out.Push(ToJson(ref));
  return out;
}

Result<ArtifactRef> ArtifactRefFromJson(const Json& value, std::string_view path) {
  if (!value.is_object()) return BadRef(path, "expected an artifact reference, found " + std::string(value.KindName()));
  ArtifactRef ref;
  const bool texts = ReadText(value, "uri", &ref.uri) && ReadText(value, "kind", &ref.kind) &&
                     ReadText(value, "sha256", &ref.sha256) && ReadText(value, "expiresAt", &ref.expires_at);
  if (!texts) return BadRef(path, "`uri`, `kind`, `sha256` and `expiresAt` must be strings");
  if (ref.uri.empty() || ref.uri.size() > kMaxUriBytes) return BadRef(path, "`uri` must have 1 to 2048 bytes");
  if (ref.kind.empty() || ref.kind.size() > kMaxKindBytes || !IsPrintableAscii(ref.kind)) {
    return BadRef(path, "`kind` must be 1 to 256 printable ASCII bytes");
  }
  if (!ref.sha256.empty() && !IsLowerHex(ref.sha256, 64))
    return BadRef(path, "`sha256` must be 64 lower-case hex digits");
  if (!ref.expires_at.empty() && !ParseUtcMillis(ref.expires_at)) {
    return BadRef(path, "`expiresAt` must read YYYY-MM-DDThh:mm:ss.mmmZ");
  }
  if (const Json* size = value.Find("sizeBytes")) {
    if (!size->is_int() || size->AsInt() < 0) return BadRef(path, "`sizeBytes` must be an integer, 0 or more");
    ref.size_bytes = size->AsInt();
  }
  const auto digest = DigestOfUri(ref.uri);
  if (digest && !ref.sha256.empty() && *digest != ref.sha256) {
    return BadRef(path, "`sha256` differs from the digest in `uri`");
  }
  return ref;
}

std::string ArtifactUri(std::string_view sha256) { return std::string(kUriPrefix) + std::string(sha256); }

std::optional<std::string> DigestOfUri(std::string_view uri) {
  if (!uri.starts_with(kUriPrefix)) return std::nullopt;
  const std::string_view digest = uri.substr(kUriPrefix.size());
  if (!IsLowerHex(digest, 64)) return std::nullopt;
  return std::string(digest);
}

std::string AsciiKind(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string kind;
  for (const char c : text) {
    if (c >= 0x20 && c < 0x7f && c != '%') {
      kind += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      kind += '%';
      kind += kDigits[byte >> 4];
      kind += kDigits[byte & 15];
    }
  }
  if (kind.size() <= kMaxKindBytes) return kind.empty() ? "data" : kind;
  // Two long names with one beginning must stay two kinds.
  const std::string digest = Sha256Hex(kind).substr(0, 16);
  return kind.substr(0, kMaxKindBytes - digest.size() - 1) + "~" + digest;
}

Result<ArtifactRef> IArtifactStore::Put(std::string_view bytes, std::string_view kind) {
  LOCKSTEP_ASSIGN(auto writer, Create(bytes.size()));
  LOCKSTEP_TRY(writer->Write(bytes));
  return writer->Commit(kind);
}

Result<std::string> IArtifactStore::Get(std::string_view uri, uint64_t max_bytes) {
  LOCKSTEP_ASSIGN(auto reader, Open(uri));
  if (reader->size() > max_bytes) {
    return Fail("ARTIFACT_TOO_LARGE", std::string(uri) + ": expected at most " + std::to_string(max_bytes) +
                                          " bytes, found " + std::to_string(reader->size()));
  }
  std::string out;
  char buffer[64 * 1024];
  while (true) {
    LOCKSTEP_ASSIGN(const size_t count, reader->Read(buffer, sizeof buffer));
    if (count == 0) return out;
    out.append(buffer, count);
  }
}

}  // namespace lockstep::artifacts
