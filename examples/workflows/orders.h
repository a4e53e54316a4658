// The values that the example workflows exchange with the outside. They travel as JSON, under the names of their members.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/authoring/lockstep.h"

struct Order {
  std::string id;
  int64_t cents = 0;
  std::string address;
};
LOCKSTEP_JSON(Order, id, cents, address)

struct Receipt {
  std::string order;
  std::string payment;
  std::string parcel;
};
LOCKSTEP_JSON(Receipt, order, payment, parcel)

struct Stock {
  std::string item;
  int64_t count = 0;
};
LOCKSTEP_JSON(Stock, item, count)
