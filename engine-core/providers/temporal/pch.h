// Precompiled for this room only: gRPC and protobuf headers are the expensive part of every file here. Public headers
// of the room include none of them.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "temporal/api/workflowservice/v1/service.grpc.pb.h"
