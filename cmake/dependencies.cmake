# Finds what is there, and notes why a part is off, for the summary.
set(MAIS_PARTS_OFF "" CACHE INTERNAL "")

# mais_enable(PART <name> OPTION <MAIS_WITH_X> WHEN <bool> WHY <text>): sets MAIS_HAS_<name>.
function(mais_enable)
  cmake_parse_arguments(arg "" "PART;OPTION;WHY" "WHEN" ${ARGN})
  if(${arg_OPTION} STREQUAL "OFF")
    set(enabled FALSE)
    set(why "switched off by ${arg_OPTION}")
  elseif(${arg_WHEN})
    set(enabled TRUE)
  elseif(${arg_OPTION} STREQUAL "ON")
    message(FATAL_ERROR "mais: ${arg_OPTION}=ON, but ${arg_WHY}")
  else()
    set(enabled FALSE)
    set(why "${arg_WHY}")
  endif()
  if(NOT enabled)
    set(MAIS_PARTS_OFF "${MAIS_PARTS_OFF};${arg_PART} (${why})" CACHE INTERNAL "")
  endif()
  set(MAIS_HAS_${arg_PART} ${enabled} PARENT_SCOPE)
endfunction()

function(mais_print_summary)
  get_property(components GLOBAL PROPERTY MAIS_COMPONENTS)
  list(TRANSFORM components PREPEND mais:: OUTPUT_VARIABLE built)
  list(JOIN built " " built)
  message(STATUS "mais: built: ${built}")
  foreach(part IN LISTS MAIS_PARTS_OFF)
    if(part)
      message(STATUS "mais: off: ${part}")
    endif()
  endforeach()
endfunction()

find_package(Threads REQUIRED)
find_package(tl-expected CONFIG QUIET)
if(NOT TARGET tl::expected)
  message(FATAL_ERROR "mais needs tl::expected (Debian: libexpected-dev, vcpkg: tl-expected)")
endif()

if(NOT MAIS_WITH_FILES STREQUAL "OFF" OR NOT MAIS_WITH_SIM STREQUAL "OFF")
  find_package(nlohmann_json CONFIG QUIET)
endif()
mais_enable(PART files OPTION MAIS_WITH_FILES WHEN TARGET nlohmann_json::nlohmann_json
  WHY "nlohmann-json was not found (Debian: nlohmann-json3-dev)")
mais_enable(PART sim OPTION MAIS_WITH_SIM WHEN MAIS_HAS_files
  WHY "it reads and writes JSON through mais::files, which is off")

if(NOT MAIS_WITH_ONNX STREQUAL "OFF")
  find_package(Protobuf QUIET)
  if(TARGET protobuf::libprotobuf)
    find_package(ONNX CONFIG QUIET)
  endif()
endif()
mais_enable(PART onnx OPTION MAIS_WITH_ONNX WHEN TARGET onnx
  WHY "the ONNX library was not found (Debian: libonnx-dev libprotobuf-dev)")

# Parts of mais::probe: without them it says in its report what is missing.
mais_enable(PART probe OPTION MAIS_WITH_PROBE WHEN CMAKE_SYSTEM_NAME STREQUAL "Linux"
  WHY "it reads /proc and /sys, which are Linux's")
if(MAIS_HAS_probe AND NOT MAIS_WITH_HWLOC STREQUAL "OFF")
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(MAIS_HWLOC QUIET IMPORTED_TARGET GLOBAL hwloc>=2.7 hwloc<3)
  endif()
endif()
mais_enable(PART hwloc OPTION MAIS_WITH_HWLOC WHEN TARGET PkgConfig::MAIS_HWLOC
  WHY "hwloc 2.7 or later was not found, or mais::probe is off (Debian: libhwloc-dev)")
if(MAIS_HAS_probe AND NOT MAIS_WITH_CUDA STREQUAL "OFF")
  find_path(MAIS_CUDA_INCLUDE cuda.h
    PATHS /usr/local/cuda /opt/cuda ENV CUDA_PATH ENV CUDA_HOME
    PATH_SUFFIXES include targets/x86_64-linux/include targets/sbsa-linux/include)
  mark_as_advanced(MAIS_CUDA_INCLUDE)
endif()
mais_enable(PART cuda OPTION MAIS_WITH_CUDA WHEN MAIS_CUDA_INCLUDE
  WHY "cuda.h was not found, or mais::probe is off (CUDA toolkit; set MAIS_CUDA_INCLUDE)")

mais_enable(PART memory OPTION MAIS_WITH_MEMORY WHEN MAIS_HAS_probe
  WHY "it loads the CUDA driver through mais::probe, which is off")
if(MAIS_HAS_memory AND NOT MAIS_WITH_URING STREQUAL "OFF")
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(MAIS_LIBURING QUIET IMPORTED_TARGET GLOBAL liburing>=2.0)
  endif()
endif()
mais_enable(PART uring OPTION MAIS_WITH_URING WHEN TARGET PkgConfig::MAIS_LIBURING
  WHY "liburing 2.0 or later was not found, or mais::memory is off (Debian: liburing-dev)")

if(NOT MAIS_WITH_SPDLOG STREQUAL "OFF")
  find_package(spdlog CONFIG QUIET)
endif()
mais_enable(PART spdlog OPTION MAIS_WITH_SPDLOG WHEN TARGET spdlog::spdlog
  WHY "spdlog was not found (Debian: libspdlog-dev)")

# By pkg-config: the CMake package of Debian asks for the libraries of its HTTP parts, too.
if(NOT MAIS_WITH_PROMETHEUS STREQUAL "OFF")
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(MAIS_PROMETHEUS-CPP-CORE QUIET IMPORTED_TARGET GLOBAL prometheus-cpp-core>=1.0)
  endif()
endif()
mais_enable(PART prometheus OPTION MAIS_WITH_PROMETHEUS
  WHEN TARGET PkgConfig::MAIS_PROMETHEUS-CPP-CORE
  WHY "prometheus-cpp 1.0 or later was not found (Debian: prometheus-cpp-dev)")

# What carries the interface of examples/server. Its Stream and Server are built upon, so that
# versions that were not tried are not taken.
if((MAIS_BUILD_EXAMPLES OR MAIS_BUILD_TESTS) AND MAIS_HAS_memory AND MAIS_HAS_files
    AND NOT MAIS_WITH_HTTP STREQUAL "OFF")
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(MAIS_HTTPLIB QUIET IMPORTED_TARGET GLOBAL cpp-httplib>=0.11 cpp-httplib<0.15)
  endif()
  find_package(CLI11 CONFIG QUIET)
  if(TARGET PkgConfig::MAIS_HTTPLIB AND TARGET CLI11::CLI11)
    set(MAIS_HTTP_FOUND TRUE)
  endif()
endif()
mais_enable(PART http OPTION MAIS_WITH_HTTP WHEN MAIS_HTTP_FOUND
  WHY "cpp-httplib 0.11 to 0.14 or CLI11 was not found, or mais::files, mais::memory, or examples \
and tests are off (Debian: libcpp-httplib-dev libcli11-dev)")

# For examples/torch_server. Its two libraries are looked for by name: the CMake package of LibTorch
# asks for everything that LibTorch was built with.
if(MAIS_BUILD_EXAMPLES AND MAIS_HAS_memory AND MAIS_HAS_files AND NOT MAIS_WITH_TORCH STREQUAL "OFF")
  find_path(MAIS_TORCH_INCLUDE ATen/ops/mm_ops.h HINTS ENV TORCH_INSTALL_PREFIX
    PATH_SUFFIXES include)
  find_library(MAIS_TORCH_CPU torch_cpu HINTS ENV TORCH_INSTALL_PREFIX PATH_SUFFIXES lib)
  find_library(MAIS_TORCH_C10 c10 HINTS ENV TORCH_INSTALL_PREFIX PATH_SUFFIXES lib)
  mark_as_advanced(MAIS_TORCH_INCLUDE MAIS_TORCH_CPU MAIS_TORCH_C10)
  if(MAIS_TORCH_INCLUDE AND MAIS_TORCH_CPU AND MAIS_TORCH_C10)
    add_library(mais_libtorch INTERFACE)
    target_include_directories(mais_libtorch SYSTEM INTERFACE ${MAIS_TORCH_INCLUDE}
      ${MAIS_TORCH_INCLUDE}/torch/csrc/api/include)
    target_link_libraries(mais_libtorch INTERFACE ${MAIS_TORCH_CPU} ${MAIS_TORCH_C10}
      ${CMAKE_DL_LIBS})
  endif()
endif()
mais_enable(PART torch OPTION MAIS_WITH_TORCH WHEN TARGET mais_libtorch
  WHY "LibTorch was not found, or the examples, mais::files or mais::memory are off \
(Debian: libtorch-dev libopenblas0-pthread)")

# For examples/llama_server. Its interface is not stable: what the engine needs of it is tried.
if(MAIS_BUILD_EXAMPLES AND MAIS_HAS_memory AND MAIS_HAS_files AND NOT MAIS_WITH_LLAMA STREQUAL "OFF")
  find_package(llama CONFIG QUIET)
  if(TARGET llama)
    include(CheckCXXSourceCompiles)
    set(CMAKE_REQUIRED_LIBRARIES llama)
    check_cxx_source_compiles("#include <llama.h>
      int main() {
        llama_model_params model = llama_model_default_params();
        llama_context_params context = llama_context_default_params();
        model.no_alloc = context.kv_unified = context.swa_full = true;
        return llama_memory_seq_pos_max(nullptr, 0);
      }" MAIS_LLAMA_REHEARSES)
    unset(CMAKE_REQUIRED_LIBRARIES)
  endif()
  if(MAIS_LLAMA_REHEARSES)
    add_library(mais_llama INTERFACE)
    target_link_libraries(mais_llama INTERFACE llama)
    # In a folder of its own, libllama finds libggml by the path of who links it.
    target_link_options(mais_llama INTERFACE LINKER:--disable-new-dtags)
  endif()
endif()
mais_enable(PART llama OPTION MAIS_WITH_LLAMA WHEN TARGET mais_llama
  WHY "llama.cpp of 2026 or later was not found, or the examples, mais::files or mais::memory are off \
(cmake --install of llama.cpp, and its place in CMAKE_PREFIX_PATH)")

if(MAIS_BUILD_TESTS)
  find_package(GTest CONFIG QUIET)
  find_package(rapidcheck CONFIG QUIET)
  if(NOT TARGET GTest::gmock)
    message(STATUS "mais: tests off: GoogleTest was not found (Debian: libgtest-dev libgmock-dev)")
    set(MAIS_BUILD_TESTS OFF)
  endif()
endif()
if(MAIS_BUILD_BENCHMARKS)
  find_package(benchmark CONFIG QUIET)
  if(NOT TARGET benchmark::benchmark)
    message(STATUS "mais: benchmarks off: Google Benchmark was not found (Debian: libbenchmark-dev)")
    set(MAIS_BUILD_BENCHMARKS OFF)
  endif()
endif()
if(MAIS_BUILD_EXAMPLES)
  find_package(CLI11 CONFIG QUIET)
  if(NOT TARGET CLI11::CLI11)
    message(STATUS "mais: some examples off: CLI11 was not found (Debian: libcli11-dev)")
  endif()
endif()
