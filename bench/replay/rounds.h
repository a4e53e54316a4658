// The workflow of the replay benchmarks, as go/main.go and bench_replay.py have it: rounds of ten parallel activities, and a
// short timer after every fifth round.
#pragma once

namespace lockstep::workflow {
class WorkflowRegistry;
}

namespace lockstep::bench {

// Knows `rounds` alone; made once, lives as long as the process.
const workflow::WorkflowRegistry& RoundsRegistry();

}  // namespace lockstep::bench
