# As a part of somebody's build (add_subdirectory, FetchContent) only the libraries are built.
option(MAIS_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(MAIS_BUILD_BENCHMARKS "Build the benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(MAIS_BUILD_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(MAIS_INSTALL "Create the install target" ${PROJECT_IS_TOP_LEVEL})
option(MAIS_WERROR "Warnings in our own code are errors" ${PROJECT_IS_TOP_LEVEL})

# Optional parts: AUTO takes what is there, ON fails when it is not, OFF leaves it out.
foreach(part FILES SIM PROBE MEMORY SPDLOG PROMETHEUS HWLOC CUDA ONNX URING TORCH HTTP LLAMA)
  set(MAIS_WITH_${part} AUTO CACHE STRING "AUTO, ON or OFF")
  set_property(CACHE MAIS_WITH_${part} PROPERTY STRINGS AUTO ON OFF)
endforeach()

set(MAIS_SANITIZE "" CACHE STRING "Sanitizers of the whole build: address,undefined or thread")
option(MAIS_DEVICE_TESTS "Run the tests that need a GPU (label gpu)" OFF)
option(MAIS_LONG_TESTS "Run the long versions of randomised tests (label long)" OFF)
set(MAIS_TEST_LABELS "" CACHE STRING "Build only tests with a label that matches; empty: all")
option(MAIS_HOUSE_CHECKS "Run the checks that keep the house in order (label house)" ON)
set(MAIS_SHARED_DATA "" CACHE PATH "Folder with evaluation traces; tests that need it skip without")

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
  endif()
  if(NOT MAIS_SHARED_DATA AND IS_DIRECTORY "${PROJECT_SOURCE_DIR}/../shared/data")
    set(MAIS_SHARED_DATA "${PROJECT_SOURCE_DIR}/../shared/data" CACHE PATH "" FORCE)
  endif()
endif()
