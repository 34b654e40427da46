# What must not compile does not, and for the reason meant: each expression has a twin beside it
# that differs in the mistake only, and that compiles.
set(expression_source ${CMAKE_CURRENT_SOURCE_DIR}/expression.cpp)
set(refusals "no match for|invalid operands|no matching|could not convert|no viable|explicit")
string(APPEND refusals "|cannot convert|no known conversion")

function(compile_fail name good bad)
  house_check(compiles/${name} COMMAND ${house_compile} "-DMAIS_EXPRESSION=${good}" ${expression_source})
  house_check(compile_fail/${name} COMMAND ${house_compile} "-DMAIS_EXPRESSION=${bad}"
    ${expression_source} FINDS "error: [^\n]*(${refusals})")
endfunction()

compile_fail(units/bytes_plus_tokens "1_GiB + 1_B" "1_GiB + 1_tok")
compile_fail(units/bytes_minus_blocks "1_GiB - 1_B" "1_GiB - 1_blk")
compile_fail(units/bytes_compared_to_tokens "1_GiB < 1_B" "1_GiB < 1_tok")
compile_fail(units/bytes_times_bytes "2_B * 2" "2_B * 2_B")
compile_fail(units/plain_number_as_bytes "Bytes(1)" "[]() -> Bytes { return 1; }()")
compile_fail(units/bytes_as_plain_number "(1_B).count() + 1" "1_B + 1")
compile_fail(units/ratio_of_the_wrong_unit "128_KiB / 1_tok * 1_tok" "128_KiB / 1_tok * 1_blk")
compile_fail(units/time_plus_bytes "Time() + 5ms" "Time() + 5_B")
compile_fail(units/time_of_a_clock "Time(Duration(5))" "Time(std::chrono::steady_clock::now())")
compile_fail(units/duration_of_a_number "Duration(5)" "[]() -> Duration { return 5; }()")
compile_fail(units/id_of_another_kind "SpaceId(1) == SpaceId(1)" "SpaceId(1) == DeviceId(1)")
compile_fail(units/number_as_id "SpaceId(1)" "[]() -> SpaceId { return 1U; }()")
compile_fail(units/number_as_request "RequestId{1}" "[]() -> RequestId { return 1; }()")

# Plain data is written with designated initialisers, and what is left out draws no warning.
house_check(compiles/vocabulary/designated_initialisers COMMAND ${house_compile}
  "-DMAIS_EXPRESSION=std::tuple(Space{.name = \"a\"}, Device{.name = \"a\"}, Link{.from = SpaceId(0)}, \
Machine{.name = \"a\"}, StateGroup{.name = \"a\"}, Workspace{.fixed = 1_B}, StepCost{.overhead = 1ms}, \
Model{.name = \"a\"}, Instance{.name = \"a\"}, Tenant{.name = \"a\"}, Config{.models = {}}, \
Deadlines{.tpot = 1ms}, Request{.bytes = 1_B})" ${expression_source})
