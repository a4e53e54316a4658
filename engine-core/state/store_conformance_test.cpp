// Both stores against the one suite.
#include "engine-core/state/store_fixtures.h"
#include "engine-core/state/testing/store_conformance_suite.h"

namespace lockstep::state::testing {

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance, ::testing::Values(MemoryStoreFactory(), SqliteStoreFactory()),
                         [](const auto& info) { return info.param.name; });

}  // namespace lockstep::state::testing
