# mais_own_code(<target>): our warnings and sanitizers, on our own code only.
function(mais_own_code target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Wpedantic
    $<$<BOOL:${MAIS_WERROR}>:-Werror>
    # g++ 12 sees overlaps in std::string and unset members of a moved std::variant that are not
    # there (GCC bugs 105651 and 105562).
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict;-Wno-maybe-uninitialized>)
  if(MAIS_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${MAIS_SANITIZE} -fno-omit-frame-pointer
      -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${MAIS_SANITIZE})
  endif()
endfunction()

# mais_library(<name> SOURCES ... [PUBLIC libs...] [PRIVATE libs...] [HEADERS_OF libs...]
#   [PACKAGES names...] [PKG_CONFIG modules...] [PKG_FLAGS flags...])
# Target mais_<name>, alias mais::<name>; nothing of our warnings leaks to who links it. HEADERS_OF
# are header-only libraries that only our own sources see: who links an installed mais needs none
# of them. What an installed mais::<name> needs beyond other mais libraries: PACKAGES for
# find_package, PKG_CONFIG and PKG_FLAGS for pkg-config.
function(mais_library name)
  cmake_parse_arguments(arg "" ""
    "SOURCES;PUBLIC;PRIVATE;HEADERS_OF;PACKAGES;PKG_CONFIG;PKG_FLAGS" ${ARGN})
  add_library(mais_${name} STATIC ${arg_SOURCES})
  add_library(mais::${name} ALIAS mais_${name})
  set_target_properties(mais_${name} PROPERTIES EXPORT_NAME ${name} OUTPUT_NAME mais_${name}
    CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_include_directories(mais_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  target_include_directories(mais_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(mais_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  foreach(header_library IN LISTS arg_HEADERS_OF)
    target_link_libraries(mais_${name} PRIVATE $<BUILD_INTERFACE:${header_library}>)
  endforeach()
  # Decisions are the same on every compiler and level: no contraction of a * b + c.
  target_compile_options(mais_${name} PRIVATE -ffp-contract=off)
  mais_own_code(mais_${name})

  set_property(GLOBAL APPEND PROPERTY MAIS_COMPONENTS ${name})
  set(needs ${arg_PUBLIC} ${arg_PRIVATE})
  list(FILTER needs INCLUDE REGEX "^mais::")
  list(TRANSFORM needs REPLACE "^mais::" "")
  set_property(GLOBAL PROPERTY MAIS_${name}_NEEDS ${needs})
  set_property(GLOBAL PROPERTY MAIS_${name}_PACKAGES ${arg_PACKAGES})
  set_property(GLOBAL PROPERTY MAIS_${name}_PKG_CONFIG ${arg_PKG_CONFIG})
  set_property(GLOBAL PROPERTY MAIS_${name}_PKG_FLAGS ${arg_PKG_FLAGS})
endfunction()

# mais_program(<name> SOURCES ... LIBS ...): an example or a bench.
function(mais_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBS})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  mais_own_code(${name})
endfunction()
