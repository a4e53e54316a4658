// A stream on its way into the artifact store: secrets are masked, the end of the stream is remembered for error texts.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine-core/base/result.h"
#include "engine-core/steps/artifacts/artifact_store.h"
#include "engine-core/steps/redactor.h"

namespace lockstep::steps {

class ArtifactSink {
 public:
  // `redactor` must outlive the sink.
  static Result<ArtifactSink> Open(artifacts::IArtifactStore& store, const Redactor& redactor, uint64_t max_bytes);
  Status Write(std::string_view bytes);
  Result<artifacts::ArtifactRef> Commit(std::string_view kind);
  // The last `kTailBytes` written, cut to whole code points, control characters other than line feed and tab replaced.
  std::string Tail() const;

  // All of it, when it is UTF-8 of at most `kWholeBytes`.
  std::optional<std::string> WholeText() const;

  // So that a message with a tail stays below the 2 KiB of spec 02 section 3.3.
  static constexpr size_t kTailBytes = 1536;
  static constexpr size_t kWholeBytes = 4096;

 private:
  ArtifactSink(std::unique_ptr<artifacts::ArtifactWriter> writer, const Redactor& redactor)
      : writer_(std::move(writer)), redactor_(redactor) {}
  Status Pass(const std::string& clean);

  std::unique_ptr<artifacts::ArtifactWriter> writer_;
  StreamRedactor redactor_;
  std::string head_;
  std::string tail_;
};

}  // namespace lockstep::steps
