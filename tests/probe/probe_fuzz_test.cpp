#include "probe_fuzz.hpp"

#include <filesystem>
#include <random>

#include <gmock/gmock.h>

#include "recorded_machine.hpp"

namespace mais::probing {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kTexts = 1'000'000, kRecords = 100'000, kTopologies = 20'000;
#else
constexpr int kTexts = 50'000, kRecords = 2'000, kTopologies = 300;
#endif

constexpr std::string_view kPieces[] = {
    "-",  "1e308", "nan", "|",   "max",   "\n",   ":",  " ", "kB", "0", "9",
    "..", "/",     "=",   "inf", "\\040", "file", "\t", ",", "\"", "<", "9999999999999999999999"};

std::vector<std::string> files_in(const std::string& folder, const std::string& ending) {
  std::vector<std::string> texts;
  for (const auto& entry : std::filesystem::directory_iterator(data_file(folder))) {
    const std::string path = entry.path().string();
    if (path.ends_with(ending)) texts.push_back(text_of_file(path));
  }
  EXPECT_FALSE(texts.empty()) << folder;
  std::sort(texts.begin(), texts.end());
  return texts;
}

std::string mutated(std::string text, std::mt19937_64& random) {
  for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
    const std::size_t at = text.empty() ? 0 : random() % text.size();
    switch (random() % 6) {
      case 0:
        text.insert(at, kPieces[random() % std::size(kPieces)]);
        break;
      case 1:
        text.erase(at, random() % 20);
        break;
      case 2:
        text.insert(at, text.substr(at, random() % 60));
        break;
      case 3:
        text.resize(at);
        break;
      case 4: {  // another digit
        const std::size_t digit = text.find_first_of("0123456789", at);
        if (digit != std::string::npos) text[digit] = static_cast<char>('0' + random() % 10);
        break;
      }
      default:
        if (!text.empty()) text[at] = static_cast<char>(random());
    }
  }
  return text;
}

TEST(ProbeFuzz, AnyHostTextGivesAValueOrOneError) {
  const std::vector<std::string> seeds = files_in("fuzz/host_text", "");
  std::mt19937_64 random(11);
  for (int i = 0; i < kTexts; ++i) {
    const std::string& seed = seeds[random() % seeds.size()];
    const std::string text = seed.substr(0, 1) + mutated(seed.substr(1), random);
    SCOPED_TRACE(text);
    fuzz_host_text(text);
  }
}

TEST(ProbeFuzz, AnyRecordGivesAMachineOrOneError) {
  std::vector<std::string> seeds = files_in("host", ".record");
  for (std::string& text : files_in("machines", ".record")) {
    // The drivers' part: the topology is another test's.
    const std::size_t xml = text.find("hwloc-xml"), cuda = text.find("\ncuda\n");
    seeds.push_back(text.substr(0, xml) + text.substr(cuda + 1));
  }
  std::mt19937_64 random(12);
  for (int i = 0; i < kRecords; ++i) {
    fuzz_record(mutated(seeds[random() % seeds.size()], random));
  }
}

TEST(ProbeFuzz, AnyTopologyGivesAMachineOrOneError) {
  if (!has_hwloc()) GTEST_SKIP() << "hwloc is off";
  std::vector<std::string> seeds;
  for (const char* machine : {"laptop", "coherent_gpu", "fast_and_slow_memory"}) {
    seeds.push_back(load_record(std::string("machines/") + machine + ".record").hwloc_xml);
  }
  ::setenv("HWLOC_HIDE_ERRORS", "2", 1);
  std::mt19937_64 random(13);
  for (int i = 0; i < kTopologies; ++i) fuzz_xml(mutated(seeds[random() % seeds.size()], random));
}

}  // namespace
}  // namespace mais::probing
