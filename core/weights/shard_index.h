#pragma once

#include <map>
#include <string>
#include <string_view>

namespace cogvx {

// `<stem>.safetensors.index.json` -> the shard file of each tensor, names of files in the index's
// own folder. Throws DataError for anything else.
std::map<std::string, std::string> parse_shard_index(std::string_view text,
                                                     const std::string& label);

}  // namespace cogvx
