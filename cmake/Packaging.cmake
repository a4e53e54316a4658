# `cpack` in the build tree: Debian packages that depend on Debian's libraries, and a tarball that brings them along and runs from
# any folder. Three components:
#   programs   the programs, what they load, the hooks and the GitHub action, so that a gate need not compile: package `lockstep`
#   dev        what a project of workflows compiles against (Install.cmake): package `lockstep-dev`
#   libraries  Debian's libraries, in the tarball only, which holds the other two as well
if(LOCKSTEP_ROOMS OR LOCKSTEP_SANITIZE OR NOT TARGET lockstep OR NOT TARGET lockstep-tidy)
  return()
endif()
include(GNUInstallDirs)
set_target_properties(lockstep lockstep-tidy PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/lockstep")
# The older kind of run path also holds for the libraries of libraries that the tarball brings.
target_link_options(lockstep PRIVATE LINKER:--disable-new-dtags)
target_link_options(lockstep-tidy PRIVATE LINKER:--disable-new-dtags)
install(TARGETS lockstep lockstep-tidy RUNTIME DESTINATION bin COMPONENT programs)
install(TARGETS lockstep_tidy_module LIBRARY DESTINATION lib/lockstep COMPONENT programs)
if(TARGET lockstep_perturb_preload)
  install(TARGETS lockstep_perturb_preload LIBRARY DESTINATION lib/lockstep COMPONENT programs)
endif()
install(DIRECTORY hooks DESTINATION share/lockstep USE_SOURCE_PERMISSIONS COMPONENT programs)
install(FILES .pre-commit-hooks.yaml DESTINATION share/lockstep COMPONENT programs)
install(DIRECTORY ci/github-actions DESTINATION share/lockstep COMPONENT programs)
install(DIRECTORY docs/ DESTINATION share/doc/lockstep COMPONENT programs FILES_MATCHING PATTERN "*.md" PATTERN pictures EXCLUDE)
# For the tarball: every shared library but the C library and its loader.
install(CODE [[
  file(GET_RUNTIME_DEPENDENCIES EXECUTABLES "$<TARGET_FILE:lockstep>" "$<TARGET_FILE:lockstep-tidy>"
       RESOLVED_DEPENDENCIES_VAR libraries UNRESOLVED_DEPENDENCIES_VAR missing
       PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|pthread|resolv)\\.so" POST_EXCLUDE_REGEXES "/lib/lockstep/")
  if(missing)
    message(FATAL_ERROR "libraries that the tarball should bring are missing: ${missing}")
  endif()
  foreach(library ${libraries})
    file(INSTALL "${library}" DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/lockstep" FOLLOW_SYMLINK_CHAIN)
  endforeach()
  # A library with a run path of its own (LLVM) would not look in the folder beside the programs.
  file(GLOB installed "${CMAKE_INSTALL_PREFIX}/lib/lockstep/*.so*")
  foreach(library ${installed})
    if(NOT IS_SYMLINK "${library}")
      file(RPATH_REMOVE FILE "${library}")
    endif()
  endforeach()]] COMPONENT libraries EXCLUDE_FROM_ALL)

# What is packed is what was built; packing builds nothing.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY TRUE)
set(CPACK_GENERATOR "DEB;TGZ")
set(CPACK_PACKAGE_NAME lockstep)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "Lockstep maintainers <lockstep@example.com>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Proves that workflow code still does what it did")
set(CPACK_PACKAGE_DESCRIPTION "Replays recorded Temporal histories against workflow code, finds non-deterministic C++ and plans,\nand reports both in pull requests.")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_STRIP_FILES TRUE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_NAME lockstep)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/lib)
# The compiler's own headers, for the analysis of C++; git for hooks and --changed-since.
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_DEPENDS "libclang-common-19-dev, git, ca-certificates")
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SUGGESTS lockstep-dev)
set(CPACK_COMPONENT_PROGRAMS_DESCRIPTION "Replays recorded Temporal histories against workflow code, finds non-deterministic C++ and plans,\nand reports both in pull requests.")
# A library of workflows must be built against the very headers of the program that loads it.
set(CPACK_DEBIAN_DEV_PACKAGE_NAME lockstep-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "lockstep (= ${PROJECT_VERSION}), libprotobuf-dev, libssl-dev")
set(CPACK_DEBIAN_DEV_PACKAGE_RECOMMENDS "clang-19, cmake")
set(CPACK_DEBIAN_DEV_DESCRIPTION "Headers, libraries and the CMake package for workflows in C++\nA project of workflows finds it with find_package(Lockstep).")
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_ARCHIVE_FILE_NAME lockstep-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME})
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_BINARY_DIR}/CPackProject.cmake)
file(WRITE ${CPACK_PROJECT_CONFIG_FILE} "
if(CPACK_GENERATOR STREQUAL \"DEB\")
  set(CPACK_COMPONENTS_ALL programs dev)
  set(CPACK_COMPONENT_INCLUDE_TOPLEVEL_DIRECTORY OFF)
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
else()
  set(CPACK_COMPONENT_INCLUDE_TOPLEVEL_DIRECTORY ON)
  set(CPACK_COMPONENTS_ALL programs dev libraries)
  set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
endif()
")
include(CPack)
