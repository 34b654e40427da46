set(layers_check ${CMAKE_COMMAND} -P ${CMAKE_CURRENT_SOURCE_DIR}/check_layers.cmake)
house_check(layers COMMAND ${layers_check} ${PROJECT_SOURCE_DIR})

set(planted ${CMAKE_CURRENT_SOURCE_DIR}/planted/layers)
house_check(planted/layers/core_includes_shell COMMAND ${layers_check} ${planted}
  FINDS "core/upwards.hpp: a core file includes mais/scheduler.hpp")
house_check(planted/layers/core_includes_graph COMMAND ${layers_check} ${planted}
  FINDS "core/upwards.hpp: a core file includes mais/graph/arena.hpp")
house_check(planted/layers/core_includes_thread COMMAND ${layers_check} ${planted}
  FINDS "core/upwards.hpp: a core file includes <thread>")
house_check(planted/layers/shell_includes_spdlog COMMAND ${layers_check} ${planted}
  FINDS "shell/foreign.cpp: a shell file includes <spdlog/spdlog.h>")
