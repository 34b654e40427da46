// A planted fault of the layer check: only an adapter may name its library.
#include <spdlog/spdlog.h>
