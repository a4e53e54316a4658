#include "replay/history/compression.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

#include "engine-core/base/check.h"

namespace lockstep::history {
namespace {

constexpr size_t kStep = 256 * 1024;
constexpr int kGzipWindow = 15 + 16;   // largest window, gzip wrapper only
constexpr int kMaxZstdWindowLog = 27;  // 128 MiB: what `zstd --ultra` writes; more could not be bounded
constexpr int kZstdLevel = 9;

std::unexpected<Error> Corrupt(std::string_view name, size_t offset, std::string_view what) {
  const std::string at = std::to_string(offset);
  return Fail(
      Error("HISTORY_CORRUPT", std::string(name) + ": byte " + at + " of the compressed data: " + std::string(what))
          .With("offset", at));
}

std::unexpected<Error> TooLarge(std::string_view name, uint64_t max_bytes) {
  return Fail("FILE_TOO_LARGE", std::string(name) + ": expected at most " + std::to_string(max_bytes) +
                                    " bytes after decompression, found more");
}

// Gives the decompressor room for one step more, never above `max_bytes` + 1: the byte more tells "too large" from
// "full".
void Grow(std::string* out, size_t used, uint64_t max_bytes) {
  const uint64_t limit = max_bytes == UINT64_MAX ? max_bytes : max_bytes + 1;
  out->resize(static_cast<size_t>(std::min<uint64_t>(used + std::max(kStep, used / 2), limit)));
}

class Inflater {
 public:
  Inflater() { LOCKSTEP_CHECK(inflateInit2(&stream_, kGzipWindow) == Z_OK, "zlib out of memory"); }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream* operator->() { return &stream_; }
  z_stream* get() { return &stream_; }

 private:
  z_stream stream_{};
};

// zlib counts in 32 bits: feed it in slices.
void Feed(z_stream* stream, std::string_view bytes, size_t at) {
  stream->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + at));
  stream->avail_in = static_cast<uInt>(std::min<size_t>(bytes.size() - at, 1U << 30));
}

Result<std::string> Gunzip(std::string_view bytes, std::string_view name, uint64_t max_bytes) {
  Inflater inflater;
  std::string out;
  size_t in = 0, used = 0;
  while (true) {
    Feed(inflater.get(), bytes, in);
    if (used == out.size()) Grow(&out, used, max_bytes);
    const uInt room = static_cast<uInt>(std::min<size_t>(out.size() - used, 1U << 30));
    inflater->next_out = reinterpret_cast<Bytef*>(out.data() + used);
    inflater->avail_out = room;
    const uInt offered = inflater->avail_in;
    const int code = inflate(inflater.get(), Z_NO_FLUSH);
    in += offered - inflater->avail_in;
    used += room - inflater->avail_out;
    if (used > max_bytes) return TooLarge(name, max_bytes);
    if (code == Z_STREAM_END) {
      if (in == bytes.size()) break;
      if (DetectCompression(bytes.substr(in)) != Compression::kGzip) {
        return Corrupt(name, in, "expected another gzip member or the end, found other data");
      }
      inflateReset(inflater.get());
      continue;
    }
    if (code == Z_BUF_ERROR || (code == Z_OK && in == bytes.size() && inflater->avail_out != 0)) {
      if (in == bytes.size()) return Corrupt(name, in, "expected more gzip data, found the end (truncated)");
      continue;
    }
    if (code != Z_OK) {
      return Corrupt(
          name, in,
          std::string("expected valid gzip data, found: ") + (inflater->msg != nullptr ? inflater->msg : "damage"));
    }
  }
  out.resize(used);
  return out;
}

Result<std::string> Unzstd(std::string_view bytes, std::string_view name, uint64_t max_bytes) {
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  LOCKSTEP_CHECK(context != nullptr, "zstd out of memory");
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxZstdWindowLog);
  std::string out;
  size_t used = 0;
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  while (true) {
    if (used == out.size()) Grow(&out, used, max_bytes);
    ZSTD_outBuffer target{out.data(), out.size(), used};
    const size_t code = ZSTD_decompressStream(context.get(), &target, &in);
    const bool progress = target.pos != used;
    used = target.pos;
    if (ZSTD_isError(code)) {
      return Corrupt(name, in.pos, std::string("expected valid zstd data, found: ") + ZSTD_getErrorName(code));
    }
    if (used > max_bytes) return TooLarge(name, max_bytes);
    if (in.pos == in.size) {
      if (code == 0) break;
      if (!progress && used < out.size())
        return Corrupt(name, in.pos, "expected more zstd data, found the end (truncated)");
    }
  }
  out.resize(used);
  return out;
}

std::string Gzip(std::string_view bytes) {
  z_stream stream{};
  LOCKSTEP_CHECK(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) == Z_OK,
                 "zlib out of memory");
  std::string out;
  size_t in = 0, used = 0;
  int code = Z_OK;
  while (code != Z_STREAM_END) {
    Feed(&stream, bytes, in);
    out.resize(used + kStep);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + used);
    stream.avail_out = kStep;
    const uInt offered = stream.avail_in;
    code = deflate(&stream, in + offered == bytes.size() ? Z_FINISH : Z_NO_FLUSH);
    in += offered - stream.avail_in;
    used += kStep - stream.avail_out;
    LOCKSTEP_CHECK(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, "deflate: " + std::to_string(code));
  }
  deflateEnd(&stream);
  out.resize(used);
  return out;
}

std::string Zstd(std::string_view bytes) {
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  LOCKSTEP_CHECK(context != nullptr, "zstd out of memory");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kZstdLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress2(context.get(), out.data(), out.size(), bytes.data(), bytes.size());
  LOCKSTEP_CHECK(!ZSTD_isError(size), ZSTD_getErrorName(size));
  out.resize(size);
  return out;
}

}  // namespace

Compression DetectCompression(std::string_view bytes) {
  if (bytes.starts_with("\x1F\x8B")) return Compression::kGzip;
  if (bytes.starts_with("\x28\xB5\x2F\xFD")) return Compression::kZstd;
  // A skippable frame of zstd: 0x184D2A50 to 0x184D2A5F, little end first.
  if (bytes.size() >= 4 && (static_cast<unsigned char>(bytes[0]) & 0xF0) == 0x50 &&
      bytes.substr(1, 3) == "\x2A\x4D\x18") {
    return Compression::kZstd;
  }
  return Compression::kNone;
}

Result<std::string> Decompress(std::string_view bytes, std::string_view name, uint64_t max_bytes) {
  switch (DetectCompression(bytes)) {
    case Compression::kGzip:
      return Gunzip(bytes, name, max_bytes);
    case Compression::kZstd:
      return Unzstd(bytes, name, max_bytes);
    case Compression::kNone:
      break;
  }
  if (bytes.size() > max_bytes) return TooLarge(name, max_bytes);
  return std::string(bytes);
}

std::string Compress(std::string_view bytes, Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return Gzip(bytes);
    case Compression::kZstd:
      return Zstd(bytes);
    case Compression::kNone:
      break;
  }
  return std::string(bytes);
}

}  // namespace lockstep::history
