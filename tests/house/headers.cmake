# Every public header compiles alone: a file with nothing but that #include. Headers of an adapter
# are left out where the adapter is off.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include
  ${PROJECT_SOURCE_DIR}/include/mais/*.hpp)
foreach(header IN LISTS headers)
  if(header MATCHES "^mais/adapters/([a-z0-9]+)")
    if(NOT MAIS_HAS_${CMAKE_MATCH_1})
      continue()
    endif()
  endif()
  house_check(header/${header} COMMAND ${house_compile} -include ${header} -x c++ /dev/null)
endforeach()

house_check(planted/header
  COMMAND ${house_compile} -include ${CMAKE_CURRENT_SOURCE_DIR}/planted/not_alone.hpp -x c++ /dev/null
  FINDS "not_alone.hpp.*error.*string")
