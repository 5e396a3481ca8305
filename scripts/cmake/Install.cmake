# What `cmake --install` and `cpack` put where. Nothing of it names a folder of the machine that built it, so that it runs
# from wherever it lies: bin/, lib/ with the CUDA plugins, lib/cogvx/ with PyTorch's libraries, share/.
set(cogvx_programs cogvx-gen cogvx-compare cogvx-convert)
set(cogvx_plugins "")
foreach(plugin cogvx_cuda cogvx_cuda_ops cogvx_nccl)
  if(TARGET ${plugin})
    list(APPEND cogvx_plugins ${plugin})
  endif()
endforeach()
add_custom_target(cogvx_installed DEPENDS ${cogvx_programs} ${cogvx_plugins})

# The libraries keep the folders of their wheels, by which they find each other.
set_target_properties(${cogvx_programs} PROPERTIES INSTALL_RPATH "\$ORIGIN/../lib/cogvx/torch/lib")
install(TARGETS ${cogvx_programs} RUNTIME DESTINATION bin)
if(cogvx_plugins)
  set_target_properties(${cogvx_plugins} PROPERTIES
    INSTALL_RPATH "\$ORIGIN/cogvx/torch/lib:\$ORIGIN/cogvx/nvidia/cu13/lib")
  install(TARGETS ${cogvx_plugins} LIBRARY DESTINATION lib)
endif()
install(CODE "
  set(program \"$<TARGET_FILE:cogvx-gen>\")
  set(torch_dir \"${COGVX_TORCH_DIR}\")
  include(\"${CMAKE_SOURCE_DIR}/scripts/cmake/InstallTorch.cmake\")
  set(completions \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share/bash-completion/completions\")
  file(MAKE_DIRECTORY \"\${completions}\" \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/bin\")
  execute_process(COMMAND \"\${program}\" --completion OUTPUT_FILE \"\${completions}/cogvx-gen\" COMMAND_ERROR_IS_FATAL ANY)
  file(CREATE_LINK ../share/cogvx/scripts/launch.sh \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/bin/cogvx-launch\" SYMBOLIC)")

install(DIRECTORY configs/demo DESTINATION share/cogvx)
install(PROGRAMS scripts/launch.sh scripts/setup.sh DESTINATION share/cogvx/scripts)
install(DIRECTORY scripts/examples DESTINATION share/cogvx USE_SOURCE_PERMISSIONS)
install(FILES scripts/common.sh scripts/wheels.txt scripts/wheels_cuda.txt scripts/runtime_packages.txt
  DESTINATION share/cogvx/scripts)
install(FILES README.md LICENSE DESTINATION share/doc/cogvx)
# Headers that are compiled in; and PyTorch's wheel brings libgomp without its licence.
foreach(package nlohmann-json3-dev libcli11-dev libspdlog-dev libgomp1)
  install(FILES "/usr/share/doc/${package}/copyright" DESTINATION "share/doc/cogvx/${package}" OPTIONAL)
endforeach()

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_FILE_NAME "cogvx-${PROJECT_VERSION}-linux-x86_64")
include(CPack)
