# A stranger's project, outside our tree, uses the library in each way that the README names, with
# the README's own lines: installed (CMake package, pkg-config) and as a part of the build.
extract_blocks(${PROJECT_SOURCE_DIR}/README.md ${readme_blocks} cmake cmake_blocks)
extract_blocks(${PROJECT_SOURCE_DIR}/README.md ${readme_blocks} sh sh_blocks)

# The block that holds a word.
function(block_with word out)
  foreach(block IN LISTS cmake_blocks sh_blocks)
    file(STRINGS ${block} hit REGEX ${word})
    if(hit)
      set(${out} ${block} PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "README.md has no block with ${word}")
endfunction()

function(stranger way word)
  block_with(${word} block)
  house_check(stranger/${way} COMMAND ${CMAKE_COMMAND} -DWAY=${way} -DBLOCK=${block}
    -DMAIS_SOURCE=${PROJECT_SOURCE_DIR} -DMAIS_BUILD=${PROJECT_BINARY_DIR}
    -DCOMPILER=${CMAKE_CXX_COMPILER} -P ${CMAKE_CURRENT_SOURCE_DIR}/run_stranger.cmake)
  set_tests_properties(house/stranger/${way} PROPERTIES TIMEOUT 600 COST 100)
endfunction()

if(MAIS_INSTALL)
  stranger(find_package "find_package")
  stranger(pkg_config "pkg-config --cflags")
  set_tests_properties(house/stranger/find_package house/stranger/pkg_config PROPERTIES
    RESOURCE_LOCK mais_install)
endif()
stranger(add_subdirectory "add_subdirectory")
stranger(fetch_content "FetchContent_Declare")

# The stranger's code would not pass our warnings: if they leaked, the four above would fail.
house_check(planted/stranger_under_our_warnings
  COMMAND ${house_compile} ${CMAKE_CURRENT_SOURCE_DIR}/stranger/server.cpp
  FINDS "error: [^\n]*(shadow|declared)")
