// How a test makes a store without knowing which one it is.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine-core/state/transactional_store.h"

namespace lockstep::state::testing {

// A store with whatever keeps it alive (a folder, a database).
class StoreFixture {
 public:
  virtual ~StoreFixture() = default;
  virtual IRunStateStore& store() = 0;
  // Closes and opens it again on the same data; false when the medium forgets.
  virtual bool Reopen() = 0;
};

struct StoreFactory {
  std::string name;
  std::function<std::unique_ptr<StoreFixture>(StoreServices)> make;
};

}  // namespace lockstep::state::testing
