# Every public header compiles alone. Headers of an adapter are left out where the adapter is off.
set(left_out "")
file(GLOB adapters RELATIVE ${PROJECT_SOURCE_DIR}/include/mais/adapters
  ${PROJECT_SOURCE_DIR}/include/mais/adapters/*.hpp)
foreach(adapter IN LISTS adapters)
  string(REGEX MATCH "^[a-z0-9]+" name ${adapter})
  if(NOT MAIS_HAS_${name})
    list(APPEND left_out mais/adapters/${adapter})
  endif()
endforeach()

# What this very build compiles file by file, and so proves of the header that a file begins with.
set(compiled "")
get_property(components GLOBAL PROPERTY MAIS_COMPONENTS)
foreach(component IN LISTS components)
  get_target_property(unity mais_${component} UNITY_BUILD)
  if(NOT unity)
    get_target_property(folder mais_${component} SOURCE_DIR)
    get_target_property(sources mais_${component} SOURCES)
    list(TRANSFORM sources PREPEND ${folder}/ REGEX "^[^/]")
    list(APPEND compiled ${sources})
  endif()
endforeach()
list(FILTER compiled INCLUDE REGEX "\\.cpp$")
list(JOIN compiled "\n" lines)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/compiled_sources.txt "${lines}\n")
list(JOIN left_out "\n" lines)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/headers_left_out.txt "${lines}\n")

house_check(headers
  COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR}/include
    -DCOMPILED=${CMAKE_CURRENT_BINARY_DIR}/compiled_sources.txt
    -DLEFT_OUT=${CMAKE_CURRENT_BINARY_DIR}/headers_left_out.txt
    -P ${CMAKE_CURRENT_SOURCE_DIR}/check_headers.cmake -- ${house_compile})
house_check(planted/headers
  COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_CURRENT_SOURCE_DIR}/planted/headers
    -P ${CMAKE_CURRENT_SOURCE_DIR}/check_headers.cmake -- ${house_compile}
  FINDS "not_alone.hpp.*error.*string")
