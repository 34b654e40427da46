# clang-format has nothing to say. Versions differ in what they say, so only the one that the code
# is written with is asked.
set(format_version 14)
find_program(MAIS_CLANG_FORMAT NAMES clang-format-${format_version} clang-format)
mark_as_advanced(MAIS_CLANG_FORMAT)
set(format_check ${CMAKE_COMMAND} -DCLANG_FORMAT=${MAIS_CLANG_FORMAT}
  -DVERSION=${format_version} -P ${CMAKE_CURRENT_SOURCE_DIR}/check_format.cmake)
house_check(format COMMAND ${format_check} ${PROJECT_SOURCE_DIR} SKIP "skipped: ")

# Called another name in the source tree, so that the check itself does not find it.
set(badly_formatted ${CMAKE_CURRENT_BINARY_DIR}/badly_formatted/src/planted.cpp)
file(CONFIGURE OUTPUT ${badly_formatted} CONTENT "int  f( ){return 1 ;}\n" @ONLY)
file(COPY ${PROJECT_SOURCE_DIR}/.clang-format
  DESTINATION ${CMAKE_CURRENT_BINARY_DIR}/badly_formatted)
house_check(planted/format COMMAND ${format_check} ${CMAKE_CURRENT_BINARY_DIR}/badly_formatted
  FINDS "planted.cpp:1:4.*code should be clang-formatted" SKIP "skipped: ")
