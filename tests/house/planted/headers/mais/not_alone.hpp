// The planted fault of the header check: it uses std::string and includes nothing.
#pragma once

inline std::string name();
