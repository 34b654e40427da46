// The workspace fit against worlds whose need is known: linear ones, whose coefficients it finds,
// and others, which a bound of known confidence on top of it must cover all the same.
#include "mais/core/workspace_fit.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "core/planner_host.hpp"
#include "mais/core/calibration.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;

struct Shape {
  Tokens tokens{};
  std::int64_t sequences = 0;
  Tokens context{};
};

// As a server forms steps: decodes, mostly with prompt chunks beside them.
Shape shape_of(Random& random) {
  Shape shape{.sequences = random.between(1, 48)};
  shape.tokens = Tokens(shape.sequences);
  for (std::int64_t i = 0; i < shape.sequences; ++i) {
    shape.context += Tokens(random.between(50, 3000));
  }
  if (!random.one_in(4)) {
    ++shape.sequences;
    shape.tokens += Tokens(random.between(16, 1024));
    shape.context += Tokens(random.below(4000));
  }
  return shape;
}

constexpr Workspace kTrue{.fixed = 24_MiB,
                          .per_token = 96_KiB / 1_tok,
                          .per_sequence = 512_KiB,
                          .per_context_token = 640_B / 1_tok};

double need(const Workspace& workspace, const Shape& shape) {
  return static_cast<double>(workspace.bytes(shape.tokens, shape.sequences, shape.context).count());
}

Workspace off_by(const Workspace& workspace, Random& random, double most) {
  const auto factor = [&] {
    return std::pow(most, 2 * static_cast<double>(random.below(1'000'001)) / 1e6 - 1);
  };
  return {.fixed = workspace.fixed * factor(),
          .per_token = BytesPerToken((Bytes(workspace.per_token.count()) * factor()).count()),
          .per_sequence = workspace.per_sequence * factor(),
          .per_context_token =
              BytesPerToken((Bytes(workspace.per_context_token.count()) * factor()).count())};
}

double mean_error(const WorkspaceFit& fit, Random& random,
                  const std::function<double(const Shape&)>& truth) {
  double mean = 0;
  for (int i = 0; i < 200; ++i) {
    const Shape shape = shape_of(random);
    const double predicted =
        static_cast<double>(fit.predict(shape.tokens, shape.sequences, shape.context).count());
    mean += std::abs(predicted / truth(shape) - 1) / 200;
  }
  return mean;
}

Bytes whole(double bytes) {
  return Bytes(static_cast<std::int64_t>(bytes));
}

TEST(WorkspaceFit, BeginsWithWhatIsBelieved) {
  const WorkspaceFit fit(kTrue);
  EXPECT_EQ(fit.predict(100_tok, 3, 5000_tok), kTrue.bytes(100_tok, 3, 5000_tok));
  EXPECT_EQ(fit.predict(5000_tok, 3, 5000_tok), kTrue.bytes(5000_tok, 3, 5000_tok));
  EXPECT_EQ(fit.observed(), 0U);
}

TEST(WorkspaceFit, CoefficientsOffByThreeAreFoundWithinTwoHundredSteps) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    WorkspaceFit fit(off_by(kTrue, random, 3));
    for (int i = 0; i < 200; ++i) {
      const Shape shape = shape_of(random);
      fit.observe(shape.tokens, shape.sequences, shape.context, whole(need(kTrue, shape)));
    }
    EXPECT_LT(mean_error(fit, random, [](const Shape& s) { return need(kTrue, s); }), 0.02)
        << "seed " << seed;
  }
}

TEST(WorkspaceFit, BeginsFromNothing) {
  Random random(3);
  WorkspaceFit fit;
  EXPECT_EQ(fit.predict(100_tok, 3, 5000_tok), 0_B);
  for (int i = 0; i < 300; ++i) {
    const Shape shape = shape_of(random);
    fit.observe(shape.tokens, shape.sequences, shape.context, whole(need(kTrue, shape)));
  }
  EXPECT_LT(mean_error(fit, random, [](const Shape& s) { return need(kTrue, s); }), 0.03);
  EXPECT_LT(fit.error(), 0.05);
}

TEST(WorkspaceFit, TermsThatAreNotThereAreFoundToBeNothing) {
  Random random(4);
  WorkspaceFit fit(kTrue);
  const Workspace truth{.fixed = 10_MiB, .per_token = 50_KiB / 1_tok};
  for (int i = 0; i < 500; ++i) {
    const Shape shape = shape_of(random);
    fit.observe(shape.tokens, shape.sequences, shape.context, whole(need(truth, shape)));
  }
  EXPECT_LT(mean_error(fit, random, [&](const Shape& s) { return need(truth, s); }), 0.02);
  EXPECT_LT(fit.predict(64_tok, 8, 8000_tok) - fit.predict(64_tok, 8, 0_tok), 128_KiB);
}

TEST(WorkspaceFit, OutliersDoNotThrowItOff) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Random random(seed);
    WorkspaceFit fit(off_by(kTrue, random, 2));
    for (int i = 0; i < 600; ++i) {
      const Shape shape = shape_of(random);
      double bytes = need(kTrue, shape);
      if (random.one_in(25)) bytes *= 8;  // the allocator went and got a large segment
      if (random.one_in(25)) bytes = 0;   // a counter that was reset
      fit.observe(shape.tokens, shape.sequences, shape.context, whole(bytes));
    }
    EXPECT_LT(mean_error(fit, random, [](const Shape& s) { return need(kTrue, s); }), 0.05)
        << "seed " << seed;
  }
}

// Products are made of at most 128 rows: beyond them a token costs little more.
TEST(WorkspaceFit, FindsWhereATileIsFull) {
  const auto tiled = [](const Shape& s) {
    const auto tokens = static_cast<double>(s.tokens.count());
    return 60e3 + 4e3 * std::min(tokens, 128.0) + 340 * tokens +
           200 * static_cast<double>(s.sequences);
  };
  Random random(8);
  WorkspaceFit fit(kTrue);
  for (int i = 0; i < 500; ++i) {
    const Shape shape = shape_of(random);
    fit.observe(shape.tokens, shape.sequences, shape.context, whole(tiled(shape)));
  }
  EXPECT_LT(mean_error(fit, random, tiled), 0.01);
  EXPECT_TRUE(fit.learned());
}

TEST(WorkspaceFit, FollowsAnEngineThatChanges) {
  Random random(6);
  WorkspaceFit fit(kTrue);
  for (const double changed : {1.0, 2.0, 0.5}) {
    for (int i = 0; i < 500; ++i) {
      const Shape shape = shape_of(random);
      fit.observe(shape.tokens, shape.sequences, shape.context,
                  whole(changed * need(kTrue, shape)));
    }
    EXPECT_LT(mean_error(fit, random, [&](const Shape& s) { return changed * need(kTrue, s); }),
              0.02)
        << "times " << changed;
  }
}

TEST(WorkspaceFit, PredictionsRiseWithTheStepWhateverIsObserved) {
  Random random(9);
  WorkspaceFit fit(kTrue);
  for (int i = 0; i < 2000; ++i) {
    const Shape shape = shape_of(random);
    fit.observe(shape.tokens, shape.sequences, shape.context,
                Bytes(random.one_in(10) ? 0 : random.below(std::int64_t{1} << 40)));
    const Bytes now = fit.predict(shape.tokens, shape.sequences, shape.context);
    ASSERT_GE(now, 0_B);
    ASSERT_GE(fit.predict(shape.tokens + 7_tok, shape.sequences, shape.context), now);
    ASSERT_GE(fit.predict(shape.tokens, shape.sequences + 1, shape.context), now);
    ASSERT_GE(fit.predict(shape.tokens, shape.sequences, shape.context + 99_tok), now);
  }
}

TEST(WorkspaceFit, AbsurdNumbersAreIgnoredOrCut) {
  WorkspaceFit fit(kTrue);
  fit.observe(Tokens(-1), 1, 0_tok, 1_MiB);
  fit.observe(1_tok, -1, 0_tok, 1_MiB);
  fit.observe(1_tok, 1, Tokens(-1), 1_MiB);
  fit.observe(1_tok, 1, 0_tok, Bytes(-1));
  EXPECT_EQ(fit.observed(), 0U);
  fit.observe(Tokens::max(), 1, Tokens::max(), Bytes::max());
  EXPECT_GE(fit.predict(1_tok, 1, 1_tok), 0_B);
  EXPECT_GT(fit.predict(Tokens::max(), 1, Tokens::max()), 1_GiB);
}

// What is reserved by the bound on top of the fit: the part of steps that needed more, and how much
// more than needed it was on average over the second half.
struct Reserved {
  double covered = 0;
  double excess = 0;
};

Reserved reserved(std::uint64_t seed, const std::function<double(const Shape&, Random&)>& truth) {
  Random random(seed);
  WorkspaceFit fit(off_by(kTrue, random, 2));
  UpperBound bound;
  constexpr int kSteps = 4000;
  Reserved result;
  for (int i = 0; i < kSteps; ++i) {
    const Shape shape = shape_of(random);
    const double expected =
        static_cast<double>(fit.predict(shape.tokens, shape.sequences, shape.context).count());
    const double bytes = truth(shape, random);
    const double reserve = expected * bound.factor();
    if (reserve >= bytes) result.covered += 1.0 / kSteps;
    if (i >= kSteps / 2) result.excess += (reserve / bytes - 1) / (kSteps / 2);
    bound.observe(bytes / expected);
    fit.observe(shape.tokens, shape.sequences, shape.context, whole(bytes));
  }
  return result;
}

TEST(WorkspaceFit, ABoundOnTopCoversWorldsThatAreNotLinear) {
  struct World {
    const char* name;
    double most_excess;
    std::function<double(const Shape&, Random&)> need;
  };
  const std::vector<World> worlds = {
      {"linear", 0.01, [](const Shape& s, Random&) { return need(kTrue, s); }},
      {"rounded up to 2 MiB", 0.05,
       [](const Shape& s, Random&) { return std::ceil(need(kTrue, s) / (1 << 21)) * (1 << 21); }},
      {"noisy", 0.30,
       [](const Shape& s, Random& random) {
         return need(kTrue, s) * (1 + 0.2 * static_cast<double>(random.below(1000)) / 1000);
       }},
      // The peak is in whichever part of a step needs more, the layers or the logits: no plane
      // lies close above both.
      {"the larger of two parts", 0.35,
       [](const Shape& s, Random&) {
         return 8e6 + std::max(96e3 * static_cast<double>(s.tokens.count()),
                               1e6 * static_cast<double>(s.sequences));
       }},
  };
  for (const World& world : worlds) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      const Reserved result = reserved(seed, world.need);
      EXPECT_GE(result.covered, 0.985) << world.name << ", seed " << seed;
      EXPECT_LE(result.excess, world.most_excess) << world.name << ", seed " << seed;
    }
  }
}

}  // namespace
}  // namespace mais::core
