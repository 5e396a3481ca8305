#pragma once

namespace cogvx {

// Makes a tensor that gets no memory a std::bad_alloc; libtorch's own allocator ends the process.
// For the whole process, before its first tensor.
void install_allocator();

}  // namespace cogvx
