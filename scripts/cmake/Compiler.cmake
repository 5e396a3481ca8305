# Flags for our own code; `cogvx_options` carries them to every target of ours and to nothing else.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

add_library(cogvx_options INTERFACE)
target_include_directories(cogvx_options INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_options(cogvx_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  # GCC 12: false alarms in std::string; designated initialisers leave the rest at its default on purpose.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> -Wno-missing-field-initializers
  $<$<BOOL:${COGVX_WARNINGS_AS_ERRORS}>:-Werror>)

if(COGVX_SANITIZE STREQUAL "address")
  set(sanitize_flags -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
elseif(COGVX_SANITIZE STREQUAL "thread")
  set(sanitize_flags -fsanitize=thread -fno-omit-frame-pointer)
elseif(COGVX_SANITIZE)
  message(FATAL_ERROR "COGVX_SANITIZE is '${COGVX_SANITIZE}'; it takes address or thread")
endif()
if(COGVX_SANITIZE)
  # -O1 and line tables only: PyTorch's headers make anything more slow to compile.
  target_compile_options(cogvx_options INTERFACE ${sanitize_flags} -O1 -g1)
  target_link_options(cogvx_options INTERFACE ${sanitize_flags})
endif()
