# mais_planted_bug(<name> IN <source of the core> FIND <text> REPLACE <text> FAULT <text>): links the
# explorer with a copy of one source file of the core in which a bug was planted, instead of the
# file itself, and expects it to find the fault. The core's own sources know nothing of it.
function(mais_planted_bug name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "IN;FIND;REPLACE;FAULT" "")
  set(source ${PROJECT_SOURCE_DIR}/src/core/${arg_IN})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  file(READ ${source} text)
  string(FIND "${text}" "${arg_FIND}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "planted bug ${name}: the text to replace is not in ${arg_IN} any more:\n"
      "${arg_FIND}\nChange tests/core/CMakeLists.txt with it.")
  endif()
  string(LENGTH "${arg_FIND}" length)
  string(SUBSTRING "${text}" 0 ${at} before)
  math(EXPR rest "${at} + ${length}")
  string(SUBSTRING "${text}" ${rest} -1 after)
  set(copy ${CMAKE_CURRENT_BINARY_DIR}/planted_${name}.cpp)
  file(CONFIGURE OUTPUT ${copy} CONTENT "@before@@arg_REPLACE@@after@" @ONLY)
  set(target planner_explorer_${name})
  # The linker takes the copy's functions and leaves those of the library where they are.
  add_executable(${target} $<TARGET_OBJECTS:planner_explorer> ${copy})
  target_link_libraries(${target} PRIVATE mais_test_main mais::core)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE -ffp-contract=off)
  mais_own_code(${target})
  add_test(NAME planner_explorer_finds_${name} COMMAND ${target} --gtest_filter=*optimistic)
  set_tests_properties(planner_explorer_finds_${name} PROPERTIES TIMEOUT 300
    ENVIRONMENT "MAIS_PLANTED=${arg_FAULT}")
endfunction()
