// zlib's inflate into a buffer that grows up to the bound and not one byte further.
#include "engine-core/plan/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "engine-core/base/check.h"

namespace lockstep::plan {
namespace {

// 15 bits of window, gzip framing only.
constexpr int kGzipWindow = 15 + 16;

std::unexpected<Error> NotGzip(const std::string& what) {
  return Fail("PLAN_ENCODING_INVALID", "expected one whole gzip stream, found " + what);
}

}  // namespace

Result<std::string> GunzipBounded(std::string_view compressed, int64_t max_bytes) {
  z_stream stream{};
  LOCKSTEP_CHECK(inflateInit2(&stream, kGzipWindow) == Z_OK);
  struct End {
    z_stream* stream;
    ~End() { inflateEnd(stream); }
  } const end{&stream};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  const int64_t by_ratio = static_cast<int64_t>(compressed.size()) * kMaxCompressionRatio;
  const int64_t bound = std::min(max_bytes, by_ratio);
  std::string out;
  std::array<char, 64 * 1024> chunk{};
  while (true) {
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    const int status = inflate(&stream, Z_NO_FLUSH);
    const size_t made = chunk.size() - stream.avail_out;
    if (static_cast<int64_t>(out.size() + made) > bound) {
      const bool ratio = bound == by_ratio && by_ratio < max_bytes;
      return Fail("PLAN_TOO_LARGE",
                  ratio ? "expected a compression ratio of at most 100:1, found a higher one"
                        : "expected at most " + std::to_string(max_bytes) + " bytes of plan, found more");
    }
    out.append(chunk.data(), made);
    if (status == Z_STREAM_END) break;
    if (status != Z_OK && status != Z_BUF_ERROR) return NotGzip(stream.msg != nullptr ? stream.msg : "damaged data");
    if (made == 0 && stream.avail_in == 0) return NotGzip("an end too early");
    if (made == 0 && status == Z_BUF_ERROR) return NotGzip("damaged data");
  }
  if (stream.avail_in != 0) return NotGzip("bytes after its end");
  return out;
}

std::string Gzip(std::string_view bytes) {
  z_stream stream{};
  LOCKSTEP_CHECK(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  LOCKSTEP_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace lockstep::plan
