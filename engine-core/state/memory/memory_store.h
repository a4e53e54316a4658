// The state store in memory: for replays, the simulator and tests. Same rules as every other store
// (`TransactionalStore`); here rows are containers behind one mutex, and nothing outlives the object. Thread-safe.
#pragma once

#include <memory>

#include "engine-core/state/transactional_store.h"

namespace lockstep::state {

// `services.clock` and `services.ids` are required and must outlive the store.
std::unique_ptr<IRunStateStore> MakeMemoryStore(StoreServices services);

}  // namespace lockstep::state
