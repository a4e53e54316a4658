#include "engine-core/workflow/testing/event_fuzz.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine-core/workflow/random.h"

namespace lockstep::workflow::testing {
namespace {

std::vector<uint8_t> Bytes(const std::string& seed, size_t size) {
  Random random(seed);
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Next());
  return bytes;
}

TEST(EventFuzz, ValidHistories_Replay) {
  for (int i = 0; i < 150; ++i) FuzzValidHistory(Bytes("valid-" + std::to_string(i), static_cast<size_t>(i)));
}

TEST(EventFuzz, DamagedHistories_EndInAResult) {
  for (int i = 0; i < 1'500; ++i) FuzzDamagedHistory(Bytes("damaged-" + std::to_string(i), static_cast<size_t>(2 + i)));
}

TEST(EventFuzz, AnyBytes_MakeAHistory) {
  EXPECT_TRUE(rc::check("any bytes", [] { FuzzReplay(*rc::gen::arbitrary<std::vector<uint8_t>>()); }));
  for (const std::vector<uint8_t>& bytes : {std::vector<uint8_t>{}, {0}, {1}, {1, 1}, {0, 0, 0}, {255, 255, 255}}) FuzzReplay(bytes);
}

TEST(EventFuzz, DamagedHistories_ReachTheCode) {
  int started = 0;
  for (int i = 0; i < 100; ++i) {
    const History history = DamagedHistory(Bytes("reach-" + std::to_string(i), 2'000));
    const auto cut = CutHistory(Pointers(history));
    started += cut.tasks.empty() ? 0 : 1;
  }
  EXPECT_GT(started, 50);
}

}  // namespace
}  // namespace lockstep::workflow::testing
