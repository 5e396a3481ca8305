#pragma once

#include <string>
#include <vector>

namespace cogvx::app {

// The known word that differs from `word` in the fewest letters, by insertion, deletion, change and
// swap of neighbours; empty where more than a third of its letters would have to change.
std::string nearest_word(const std::string& word, const std::vector<std::string>& known);

}  // namespace cogvx::app
