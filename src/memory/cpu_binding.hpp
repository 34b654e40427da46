// Binds the calling thread to the CPUs of a NUMA node.
#pragma once

#include <string>

namespace mais::memory {

// Empty when it is bound; else why not, in a sentence, and nothing has changed.
std::string bind_to_node(int node);

}  // namespace mais::memory
