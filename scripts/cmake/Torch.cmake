# Imported targets for the libraries of a PyTorch 2.11 folder. find_package(Torch) is not used: it wants the whole
# CUDA toolkit even for a CPU build.
set(torch_root "${COGVX_TORCH_DIR}/torch")
if(NOT EXISTS "${torch_root}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "no PyTorch in '${COGVX_TORCH_DIR}' (looked for torch/lib/libtorch_cpu.so); "
                      "run scripts/setup.sh, or set COGVX_TORCH_DIR to a folder that holds PyTorch 2.11")
endif()
file(STRINGS "${torch_root}/include/torch/headeronly/version.h" torch_version_lines
     REGEX "#define TORCH_VERSION_(MAJOR|MINOR) ")
string(REGEX REPLACE "[^0-9]+" ";" torch_version "${torch_version_lines}")
list(REMOVE_ITEM torch_version "")
list(JOIN torch_version "." torch_version)
if(NOT torch_version STREQUAL "2.11")
  message(FATAL_ERROR "PyTorch in '${COGVX_TORCH_DIR}' is ${torch_version}; cogvx wants 2.11")
endif()

function(cogvx_import_torch name library)
  add_library(${name} SHARED IMPORTED GLOBAL)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${torch_root}/lib/${library}" IMPORTED_NO_SONAME OFF)
  target_include_directories(${name} SYSTEM INTERFACE
    "${torch_root}/include" "${torch_root}/include/torch/csrc/api/include")
endfunction()
cogvx_import_torch(torch::c10 libc10.so)
cogvx_import_torch(torch::cpu libtorch_cpu.so)
target_link_libraries(torch::cpu INTERFACE torch::c10)
# libtorch_cpu's own CUDA runtime libraries are found through its RPATH at run time, not by our link.
target_link_options(torch::cpu INTERFACE -Wl,--allow-shlib-undefined)
# The CUDA part; whoever loads it needs the NVIDIA libraries that scripts/setup.sh --cuda fetches.
if(EXISTS "${torch_root}/lib/libtorch_cuda.so")
  cogvx_import_torch(torch::c10_cuda libc10_cuda.so)
  cogvx_import_torch(torch::cuda libtorch_cuda.so)
  target_link_libraries(torch::cuda INTERFACE torch::c10_cuda torch::cpu)
endif()
set(CMAKE_BUILD_RPATH "${torch_root}/lib")
