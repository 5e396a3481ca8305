#pragma once

namespace cogvx {

// What a linear layer's result goes through on its way out.
enum class Activation { kNone, kSilu, kGeluTanh };

}  // namespace cogvx
