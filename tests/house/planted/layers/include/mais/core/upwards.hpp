// Planted faults of the layer check: a core header that knows the shell, the graph and threads.
#pragma once

#include <thread>

#include "mais/graph/arena.hpp"
#include "mais/scheduler.hpp"
