#pragma once

#include <ostream>

#include "parallel/shared_sequence.h"

namespace cogvx {

inline constexpr SequenceMode kSequenceModes[] = {SequenceMode::kUlysses, SequenceMode::kGather};

inline const char* name_of(SequenceMode mode) {
  return mode == SequenceMode::kUlysses ? "Ulysses" : "Gather";
}

// How GoogleTest shows one.
inline void PrintTo(SequenceMode mode, std::ostream* out) { *out << name_of(mode); }

}  // namespace cogvx
