# cmake -DSOURCE=<project> -DWORK=<folder> -P planner_digest.cmake
#
# Builds the core and planner_digest.cpp with g++ at -O0 and -O3 and with clang++ at -O3, and compares
# what they print with one another and with planner_digest.txt. When decisions were changed on
# purpose, put the new lines that this prints into planner_digest.txt. A compiler that is missing is
# named.
file(GLOB sources ${SOURCE}/src/core/*.cpp ${SOURCE}/src/*.cpp)
# What the planner does not use only costs time to compile.
list(FILTER sources EXCLUDE REGEX
  "src/core/(audit|calibration|layered|ledger_audit|pass_timeline|residency|split|variants|workspace_fit)")
# One translation unit: every compiler reads each header once.
set(unit "")
foreach(source IN LISTS sources ITEMS ${SOURCE}/tests/core/planner_digest.cpp)
  string(APPEND unit "#include \"${source}\"\n")
endforeach()
file(WRITE ${WORK}/planner_digest_unit.cpp "${unit}")
file(READ ${SOURCE}/tests/core/planner_digest.txt expected)
set(failed FALSE)
foreach(build "g++ -O0" "g++ -O3" "clang++ -O3")
  separate_arguments(build)
  list(POP_FRONT build compiler)
  find_program(found_${compiler} ${compiler})
  if(NOT found_${compiler})
    message("${compiler}: not found, not compared")
    continue()
  endif()
  set(program ${WORK}/planner_digest_${compiler}${build})
  execute_process(
    COMMAND ${found_${compiler}} -std=c++20 ${build} -ffp-contract=off -w -I${SOURCE}/include
      -I${SOURCE}/src ${WORK}/planner_digest_unit.cpp -o ${program}
    RESULT_VARIABLE status ERROR_VARIABLE errors)
  if(status)
    message(FATAL_ERROR "${compiler} ${build} did not build it:\n${errors}")
  endif()
  execute_process(COMMAND ${program} OUTPUT_VARIABLE printed RESULT_VARIABLE status)
  if(status OR NOT printed STREQUAL expected)
    message("${compiler} ${build} printed\n${printed}instead of\n${expected}")
    set(failed TRUE)
  else()
    message("${compiler} ${build}: the same")
  endif()
endforeach()
if(failed)
  message(FATAL_ERROR "the same events did not give the same actions")
endif()
