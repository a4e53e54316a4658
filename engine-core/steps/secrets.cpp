#include "engine-core/steps/secrets.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/base/ids.h"
#include "engine-core/steps/step_error.h"

namespace lockstep::steps {
namespace {

constexpr uint64_t kMaxSecretBytes = 64 * 1024;

// One path element, never hidden and never `..`.
bool IsFileName(std::string_view text) {
  if (text.empty() || text.size() > 128) return false;
  if (!IsAsciiAlnum(text.front()) && text.front() != '_') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return IsAsciiAlnum(c) || c == '_' || c == '-' || c == '.' || c == ':' || c == '+';
  });
}

class DirectoryProvider final : public ISecretsProvider {
 public:
  explicit DirectoryProvider(std::filesystem::path root) : root_(std::move(root)) {}

  Result<std::string> Resolve(const RunIdentity& run, const SecretRef& ref) override {
    const bool legal = IsIdentifier(run.tenant_id) && IsIdentifier(run.environment_id) && IsFileName(ref.secret_id) &&
                       IsFileName(ref.key) && (ref.version.empty() || IsFileName(ref.version));
    if (!legal) return NotFound(ref);
    const std::string folder = ref.version.empty() ? ref.secret_id : ref.secret_id + "@" + ref.version;
    auto value = ReadFile(root_ / run.tenant_id / run.environment_id / folder / ref.key, kMaxSecretBytes);
    if (!value) {
      if (value.error().code == "FILE_NOT_FOUND" || value.error().code == "FILE_TOO_LARGE") return NotFound(ref);
      return Fail(StepError("SECRET_STORE_UNAVAILABLE", Category::kPlatform, true,
                            "secret `" + ref.name + "`: the secret store did not answer"));
    }
    if (value->ends_with('\n')) value->pop_back();
    return value;
  }

 private:
  static std::unexpected<Error> NotFound(const SecretRef& ref) {
    return Fail(StepError("SECRET_NOT_FOUND", Category::kUser, false,
                          "secret `" + ref.name + "`: nothing under secret id `" + ref.secret_id + "`, key `" +
                              ref.key + "`" + (ref.version.empty() ? "" : ", version `" + ref.version + "`") +
                              " for this tenant and environment"));
  }

  std::filesystem::path root_;
};

}  // namespace

std::shared_ptr<ISecretsProvider> DirectorySecrets(std::filesystem::path root) {
  return std::make_shared<DirectoryProvider>(std::move(root));
}

}  // namespace lockstep::steps
