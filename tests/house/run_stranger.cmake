# cmake -DWAY=... -DBLOCK=<lines of the README> -DMAIS_SOURCE= -DMAIS_BUILD= -DCOMPILER= -P this
#
# Makes a stranger's project in a temporary folder outside the source tree, lets it use the library
# in one way, builds and runs it, and sees that nothing of ours came along.
cmake_minimum_required(VERSION 3.25)

set(parent "$ENV{TMPDIR}")
if(NOT parent)
  set(parent /tmp)
endif()
string(RANDOM LENGTH 8 suffix)
set(work ${parent}/mais-stranger-${WAY}-${suffix})
file(MAKE_DIRECTORY ${work})

function(run what)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${work} RESULT_VARIABLE status
    OUTPUT_VARIABLE said ERROR_VARIABLE said)
  set(said "${said}" PARENT_SCOPE)
  if(NOT status EQUAL 0)
    message("${said}")
    file(REMOVE_RECURSE ${work})
    message(FATAL_ERROR "${WAY}: ${what} failed")
  endif()
endfunction()

macro(give_up text)
  file(REMOVE_RECURSE ${work})
  message(FATAL_ERROR "${WAY}: ${text}")
endmacro()

file(COPY ${CMAKE_CURRENT_LIST_DIR}/stranger/ DESTINATION ${work})
if(WAY MATCHES "^(find_package|pkg_config)$")
  run("installing" ${CMAKE_COMMAND} --install ${MAIS_BUILD} --prefix ${work}/moved)
  # An installed tree may be moved: nothing in it may name where it was, or where it was built.
  file(RENAME ${work}/moved ${work}/prefix)
  file(GLOB_RECURSE texts ${work}/prefix/*.cmake ${work}/prefix/*.pc)
  foreach(text IN LISTS texts)
    file(STRINGS ${text} leaks REGEX "${MAIS_SOURCE}/|${work}")
    if(leaks)
      give_up("${text} names a folder of the build: ${leaks}")
    endif()
  endforeach()
endif()

if(WAY STREQUAL "pkg_config")
  file(GLOB_RECURSE module ${work}/prefix/mais.pc)
  get_filename_component(modules ${module} DIRECTORY)
  run("the README's line" ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${modules} sh -e ${BLOCK})
  run("the program" ${work}/server)
  file(REMOVE_RECURSE ${work})
  return()
endif()

if(WAY STREQUAL "add_subdirectory")
  file(MAKE_DIRECTORY ${work}/third_party)
  file(CREATE_LINK ${MAIS_SOURCE} ${work}/third_party/mais SYMBOLIC)
  set(joined -DCMAKE_UNITY_BUILD=ON)  # some do; here it also saves time
endif()
run("configuring" ${CMAKE_COMMAND} -S . -B build -G Ninja -DSNIPPET=${BLOCK}
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${work}/prefix
  -DFETCHCONTENT_SOURCE_DIR_MAIS=${MAIS_SOURCE} ${joined})
# FetchContent does what add_subdirectory does, which is built whole: here the stranger's own file
# is enough.
set(target server)
if(WAY STREQUAL "fetch_content")
  set(target CMakeFiles/server.dir/server.cpp.o)
endif()
run("building" ${CMAKE_COMMAND} --build build --target ${target})
if(said MATCHES "warning:")
  message("${said}")
  give_up("the stranger's build shows warnings that he did not ask for")
endif()
run("listing tests" ${CMAKE_CTEST_COMMAND} --test-dir build -N)
if(NOT said MATCHES "Total Tests: 1\n")
  give_up("our tests run among the stranger's")
endif()
if(NOT WAY STREQUAL "fetch_content")
  run("the program" ${CMAKE_CTEST_COMMAND} --test-dir build)
endif()

if(WAY STREQUAL "find_package")
  file(WRITE ${work}/other/CMakeLists.txt "cmake_minimum_required(VERSION 3.25)\nproject(other CXX)\n"
    "find_package(mais CONFIG REQUIRED COMPONENTS core OPTIONAL_COMPONENTS telepathy)\n"
    "find_package(mais CONFIG COMPONENTS telepathy)\n"
    "message(STATUS \"found '\${mais_FOUND}': \${mais_NOT_FOUND_MESSAGE}\")\n")
  run("asking for a component that is not there" ${CMAKE_COMMAND} -S other -B other/build -G Ninja
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${work}/prefix)
  if(NOT said MATCHES "found '0': [^\n]*mais was built without telepathy; it has: core")
    message("${said}")
    give_up("a missing component is not named")
  endif()
  # Components with a library of somebody else behind them.
  function(use_component component source)
    file(GLOB_RECURSE library ${work}/prefix/*mais_${component}.a)
    if(NOT library)
      return()
    endif()
    set(folder use_${component})
    file(WRITE ${work}/${folder}/main.cpp "${source}")
    file(WRITE ${work}/${folder}/CMakeLists.txt "cmake_minimum_required(VERSION 3.25)\n"
      "project(user CXX)\nfind_package(mais CONFIG REQUIRED COMPONENTS ${component})\n"
      "add_executable(user main.cpp)\ntarget_link_libraries(user PRIVATE mais::${component})\n")
    run("configuring with mais::${component}" ${CMAKE_COMMAND} -S ${folder} -B ${folder}/build
      -G Ninja -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${work}/prefix)
    run("building with mais::${component}" ${CMAKE_COMMAND} --build ${folder}/build)
    run("using mais::${component}" ${work}/${folder}/build/user)
  endfunction()
  use_component(probe "#include \"mais/probe/probe.hpp\"
int main() { return mais::probe() ? 0 : 1; }\n")
  use_component(prometheus "#include \"mais/adapters/prometheus_metrics.hpp\"
int main() { return mais::adapters::PrometheusMetrics::create() ? 0 : 1; }\n")
else()
  execute_process(COMMAND ${CMAKE_COMMAND} --install build --prefix ${work}/host
    WORKING_DIRECTORY ${work} OUTPUT_QUIET ERROR_QUIET)
  file(GLOB_RECURSE installed ${work}/host/*)
  if(installed)
    give_up("we install ourselves with the stranger: ${installed}")
  endif()
endif()
file(REMOVE_RECURSE ${work})
