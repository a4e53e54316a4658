// Everything a workflow library needs. See docs/workflows.md for a tutorial.
#pragma once

#include "engine-core/authoring/activities.h"      // IWYU pragma: export
#include "engine-core/authoring/async.h"           // IWYU pragma: export
#include "engine-core/authoring/calls.h"           // IWYU pragma: export
#include "engine-core/authoring/payloads.h"        // IWYU pragma: export
#include "engine-core/authoring/workflow_class.h"  // IWYU pragma: export
#include "engine-core/base/marks.h"                // IWYU pragma: export
#include "engine-core/workflow/wf.h"               // IWYU pragma: export
