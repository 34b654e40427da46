// The reader of expositions refuses what it must.
#include "adapters/exposition.hpp"

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>

namespace mais {
namespace {

TEST(Exposition, RefusesWhatAScraperMight) {
  const std::string head = "# HELP a x\n# TYPE a gauge\n";
  EXPECT_EQ(Exposition(head + "a{l=\"\\\"\\\\\\n\"} 0.5\n").value("a", {{"l", "\"\\\n"}}), 0.5);
  const std::string histogram = "# HELP h x\n# TYPE h histogram\nh_count 2\nh_sum 3\n";
  EXPECT_NO_THROW(Exposition(histogram + "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n"));
  for (const std::string& bad :
       {head + "a 1",
        head + "b 1\n",
        head + "a{} 1\n",
        head + "a{l=\"x} 1\n",
        head + "a{l=\"x\",l=\"y\"} 1\n",
        head + "a 1\na 2\n",
        head + "a one\n",
        head + "a 1 \n",
        head + "a{1l=\"x\"} 1\n",
        head + "a{l=\"\\t\"} 1\n",
        head,
        head + "a 1\n" + head + "a 2\n",
        head + "a nan\n",
        std::string("a 1\n"),
        std::string("# TYPE a gauge\na 1\n"),
        std::string("# HELP a x\n# TYPE a counter\na 1\n"),
        std::string("# HELP a_total x\n# TYPE a_total counter\na_total -1\n"),
        histogram + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\n",
        histogram + "h_bucket{le=\"1\"} 2\n",
        histogram + "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\n"}) {
    EXPECT_THROW(Exposition{bad}, std::runtime_error) << bad;
  }
}

}  // namespace
}  // namespace mais
