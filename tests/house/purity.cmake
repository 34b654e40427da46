# The decision core touches nothing but memory: no object file of mais::core names a symbol of a
# clock, thread, file, device, log or random number.
set(purity_check ${CMAKE_COMMAND} -DNM=${CMAKE_NM} -P ${CMAKE_CURRENT_SOURCE_DIR}/check_purity.cmake)
house_check(purity COMMAND ${purity_check} $<TARGET_FILE:mais_core>)

add_library(house_impure OBJECT planted/impure.cpp)
target_compile_features(house_impure PRIVATE cxx_std_20)
house_check(planted/purity COMMAND ${purity_check} $<TARGET_OBJECTS:house_impure>
  FINDS "kinds found: clock device file log random thread")
