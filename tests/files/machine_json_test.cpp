#include "mais/files/machine_json.hpp"

#include <gmock/gmock.h>

#include "mais/files/model_json.hpp"

namespace mais::files {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kOneGpu = R"({
  "name": "one gpu",
  "spaces": [
    { "name": "hbm", "kind": "device", "capacity": "22 GiB", "bandwidth": "240 GB/s",
      "numa_node": 1 },
    { "name": "dram", "kind": "host", "capacity": 1099511627776 }
  ],
  "devices": [ { "name": "gpu0", "space": "hbm", "compute": "73 TFLOP/s" } ],
  "links": [ { "from": "hbm", "to": "dram", "bandwidth": 25e9, "latency": "10 us" } ]
})";

std::string message_of(std::string_view json) {
  const auto machine = parse_machine(json, "box.json");
  return machine ? "read without a fault" : machine.error().message;
}

std::string with(std::string text, std::string_view old, std::string_view replacement) {
  const auto at = text.find(old);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, old.size(), replacement);
}

TEST(MachineJson, ReadsUnitsAndNames) {
  const auto machine = parse_machine(kOneGpu, "box.json");
  ASSERT_TRUE(machine) << machine.error().message;
  ASSERT_EQ(machine->spaces.size(), 2u);
  EXPECT_EQ(machine->spaces[0].capacity, 22_GiB);
  EXPECT_EQ(machine->spaces[0].bandwidth.value, 240e9);
  EXPECT_EQ(machine->spaces[0].numa_node, 1);
  EXPECT_EQ(machine->spaces[1].kind, SpaceKind::host);
  EXPECT_EQ(machine->spaces[1].capacity, 1_TiB);
  EXPECT_EQ(machine->devices[0].compute.value, 73e12);
  ASSERT_EQ(machine->links.size(), 1u);
  EXPECT_EQ(machine->links[0].to, SpaceId(1));
  EXPECT_EQ(machine->links[0].latency, 10us);
}

TEST(MachineJson, SyntaxErrorsNameFileAndLine) {
  EXPECT_THAT(message_of("{\n  \"name\": \"a\",\n  oops\n}"),
              HasSubstr("box.json:3: this is not JSON: "));
  EXPECT_THAT(message_of(""), HasSubstr("box.json:1: this is not JSON: "));
  EXPECT_THAT(message_of("{\"name\": \"a\"\n,\n\"name\": 1}"),
              HasSubstr("box.json:3: the key 'name' is given twice"));
}

TEST(MachineJson, FaultsNameLinePathAndRemedy) {
  EXPECT_EQ(message_of(with(std::string(kOneGpu), "\"22 GiB\"", "true")),
            "box.json:4: spaces[0].capacity: is true or false; a size is \"24 GiB\" or a whole "
            "number of bytes");
  EXPECT_EQ(message_of(with(std::string(kOneGpu), "1099511627776", "-5")),
            "box.json:6: spaces[1].capacity: is -5 bytes; give what may be used, above 0");
  EXPECT_EQ(message_of(with(std::string(kOneGpu), "\"host\"", "\"hots\"")),
            "box.json:6: spaces[1].kind: is 'hots'; one of \"device\", \"host\", \"disk\"");
  EXPECT_EQ(message_of(with(std::string(kOneGpu), "\"space\": \"hbm\"", "\"space\": \"hbn\"")),
            "box.json:8: devices[0].space: 'hbn' is not declared; declared are 'hbm', 'dram'");
  EXPECT_EQ(message_of(with(std::string(kOneGpu), "\"10 us\"", "10")),
            "box.json:9: links[0].latency: is a number; a duration is a text with its unit, "
            "\"50 ms\"");
}

TEST(MachineJson, UnknownKeysAreFaultsWithASuggestion) {
  EXPECT_EQ(message_of(with(std::string(kOneGpu), "\"bandwidth\": \"240", "\"bandwith\": \"240")),
            "box.json:4: spaces[0].bandwith: is not known here; did you mean 'bandwidth'?");
  EXPECT_THAT(message_of(with(std::string(kOneGpu), "\"numa_node\"", "\"colour\"")),
              HasSubstr("spaces[0].colour: is not known here; known are bandwidth, capacity, "));
}

TEST(MachineJson, EveryFaultIsReportedNotOnlyTheFirst) {
  const std::string message =
      message_of(with(with(std::string(kOneGpu), "\"22 GiB\"", "null"), "\"10 us\"", "\"10\""));
  EXPECT_THAT(message, HasSubstr("box.json:4: spaces[0].capacity: is null"));
  EXPECT_THAT(message, HasSubstr("\nbox.json:9: links[0].latency: is '10' is not a duration"));
}

TEST(MachineJson, MissingFieldsAreNamed) {
  EXPECT_THAT(message_of(R"({"spaces": [{"name": "hbm"}]})"),
              HasSubstr("box.json:1: spaces[0].capacity: is missing; give it"));
  EXPECT_THAT(message_of("[]"), HasSubstr("box.json:1: is a list; give an object"));
}

TEST(MachineJson, HostileNestingIsAnErrorNotACrash) {
  const std::string deep(100'000, '[');
  EXPECT_THAT(message_of(deep), HasSubstr("nested more than 64 deep"));
  EXPECT_THAT(message_of(R"({"numa_node": )" + deep), HasSubstr("nested more than 64 deep"));
}

TEST(ModelJson, ReadsAModelAndFindsItsFaults) {
  const auto model = parse_model(R"({
    "name": "llama3-8b", "weights": "16.06 GB",
    "state": [ { "name": "attention", "per_token": "128 KiB" },
               { "name": "local", "per_token": "64 KiB", "window": 4096 } ],
    "cost": { "flops_per_token": 16.06e9, "overhead": "1 ms" },
    "shape_buckets": [32, 64]
  })",
                                 "model.json");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->weights, Bytes(16'060'000'000));
  EXPECT_EQ(model->state[0].per_token, 128_KiB / 1_tok);
  EXPECT_EQ(model->state[1].window, 4096_tok);
  EXPECT_EQ(model->cost.overhead, 1ms);
  EXPECT_EQ(model->shape_buckets.back(), 64_tok);

  const auto bad =
      parse_models("{\n\"models\": [\n{\"name\": \"m\",\n\"weights\": -1}]}", "m.json");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "m.json:4: models[0].weights: is -1; 0 or more");
  const auto fraction = parse_model(R"({"name": "m", "max_context": 1.5})", "m.json");
  ASSERT_FALSE(fraction);
  EXPECT_THAT(fraction.error().message, HasSubstr("max_context: is not a whole number"));
}

}  // namespace
}  // namespace mais::files
