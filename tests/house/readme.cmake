# The README's code is code: each C++ block compiles as it stands, and the first is the quickstart.
# The blocks that say how to link are run by stranger.cmake.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md)
set(readme_blocks ${CMAKE_CURRENT_BINARY_DIR}/readme)
include(extract_blocks.cmake)
extract_blocks(${PROJECT_SOURCE_DIR}/README.md ${readme_blocks} cpp cpp_blocks)
if(NOT cpp_blocks)
  message(FATAL_ERROR "README.md has no C++ block")
endif()
foreach(block IN LISTS cpp_blocks)
  get_filename_component(name ${block} NAME_WE)
  house_check(readme/${name} COMMAND ${house_compile} ${block})
endforeach()
list(GET cpp_blocks 0 first_block)
house_check(readme/first_block_is_the_quickstart COMMAND ${CMAKE_COMMAND} -E compare_files
  ${first_block} ${PROJECT_SOURCE_DIR}/examples/quickstart.cpp)

set(planted_blocks ${CMAKE_CURRENT_BINARY_DIR}/planted_readme)
extract_blocks(${CMAKE_CURRENT_SOURCE_DIR}/planted/README.md ${planted_blocks} cpp broken_blocks)
list(GET broken_blocks 1 broken_block)
house_check(planted/readme COMMAND ${house_compile} ${broken_block} FINDS "error.*no_such_call")
