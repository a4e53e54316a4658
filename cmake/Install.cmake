# `cmake --install build --prefix DIR`: the program, and what a project outside this tree needs to write workflows for it:
# headers, a package that find_package(Lockstep) finds, and the libraries for that project's own unit tests.
include(GNUInstallDirs)
set(LOCKSTEP_INSTALL_HEADERS ${CMAKE_INSTALL_INCLUDEDIR}/lockstep)
set(LOCKSTEP_INSTALL_LIBRARIES ${CMAKE_INSTALL_LIBDIR}/lockstep)

# With the analyzer in the tree, Packaging.cmake has installed the programs already.
if(TARGET lockstep AND NOT TARGET lockstep-tidy)
  install(TARGETS lockstep RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
foreach(room base activity workflow authoring)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/engine-core/${room} DESTINATION ${LOCKSTEP_INSTALL_HEADERS}/engine-core COMPONENT dev FILES_MATCHING PATTERN "*.h")
endforeach()
install(DIRECTORY ${CMAKE_BINARY_DIR}/generated/temporal/temporal DESTINATION ${LOCKSTEP_INSTALL_HEADERS} COMPONENT dev FILES_MATCHING PATTERN "*.pb.h"
        PATTERN "workflowservice" EXCLUDE)
foreach(library lockstep_base lockstep_activity lockstep_workflow lockstep_workflow_testing lockstep_authoring lockstep_temporal_api)
  if(TARGET ${library})
    install(FILES $<TARGET_FILE:${library}> DESTINATION ${LOCKSTEP_INSTALL_LIBRARIES} COMPONENT dev)
  endif()
endforeach()
include(CMakePackageConfigHelpers)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/LockstepConfig.cmake.in ${CMAKE_BINARY_DIR}/LockstepConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Lockstep
  PATH_VARS LOCKSTEP_INSTALL_HEADERS LOCKSTEP_INSTALL_LIBRARIES CMAKE_INSTALL_BINDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/LockstepConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/LockstepConfig.cmake ${CMAKE_BINARY_DIR}/LockstepConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Lockstep COMPONENT dev)
