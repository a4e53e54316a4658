# Build options and the flags every target shares.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
# GNU extensions define `linux` as a macro, which breaks a field name of the Temporal API.
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(LOCKSTEP_SANITIZE "Address and UB sanitizers everywhere, and the fuzz targets" OFF)
option(LOCKSTEP_TESTS "Configure the test programs" ON)
option(LOCKSTEP_WARNINGS_AS_ERRORS "Treat warnings as errors" ON)
option(LOCKSTEP_BATCHES "Compile the sources of a target in batches: faster from nothing, slower after a change" OFF)
set(LOCKSTEP_ROOMS "" CACHE STRING "Build only these rooms (a list of folders); empty: all")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_C_FLAGS_RELEASE "-O2")
if(LOCKSTEP_BATCHES AND NOT LOCKSTEP_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1")  # nothing of it runs: that it compiles is what is asked
endif()

if(LOCKSTEP_BATCHES)
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
endif()

find_program(LOCKSTEP_CCACHE ccache)
if(LOCKSTEP_CCACHE)
  # Precompiled headers carry time stamps; without this ccache would never hit behind one.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${LOCKSTEP_CCACHE})
endif()

add_compile_options(-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -ffp-contract=off)
if(LOCKSTEP_WARNINGS_AS_ERRORS)
  add_compile_options(-Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees uninitialized members behind std::variant and std::optional at -O2 where there are none.
  add_compile_options(-Wno-maybe-uninitialized)
  if(LOCKSTEP_BATCHES)
    # In a batch every source is an included file to GCC, which then thinks that coroutine frames of unnamed types are shared.
    add_compile_options(-Wno-subobject-linkage)
  endif()
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wno-deprecated-declarations "SHELL:-Xclang -fno-pch-timestamp")
  add_link_options(-fuse-ld=lld-19)
endif()
if(LOCKSTEP_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_compile_options(-fsanitize=fuzzer-no-link -fsanitize-ignorelist=${CMAKE_SOURCE_DIR}/cmake/sanitize-ignore.txt)
  endif()
  add_compile_definitions(LOCKSTEP_SANITIZED=1)
endif()
# A stack trace with file and line is worth more than the bytes.
add_compile_options(-g1)
