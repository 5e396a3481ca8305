#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace cogvx::app {

// Paths may hold any bytes; what is not UTF-8 in them is replaced, so that the rest can be printed.
inline std::string json_text(const nlohmann::json& value, int indent = -1) {
  return value.dump(indent, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

}  // namespace cogvx::app
