// Loaded into a replaying process (LD_PRELOAD) to vary what correct code must not depend on. LOCKSTEP_PERTURB says
// what, as `name=seed` with commas between:
//   allocator   addresses shuffled by padding and held-back blocks, memory filled with a pattern when it is given out
//   and freed hash        libstdc++'s hash of bytes (strings) salted, so that unordered containers change their order
//   clock       every clock jumps back and forth by hours
//   host        another host name
//   locale      the global C++ and C locale writes numbers with other marks
// Nothing here belongs to the product; it must not allocate before it has found the real functions.
#include <dlfcn.h>
#include <malloc.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <clocale>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <locale>

namespace {

struct Settings {
  uint64_t allocator = 0, hash = 0, clock = 0, host = 0, locale = 0;
};

uint64_t SeedOf(const char* list, const char* name) {
  const size_t length = std::strlen(name);
  for (const char* at = list; at != nullptr && *at != 0;) {
    if (std::strncmp(at, name, length) == 0 && at[length] == '=') return std::strtoull(at + length + 1, nullptr, 10);
    at = std::strchr(at, ',');
    if (at != nullptr) ++at;
  }
  return 0;
}

const Settings& Get() {
  static const Settings settings = [] {
    const char* list = std::getenv("LOCKSTEP_PERTURB");
    Settings read;
    read.allocator = SeedOf(list, "allocator");
    read.hash = SeedOf(list, "hash");
    read.clock = SeedOf(list, "clock");
    read.host = SeedOf(list, "host");
    read.locale = SeedOf(list, "locale");
    return read;
  }();
  return settings;
}

uint64_t Mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::atomic<uint64_t> allocations{0};
std::atomic<uint64_t> readings{0};

class OddNumbers final : public std::numpunct<char> {
 protected:
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\2"; }
};

__attribute__((constructor)) void Begin() {
  if (Get().locale == 0) return;
  std::setlocale(LC_ALL, "");
  std::locale::global(std::locale(std::locale(), new OddNumbers));
}

}  // namespace

extern "C" {

void* malloc(size_t size) {
  static void* (*const real)(size_t) = reinterpret_cast<void* (*)(size_t)>(dlsym(RTLD_NEXT, "malloc"));
  const uint64_t seed = Get().allocator;
  if (seed == 0) return real(size);
  const uint64_t draw = Mix(seed * 0x9e3779b97f4a7c15 + allocations.fetch_add(1, std::memory_order_relaxed));
  // A block that stays in the way now and then, so that the next ones lie elsewhere.
  if ((draw & 63) == 0 && real(16 + (draw >> 8) % 4096) == nullptr) return nullptr;
  void* block = real(size + (draw >> 32) % 5 * 16);
  if (block != nullptr) std::memset(block, static_cast<int>(0xA0 + seed % 64), size);
  return block;
}

void free(void* block) {
  static void (*const real)(void*) = reinterpret_cast<void (*)(void*)>(dlsym(RTLD_NEXT, "free"));
  if (block != nullptr && Get().allocator != 0) std::memset(block, 0xDD, malloc_usable_size(block));
  real(block);
}

int clock_gettime(clockid_t id, timespec* time) noexcept {
  const long result = ::syscall(SYS_clock_gettime, id, time);
  const uint64_t seed = Get().clock;
  if (result == 0 && seed != 0 && id == CLOCK_REALTIME) {
    time->tv_sec +=
        static_cast<time_t>(Mix(seed + readings.fetch_add(1, std::memory_order_relaxed)) % 200'000) - 100'000;
  } else if (result == 0 && seed != 0) {
    time->tv_sec += static_cast<time_t>(readings.fetch_add(1, std::memory_order_relaxed) / 64 % 2);
  }
  return static_cast<int>(result);
}

int gettimeofday(timeval* time, void*) noexcept {
  timespec now{};
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return result;
}

time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

int gethostname(char* name, size_t length) noexcept {
  if (Get().host == 0) {
    static int (*const real)(char*, size_t) = reinterpret_cast<int (*)(char*, size_t)>(dlsym(RTLD_NEXT, "gethostname"));
    return real(name, length);
  }
  std::strncpy(name, "another-host.invalid", length);
  return 0;
}

// std::_Hash_bytes of libstdc++: what std::hash of strings calls.
size_t _ZSt11_Hash_bytesPKvmm(const void* data, size_t length, size_t seed) {
  using Hash = size_t (*)(const void*, size_t, size_t);
  static const Hash real = reinterpret_cast<Hash>(dlsym(RTLD_NEXT, "_ZSt11_Hash_bytesPKvmm"));
  const size_t hash = real(data, length, seed);
  return Get().hash == 0 ? hash : Mix(hash ^ (Get().hash * 0x9e3779b97f4a7c15));
}

}  // extern "C"
