# The Temporal API messages and stubs, generated at configure time from the descriptors in the Python package `temporalio`.
# lockstep_temporal_api: messages only, for workflow/ and replay/. lockstep_temporal_stubs: the gRPC service, for providers/.
set(LOCKSTEP_PYTHON ${CMAKE_SOURCE_DIR}/build/venv/bin/python CACHE FILEPATH "Python of the virtual environment")
if(NOT EXISTS ${LOCKSTEP_PYTHON})
  message(FATAL_ERROR "${LOCKSTEP_PYTHON} is missing: run tools/bootstrap first (`make build` does)")
endif()
set(generated ${CMAKE_BINARY_DIR}/generated/temporal)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/generate_temporal_api.py
             ${CMAKE_SOURCE_DIR}/requirements.txt)
execute_process(
  COMMAND ${LOCKSTEP_PYTHON} ${CMAKE_SOURCE_DIR}/tools/generate_temporal_api.py --out ${generated}
          --protoc ${LOCKSTEP_PROTOC} --grpc-plugin ${LOCKSTEP_GRPC_PLUGIN}
  OUTPUT_VARIABLE stems OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" stems "${stems}")
set(messages)
set(service_messages)
foreach(stem ${stems})
  if(stem MATCHES "workflowservice")
    list(APPEND service_messages ${generated}/${stem}.pb.cc)
  else()
    list(APPEND messages ${generated}/${stem}.pb.cc)
  endif()
endforeach()
add_library(lockstep_temporal_api STATIC ${messages})
target_include_directories(lockstep_temporal_api SYSTEM PUBLIC ${generated})
target_link_libraries(lockstep_temporal_api PUBLIC protobuf::libprotobuf)
# Generated code is protobuf's to test: instrumenting it would double the sanitizer build. It is not made to be compiled in batches.
if(LOCKSTEP_SANITIZE)
  target_compile_options(lockstep_temporal_api PRIVATE -fno-sanitize=all)
endif()
if(LOCKSTEP_BATCHES)
  target_compile_options(lockstep_temporal_api PRIVATE -O0 -g0)
endif()
target_compile_options(lockstep_temporal_api PRIVATE -w)

add_library(lockstep_temporal_stubs STATIC EXCLUDE_FROM_ALL ${service_messages} ${generated}/temporal/api/workflowservice/v1/service.grpc.pb.cc)
target_link_libraries(lockstep_temporal_stubs PUBLIC lockstep_temporal_api gRPC::grpc++)
target_compile_options(lockstep_temporal_stubs PRIVATE -w)
set_target_properties(lockstep_temporal_api lockstep_temporal_stubs PROPERTIES UNITY_BUILD OFF)
