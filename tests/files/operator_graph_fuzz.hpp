// What a fuzzer checks of the readers of operator graphs and buffers, whoever calls it: any bytes
// give a graph that can be planned, or one error that names the file, in one line.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mais/files/operator_graph_csv.hpp"
#include "mais/files/operator_graph_json.hpp"
#include "mais/graph/lifetimes.hpp"
#include "mais/graph/order.hpp"

namespace mais::files {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "operator graph fuzz: %s\n", what);
  std::abort();
}

template <class T>
bool is_read(const Result<T>& read) {
  if (read) return true;
  const ErrorCode code = read.error().code;
  require(code == ErrorCode::parse_error || code == ErrorCode::invalid_argument,
          "an error of another kind");
  require(read.error().message.starts_with("fuzz:"), "the error names no file");
  require(read.error().message.find('\n') == std::string::npos, "more than one line of error");
  return false;
}

// Orders and places it with little search; the plan must pass the validator.
inline void plan_it(const graph::OperatorGraph& graph) {
  const graph::OrderPlan order = graph::plan_order(graph, {.max_states = 100, .max_windows = 1});
  require(order.lower_bound <= order.peak, "a bound above the peak");
  const auto usage = graph::measure(graph, order.order);
  require(usage && usage->peak_level == order.peak, "a peak that measuring does not confirm");
  const auto lives = graph::lifetimes(graph, order.order);
  require(lives.has_value(), "an order without lifetimes");
  for (const graph::ArenaProblem& arena : lives->arenas) {
    const auto plan = graph::plan_arena(arena, {.max_nodes = 100, .max_rounds = 1});
    require(plan && graph::validate(arena, *plan).empty(), "a plan that is not valid");
  }
}

inline void fuzz_graph_files(std::string_view bytes) {
  if (const auto table = parse_buffers_csv(bytes, "fuzz"); is_read(table)) {
    const graph::ArenaProblem problem{table->buffers, {}};
    const auto plan = graph::plan_arena(problem, {.max_nodes = 100, .max_rounds = 1});
    if (plan) require(graph::validate(problem, *plan).empty(), "a plan that is not valid");
  }
  if (const auto graph = parse_operator_graph_json(bytes, "fuzz"); is_read(graph)) plan_it(*graph);
}

}  // namespace mais::files
