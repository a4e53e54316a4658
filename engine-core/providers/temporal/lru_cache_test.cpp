#include "engine-core/providers/temporal/lru_cache.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace lockstep::provider {
namespace {

struct Item {
  int value = 0;
};
using Cache = LruCache<Item>;

std::vector<std::string> Keys(const std::vector<Cache::Evicted>& evicted) {
  std::vector<std::string> keys;
  for (const auto& entry : evicted) keys.push_back(entry.key);
  return keys;
}

TEST(LruCache, KeepsAnEntryBetweenUses) {
  Cache cache(2);
  cache.CheckOut("a")->value = 7;
  EXPECT_TRUE(cache.CheckIn("a", true).empty());
  EXPECT_EQ(cache.CheckOut("a")->value, 7);
}

TEST(LruCache, ForgetsTheLeastRecentlyUsed) {
  Cache cache(2);
  for (const char* key : {"a", "b"}) {
    cache.CheckOut(key);
    cache.CheckIn(key, true);
  }
  cache.CheckOut("a");
  cache.CheckIn("a", true);
  cache.CheckOut("c");
  EXPECT_EQ(Keys(cache.CheckIn("c", true)), std::vector<std::string>{"b"});
  EXPECT_EQ(cache.size(), 2u);
}

TEST(LruCache, NeverForgetsWhatIsInUse) {
  Cache cache(1);
  const auto a = cache.CheckOut("a");
  const auto b = cache.CheckOut("b");
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_EQ(Keys(cache.CheckIn("b", true)), std::vector<std::string>{"b"});  // `a` is older, but in use
  EXPECT_TRUE(cache.CheckIn("a", true).empty());
  EXPECT_EQ(cache.size(), 1u);
}

TEST(LruCache, Unwanted_GoesWhenTheLastUserLeaves) {
  Cache cache(5);
  const auto first = cache.CheckOut("a");
  const auto second = cache.CheckOut("a");
  EXPECT_EQ(first, second);
  cache.CheckIn("a", false);
  EXPECT_EQ(cache.size(), 1u);
  cache.CheckIn("a", false);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(LruCache, LastWordCounts_WhenUsersDisagree) {
  Cache cache(5);
  cache.CheckOut("a");
  cache.CheckOut("a");
  cache.CheckIn("a", false);
  cache.CheckIn("a", true);
  EXPECT_EQ(cache.size(), 1u);
}

TEST(LruCache, CapacityZero_KeepsNothing) {
  Cache cache(0);
  cache.CheckOut("a");
  EXPECT_EQ(cache.CheckIn("a", true).size(), 1u);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(LruCache, StaysWithinItsBound_WhateverTheOrder) {
  rc::check([](const std::vector<std::pair<uint8_t, bool>>& uses) {
    Cache cache(3);
    std::vector<std::string> order;  // most recent last: the model
    for (const auto& [key_byte, keep] : uses) {
      const std::string key(1, static_cast<char>('a' + key_byte % 8));
      const bool known = std::find(order.begin(), order.end(), key) != order.end();
      const auto item = cache.CheckOut(key);
      RC_ASSERT((item->value != 0) == known);
      item->value = 1;
      std::erase(order, key);
      if (keep) order.push_back(key);
      if (order.size() > 3) order.erase(order.begin());
      cache.CheckIn(key, keep);
      RC_ASSERT(cache.size() == order.size());
    }
  });
}

TEST(LruCache, ManyThreads_AgreeOnOneValuePerKey) {
  Cache cache(4);
  std::atomic<int> mismatches = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, &mismatches, t] {
      for (int i = 0; i < 2'000; ++i) {
        const std::string key = std::to_string((i * 7 + t) % 9);
        const auto a = cache.CheckOut(key);
        const auto b = cache.CheckOut(key);
        if (a != b) ++mismatches;
        cache.CheckIn(key, i % 5 != 0);
        cache.CheckIn(key, true);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(mismatches, 0);
  EXPECT_LE(cache.size(), 4u);
}

}  // namespace
}  // namespace lockstep::provider
