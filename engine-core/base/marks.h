// The marks by which the analyzer knows what a function is (spec 00 section 4). Fixed: other tools rely on them.
// A mark on any declaration of a function holds for all of them; on a class, for its member functions.
#pragma once

#if defined(__clang__)
#define LOCKSTEP_ANNOTATE(...) [[clang::annotate(__VA_ARGS__)]]
#else
#define LOCKSTEP_ANNOTATE(...)
#endif

// Root: everything reachable from here is workflow code.
#define LOCKSTEP_WORKFLOW LOCKSTEP_ANNOTATE("lockstep::workflow")
// Edge: not workflow code. A call to it from workflow code counts as issuing a command; its arguments are sinks.
#define LOCKSTEP_ACTIVITY LOCKSTEP_ANNOTATE("lockstep::activity")
// Engine code that must be deterministic (scope S2); a root like a workflow.
#define LOCKSTEP_DETERMINISTIC LOCKSTEP_ANNOTATE("lockstep::deterministic")
// Reviewed by hand: traversal stops here, and every report lists the reason.
#define LOCKSTEP_TRUSTED(why) LOCKSTEP_ANNOTATE("lockstep::trusted", why)
