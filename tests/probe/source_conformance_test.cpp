#include "source_conformance.hpp"

#include "mais/probe/cuda_driver.hpp"
#include "mais/probe/nvml.hpp"
#include "mais/probe/probe.hpp"
#include "recorded_machine.hpp"
#ifdef MAIS_FAKE_CUDA
#include "fake/fake_drivers.hpp"
#endif

namespace mais::probing {
namespace {

Said host_of(FileTree& files) {
  Said said;
  auto host = read_host_memory(files);
  said.status = {"host", host.has_value(), host ? "files" : host.error().message};
  if (host) said.readings.host = *std::move(host);
  return said;
}

Said topology_of(Result<Topology> topology) {
  Said said;
  said.status = topology ? topology->status : SourceStatus{"topology", false, {}};
  if (!topology) said.status.detail = topology.error().message;
  if (topology) said.readings.topology = *std::move(topology);
  return said;
}

Said cuda_of(const std::string& library) {
  Said said;
  said.status = {"CUDA driver", false, {}};
  const auto driver = CudaDriver::load(library);
  if (!driver) {
    said.status.detail = driver.error().message;
    return said;
  }
  auto reading = driver->read();
  if (!reading) {
    said.status.detail = reading.error().message;
    return said;
  }
  said.status = reading->status;
  said.readings.cuda = *std::move(reading);
  return said;
}

Said nvml_of(const std::string& library) {
  Said said;
  said.status = {"NVML", false, {}};
  const auto nvml = Nvml::load(library);
  if (!nvml) {
    said.status.detail = nvml.error().message;
    return said;
  }
  said.readings.nvml = nvml->read();
  nvml->refresh(said.readings.nvml);
  said.status = said.readings.nvml.status;
  return said;
}

std::vector<Source> sources() {
  std::vector<Source> list = {
      {"host_files",
       [] {
         SystemFiles files;
         return host_of(files);
       }},
      {"host_files_kept_open",
       [] {
         SystemFiles files("/", true);
         return host_of(files);
       }},
      {"host_files_absent",
       [] {
         RecordedFiles files({});
         return host_of(files);
       }},
      {"topology_hwloc", [] { return topology_of(read_topology()); }},
      {"topology_damaged_xml", [] { return topology_of(read_topology_xml("<topology>")); }},
      {"topology_files",
       [] {
         SystemFiles files;
         return topology_of(read_topology_files(files));
       }},
      {"topology_files_absent",
       [] {
         RecordedFiles files({});
         return topology_of(read_topology_files(files));
       }},
      {"cuda_of_this_machine", [] { return cuda_of("libcuda.so.1"); }},
      {"cuda_absent", [] { return cuda_of("libcuda-not-there.so.1"); }},
      {"nvml_of_this_machine", [] { return nvml_of("libnvidia-ml.so.1"); }},
      {"nvml_absent", [] { return nvml_of("libnvidia-ml-not-there.so.1"); }},
  };
  for (const char* record : {"cgroup_v1", "cgroup_v2", "cgroup_hybrid", "cgroup_outside"}) {
    list.push_back({std::string("host_") + record, [record] {
                      RecordedFiles files(
                          load_record(std::string("host/") + record + ".record").files);
                      return host_of(files);
                    }});
  }
  for (const char* record : {"two_sockets_four_gpus", "coherent_gpu", "fast_and_slow_memory"}) {
    const std::string name = std::string("machines/") + record + ".record";
    list.push_back({std::string("topology_xml_") + record, [name] {
                      return topology_of(read_topology_xml(load_record(name).hwloc_xml));
                    }});
    list.push_back({std::string("topology_files_") + record, [name] {
                      RecordedFiles files(load_record(name).files);
                      return topology_of(read_topology_files(files));
                    }});
  }
#ifdef MAIS_FAKE_CUDA
  using fake::FakeDrivers;
  const auto with = [](auto change, auto ask) {
    return [change, ask] {
      FakeDrivers drivers;
      drivers.world.gpus = fake::two_gpus();
      change(drivers.world);
      const Said said = ask();
      EXPECT_EQ(drivers.world.contexts_created, 0);
      EXPECT_EQ(drivers.world.nvml_inits, drivers.world.nvml_shutdowns);
      return said;
    };
  };
  const auto cuda = [] { return cuda_of(FakeDrivers::cuda()); };
  const auto nvml = [] { return nvml_of(FakeDrivers::nvml()); };
  const auto as_is = [](fake::FakeWorld&) {};
  list.push_back({"cuda_fake", with(as_is, cuda)});
  list.push_back({"cuda_fake_stub", with([](fake::FakeWorld& w) { w.init_status = 34; }, cuda)});
  list.push_back({"cuda_fake_fails_late",
                  with([](fake::FakeWorld& w) { w.cuda_errors["cuDeviceTotalMem"] = 999; }, cuda)});
  list.push_back({"nvml_fake", with(as_is, nvml)});
  list.push_back({"nvml_fake_lost", with([](fake::FakeWorld& w) { w.gpus[0].lost = true; }, nvml)});
  list.push_back(
      {"nvml_fake_fails", with([](fake::FakeWorld& w) { w.nvml_init_status = 9; }, nvml)});
#endif
  return list;
}

INSTANTIATE_TEST_SUITE_P(Every, SourceConformance, ::testing::ValuesIn(sources()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace mais::probing
