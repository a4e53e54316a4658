#include "engine-core/steps/artifact_sink.h"

#include "engine-core/base/bytes.h"
#include "engine-core/steps/text.h"

namespace lockstep::steps {

Result<ArtifactSink> ArtifactSink::Open(artifacts::IArtifactStore& store, const Redactor& redactor,
                                        uint64_t max_bytes) {
  LOCKSTEP_ASSIGN(auto writer, store.Create(max_bytes));
  return ArtifactSink(std::move(writer), redactor);
}

Status ArtifactSink::Write(std::string_view bytes) { return Pass(redactor_.Feed(bytes)); }

Status ArtifactSink::Pass(const std::string& clean) {
  head_ += std::string_view(clean).substr(0, kWholeBytes + 1 - head_.size());
  tail_ += clean;
  if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  return writer_->Write(clean);
}

Result<artifacts::ArtifactRef> ArtifactSink::Commit(std::string_view kind) {
  LOCKSTEP_TRY(Pass(redactor_.Finish()));
  return writer_->Commit(kind);
}

std::optional<std::string> ArtifactSink::WholeText() const {
  if (head_.size() > kWholeBytes || !IsValidUtf8(head_)) return std::nullopt;
  return head_;
}

std::string ArtifactSink::Tail() const {
  return PrintableText(std::string_view(tail_).substr(tail_.size() > kTailBytes ? tail_.size() - kTailBytes : 0));
}

}  // namespace lockstep::steps
