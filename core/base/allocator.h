#pragma once

namespace cogvx {

// Makes a tensor that gets no memory a std::bad_alloc, where libtorch's own allocator ends the
// process, and asks for huge pages for large ones. For the whole process, before its first tensor.
void install_allocator();

}  // namespace cogvx
