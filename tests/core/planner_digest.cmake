# cmake -DSOURCE=<project> -DWORK=<folder> -P planner_digest.cmake
#
# Builds the core and planner_digest.cpp with g++ and clang++, at -O0 and at -O3, and compares what
# they print with one another and with planner_digest.txt. When decisions were changed on purpose,
# put the new lines that this prints into planner_digest.txt. A compiler that is missing is named.
file(GLOB sources ${SOURCE}/src/core/*.cpp ${SOURCE}/src/*.cpp)
list(FILTER sources EXCLUDE REGEX "src/core/(audit|ledger_audit)")
# One translation unit: four compilers' runs read each header once.
set(unit "")
foreach(source IN LISTS sources ITEMS ${SOURCE}/tests/core/planner_digest.cpp)
  string(APPEND unit "#include \"${source}\"\n")
endforeach()
file(WRITE ${WORK}/planner_digest_unit.cpp "${unit}")
file(READ ${SOURCE}/tests/core/planner_digest.txt expected)
set(failed FALSE)
foreach(compiler g++ clang++)
  find_program(found_${compiler} ${compiler})
  if(NOT found_${compiler})
    message("${compiler}: not found, not compared")
    continue()
  endif()
  foreach(level O0 O3)
    set(program ${WORK}/planner_digest_${compiler}_${level})
    execute_process(
      COMMAND ${found_${compiler}} -std=c++20 -${level} -ffp-contract=off -w -I${SOURCE}/include
        -I${SOURCE}/src ${WORK}/planner_digest_unit.cpp -o ${program}
      RESULT_VARIABLE status ERROR_VARIABLE errors)
    if(status)
      message(FATAL_ERROR "${compiler} -${level} did not build it:\n${errors}")
    endif()
    execute_process(COMMAND ${program} OUTPUT_VARIABLE printed RESULT_VARIABLE status)
    if(status OR NOT printed STREQUAL expected)
      message("${compiler} -${level} printed\n${printed}instead of\n${expected}")
      set(failed TRUE)
    else()
      message("${compiler} -${level}: the same")
    endif()
  endforeach()
endforeach()
if(failed)
  message(FATAL_ERROR "the same events did not give the same actions")
endif()
