// What is charged, what llama.cpp says that it takes, and what the process really takes.
#include <fstream>
#include <llama.h>

#include <gmock/gmock.h>

#include "gguf_tokenizer.hpp"
#include "mais/core/calibration.hpp"
#include "published_shapes.hpp"
#include "small_llama.hpp"

// Whether llama.cpp is to find no memory for weights; linked with --wrap.
namespace {
bool no_memory = false;
}
extern "C" llama_model* __real_llama_model_load_from_file(const char* path,
                                                          llama_model_params params);
extern "C" llama_model* __wrap_llama_model_load_from_file(const char* path,
                                                          llama_model_params params) {
  if (no_memory && !params.no_alloc && !params.vocab_only) return nullptr;
  return __real_llama_model_load_from_file(path, params);
}

namespace llama_server {
namespace {

using mais::Bytes;
using mais::ErrorCode;
using mais::Tokens;
using mais::files::ElementType;
using testing::HasSubstr;

double part(Bytes of, Bytes whole) {
  return static_cast<double>(of.count()) / static_cast<double>(whole.count());
}

class LlamaMemoryTest : public testing::Test {
 protected:
  std::string written(const RandomGguf& model) {
    RandomGgufFile(model).write(folder_.at("model.gguf"));
    return folder_.at("model.gguf");
  }
  mais::Result<std::unique_ptr<LlamaEngine>> make(Settings settings, SmallBudgets& budget) {
    return LlamaEngine::make(
        {.name = "one", .settings = std::move(settings), .budgets = budget.budgets()});
  }
  mais::files::ScratchFolder folder_;
};

// Of every type, with and without fused attention: 16 sequences of 64 tokens in steps of 64.
TEST_F(LlamaMemoryTest, WhatIsTakenIsNeverMoreThanWhatWasCharged) {
  for (const ElementType type :
       {ElementType::f32, ElementType::f16, ElementType::q8_0, ElementType::q4_0}) {
    for (const bool fused : {true, false}) {
      SCOPED_TRACE(std::string(to_string(type)) + (fused ? " fused" : ""));
      Settings settings = small_settings(
          written({.type = type, .layers = 3, .width = 128, .inner = 256, .context = 2048}));
      settings.cells = 1024;
      settings.fused_attention = fused;
      settings.step_sequences = 16;
      SmallBudgets budget;
      const auto engine = make(settings, budget);
      ASSERT_TRUE(engine) << engine.error().message;
      const Bytes before = heap_in_use();
      ASSERT_TRUE((*engine)->load());
      const Bytes charged = budget.used();
      EXPECT_EQ(charged, (*engine)->plan().total());
      std::vector<Tokens32> tokens;
      std::vector<std::uint32_t> pages;
      for (std::uint32_t i = 0; i < 16; ++i) tokens.push_back(prompt_of(64, i));
      for (std::uint32_t page = 0; page < 64; ++page) pages.push_back(page);
      StepResult result;
      for (int chunk = 0; chunk < 8; ++chunk) {
        mais::core::Step step;
        std::vector<SequenceView> views;
        for (std::uint32_t i = 0; i < 16; ++i) {
          step.entries.push_back({.request = mais::RequestId(i),
                                  .context = Tokens(8 * chunk),
                                  .tokens = Tokens(8),
                                  .emits = true});
          views.push_back({.tokens = tokens[i], .pages = std::span(pages).subspan(4 * i, 4)});
        }
        (*engine)->run(step, views, result);
        ASSERT_EQ(result.outcome, StepResult::Outcome::done) << result.error;
      }
      const Bytes taken = heap_in_use() - before;
      if (heap_in_use() > Bytes(0)) {  // else this allocator does not say
        EXPECT_LE(taken, charged);
        EXPECT_GE(part(taken, charged), 0.9);
      }
      EXPECT_EQ(budget.used(), charged);
      (*engine)->unload();
      EXPECT_EQ(budget.used(), Bytes(0));
      EXPECT_LE(heap_in_use() - before, Bytes(1 << 20));
    }
  }
}

TEST_F(LlamaMemoryTest, WhatTheFileLetsExpectIsWhatLlamaSaysThatItTook) {
  const std::string path = written(
      {.type = ElementType::f16, .layers = 4, .width = 512, .inner = 1024, .context = 4096});
  for (const ElementType kv : {ElementType::f32, ElementType::f16, ElementType::q8_0}) {
    Settings settings = small_settings(path);
    settings.cells = 4096;
    settings.step_tokens = Tokens(256);
    settings.kv_type = kv;
    settings.fused_attention = true;
    SmallBudgets budget;
    const auto engine = make(settings, budget);
    ASSERT_TRUE(engine) << engine.error().message;
    ASSERT_TRUE((*engine)->load());
    const Forecast& expected = (*engine)->forecast();
    const BufferSizes said = (*engine)->sizes();
    EXPECT_NEAR(part(expected.weights, said.weights), 1, 0.003);
    EXPECT_NEAR(part(expected.state, said.state), 1, 0.001);
    EXPECT_LE(expected.output, at_most(said.output));
    EXPECT_GE(at_most(expected.output), said.output);
    EXPECT_GE(at_most(expected.compute), said.compute);
    if (kv == ElementType::f32) continue;  // copied to 16 bits: the bound is wider
    EXPECT_LE(part(expected.compute, said.compute), 1.1);
  }
}

// Rehearsals of published models, whose weights are holes: asked for are 3 %. The bound of the
// compute buffer is exact for dense models, and wider for experts and fused matrices.
TEST_F(LlamaMemoryTest, PublishedModelsTakeWhatTheirFilesLetExpect) {
  for (const PublishedShape& shape : published_shapes()) {
    const PublishedFile file(shape);
    const std::string path = folder_.write("model.gguf", file.header(), file.data_bytes());
    const bool dense = shape.experts == 0 && std::string(shape.family) != "phi3";
    struct Way {
      Settings settings;
      double compute;  // the bound may be so many times what it bounds
    };
    const Way ways[] = {
        {{.path = path}, dense ? 1.002 : 1.2},
        {{.path = path, .cells = 32768}, dense ? 1.002 : 1.2},
        {{.path = path, .fused_attention = false}, 1.15},
        {{.path = path, .kv_type = ElementType::q8_0}, 1.2},
        {{.path = path, .kv_type = ElementType::f32}, 1.35},
    };
    for (const auto& [settings, most] : ways) {
      SCOPED_TRACE(std::string(shape.name) + ", " + std::to_string(settings.cells) + " cells of " +
                   std::string(to_string(settings.kv_type)) +
                   (settings.fused_attention ? "" : ", plain"));
      const auto expected = forecast(settings);
      ASSERT_TRUE(expected) << expected.error().message;
      const auto rehearsal = LoadedModel::load(settings, Extent::rehearsal);
      ASSERT_TRUE(rehearsal) << rehearsal.error().message;
      const BufferSizes& said = rehearsal->sizes();
      EXPECT_NEAR(part(expected->weights, tensor_bytes(*rehearsal)), 1, 0.0001);
      EXPECT_NEAR(part(expected->state, said.state), 1, 0.0001);
      EXPECT_NEAR(part(expected->output, said.output), 1, 0.03);
      EXPECT_GE(at_most(expected->compute), said.compute);
      EXPECT_LE(part(expected->compute, said.compute), most);
    }
  }
}

// Where the bound of the compute buffer is wider, what was measured narrows it, and no bound was
// ever below what came next.
TEST_F(LlamaMemoryTest, WhatWasMeasuredNarrowsABoundToThreePercentAndKeepsItABound) {
  for (PublishedShape shape : published_shapes()) {
    if (shape.experts == 0 && std::string(shape.family) != "phi3") continue;
    SCOPED_TRACE(shape.name);
    shape.layers = 3;
    const PublishedFile file(shape);
    const std::string path = folder_.write("model.gguf", file.header(), file.data_bytes());
    mais::core::Calibration calibration({.confidence = 0.95, .first_factor = 1.2});
    const mais::core::CalibrationKey key{shape.name, "llama.cpp, f16, 4096 cells", "compute"};
    double last = 0;
    for (std::int64_t sample = 0; sample < 21; ++sample) {
      const Settings settings{.path = path,
                              .step_tokens = Tokens(512 - 16 * sample),
                              .sequences = 16,
                              .step_sequences = 16};
      const auto expected = forecast(settings);
      const auto rehearsal = LoadedModel::load(settings, Extent::rehearsal);
      ASSERT_TRUE(expected && rehearsal);
      const Bytes said = rehearsal->sizes().compute;
      EXPECT_LE(said, at_most(calibration.bound(key, expected->compute))) << "sample " << sample;
      last = part(calibration.bound(key, expected->compute), said);
      calibration.observe(key, expected->compute, said);
    }
    EXPECT_LE(last, 1.03);
  }
}

TEST_F(LlamaMemoryTest, ABudgetThatIsTooSmallIsRefusedBeforeAnythingIsTaken) {
  SmallBudgets ample;
  const Settings settings = small_settings(written({}));
  const auto engine = make(settings, ample);
  ASSERT_TRUE(engine);
  const MemoryPlan& plan = (*engine)->plan();
  for (const Bytes cap :
       {plan.total() - Bytes(65536), plan.weights + plan.state, plan.weights - Bytes(1)}) {
    SmallBudgets budget(cap);
    const auto poor = make(settings, budget);
    ASSERT_TRUE(poor);
    const Bytes before = heap_in_use();
    const auto loaded = (*poor)->load();
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, ErrorCode::over_capacity) << loaded.error().message;
    EXPECT_THAT(loaded.error().message, HasSubstr("one: its budget is too small"));
    EXPECT_EQ(budget.used(), Bytes(0));
    EXPECT_LE(heap_in_use() - before, Bytes(65536));
    EXPECT_EQ((*poor)->memory().weights.used, Bytes(0));
  }
  SmallBudgets exact(plan.total() + Bytes(65536));  // metadata is a little more or less
  const auto fits = make(settings, exact);
  ASSERT_TRUE(fits && (*fits)->load());
}

TEST_F(LlamaMemoryTest, WhatLlamaDoesNotLoadIsGivenBack) {
  SmallBudgets budget;
  const auto engine = make(small_settings(written({})), budget);
  ASSERT_TRUE(engine);
  no_memory = true;
  const auto loaded = (*engine)->load();
  no_memory = false;
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, HasSubstr("llama.cpp does not load it"));
  EXPECT_EQ(budget.used(), Bytes(0));
  ASSERT_TRUE((*engine)->load());
  EXPECT_EQ(budget.used(), (*engine)->plan().total());
}

TEST_F(LlamaMemoryTest, FilesThatCannotBeServedAreRefusedWithAReason) {
  SmallBudgets budget;
  const auto says = [&](const std::string& path, ErrorCode code, const char* what) {
    const auto engine = make(small_settings(path), budget);
    ASSERT_FALSE(engine) << path;
    EXPECT_EQ(engine.error().code, code) << engine.error().message;
    EXPECT_THAT(engine.error().message, HasSubstr(what));
  };
  says(folder_.at("none.gguf"), ErrorCode::not_found, "none.gguf");
  says(folder_.write("text.gguf", "not at all"), ErrorCode::parse_error, "text.gguf");
  const std::string whole = RandomGgufFile({}).bytes();
  says(folder_.write("cut.gguf", whole.substr(0, whole.size() / 2)), ErrorCode::parse_error,
       "cut.gguf");
  const PublishedFile wordless({"tiny", "llama", 1, 64, 2, 2, 32, 128, 64, 512, ElementType::f16});
  says(folder_.write("wordless.gguf", wordless.header(), wordless.data_bytes()),
       ErrorCode::unavailable, "has no words");
  const PublishedFile shapeless(
      {"tiny", "phi3", 1, 64, 2, 2, 32, 128, 64, 512, ElementType::f16, 2, 1});
  says(folder_.write("odd.gguf", shapeless.header(), shapeless.data_bytes()),
       ErrorCode::parse_error, "llama.cpp does not load it: ");
}

TEST_F(LlamaMemoryTest, EveryFaultOfTheSettingsIsSaid) {
  SmallBudgets budget;
  const auto engine = make({.path = written({}),
                            .cells = 300,
                            .step_tokens = Tokens(0),
                            .sequences = 1000,
                            .step_sequences = 0,
                            .threads = 0},
                           budget);
  ASSERT_FALSE(engine);
  for (const char* path : {"cells: is 300", "step_tokens: is 0", "sequences: is 1000",
                           "step_sequences: is 0", "threads: is 0"}) {
    EXPECT_THAT(engine.error().message, HasSubstr(path));
  }
}

}  // namespace
}  // namespace llama_server
