#include "mais/probe/report.hpp"
#include "probe/json_text.hpp"
#include "probe/wording.hpp"

namespace mais::probing {

namespace {

void put(JsonText& json, std::string_view key, const Rate& rate) {
  json.object(key, [&] {
    json.field("source", to_string(rate.source));
    if (rate.known()) {
      json.field("min", rate.min.value);
      json.field("median", rate.median.value);
      json.field("max", rate.max.value);
    }
    json.field("how", rate.how);
  });
}

std::optional<std::int64_t> count_of(const std::optional<Bytes>& bytes) {
  if (!bytes) return std::nullopt;
  return bytes->count();
}

std::optional<double> seconds_of(const std::optional<Duration>& duration) {
  if (!duration) return std::nullopt;
  return to_seconds(*duration);
}

// In the form of files::parse_machine().
void put_machine(JsonText& json, const Machine& machine) {
  json.object("machine", [&] {
    json.field("name", machine.name);
    json.list("spaces", machine.spaces, [&](const Space& space) {
      json.object([&] {
        json.field("name", space.name);
        json.field("kind", to_string(space.kind));
        json.field("capacity", space.capacity.count());
        json.field("bandwidth", space.bandwidth.value);
        json.field("numa_node", space.numa_node);
      });
    });
    json.list("devices", machine.devices, [&](const Device& device) {
      json.object([&] {
        json.field("name", device.name);
        json.field("kind", to_string(device.kind));
        json.field("space", machine.spaces[device.space.value()].name);
        json.field("compute", device.compute.value);
      });
    });
    json.list("links", machine.links, [&](const Link& link) {
      json.object([&] {
        json.field("from", machine.spaces[link.from.value()].name);
        json.field("to", machine.spaces[link.to.value()].name);
        json.field("bandwidth", link.bandwidth.value);
        json.field("latency", std::to_string(link.latency.count()) + " ns");
      });
    });
  });
}

void put_device(JsonText& json, const MachineReport& report, const DeviceReport& device) {
  json.object([&] {
    json.field("name", device.name);
    json.field("kind", to_string(device.kind));
    json.field("space", report.spaces[device.space.value()].name);
    json.field("what", device.what);
    if (device.kind == DeviceKind::gpu) {
      json.field("uuid", device.uuid);
      json.field("pci", device.pci);
      json.field("multiprocessors", device.multiprocessors);
      json.field("l2", device.l2.count());
      json.field("compute_capability", std::to_string(device.capability.first) + "." +
                                           std::to_string(device.capability.second));
      json.field("shares_host_memory", device.shares_host_memory);
      json.field("health", to_string(device.health));
      json.field("trouble", device.trouble);
      json.field("power_watts", device.power_watts);
      json.field("power_limit_watts", device.power_limit_watts);
      json.list("processes", device.processes, [&](const GpuProcess& process) {
        json.object([&] {
          json.field("pid", process.pid);
          json.field("used", count_of(process.used));
        });
      });
    }
    json.list("near_nodes", device.near_nodes, [&](int node) { json.field("", node); });
    json.list("also", device.also, [&](const std::string& name) { json.field("", name); });
  });
}

}  // namespace

std::string to_json(const MachineReport& report) {
  JsonText json;
  json.object([&] {
    put_machine(json, report.machine);
    json.list("spaces", report.spaces, [&](const SpaceReport& space) {
      json.object([&] {
        json.field("name", space.name);
        json.field("kind", to_string(space.kind));
        json.field("what", space.what);
        json.field("total", space.total.count());
        json.field("usable", space.usable.count());
        json.field("free", count_of(space.free));
        json.field("numa_node", space.numa_node);
        json.field("limit", space.binds);
        put(json, "bandwidth", space.bandwidth);
        json.field("latency_seconds", seconds_of(space.latency));
      });
    });
    json.list("devices", report.devices,
              [&](const DeviceReport& device) { put_device(json, report, device); });
    json.list("links", report.links, [&](const LinkReport& link) {
      json.object([&] {
        json.field("from", report.spaces[link.from.value()].name);
        json.field("to", report.spaces[link.to.value()].name);
        put(json, "bandwidth", link.bandwidth);
        json.field("latency_seconds", seconds_of(link.latency));
      });
    });
    json.object("host", [&] {
      json.field("packages", report.packages);
      json.field("cores", report.cores);
      json.field("threads", report.processing_units);
      json.field("usable", report.budget.bytes.count());
      json.list("bounds", report.budget.bounds, [&](const Bound& bound) {
        json.object([&] {
          json.field("kind", to_string(bound.kind));
          json.field("where", bound.where);
          json.field("limit", bound.limit.count());
          json.field("used", bound.used.count());
          json.field("reclaimable", bound.reclaimable.count());
          json.field("headroom", bound.headroom.count());
        });
      });
      json.field("lockable", count_of(report.lockable));
      json.list("huge_pages", report.huge_pages, [&](const HugePages& pages) {
        json.object([&] {
          json.field("size", pages.size.count());
          json.field("total", pages.total);
          json.field("free", pages.free);
        });
      });
      std::optional<double> some, full;
      if (report.pressure) {
        some = report.pressure->some_10s;
        full = report.pressure->full_10s;
      }
      json.field("pressure_some_10s", some);
      json.field("pressure_full_10s", full);
    });
    json.list("unused_gpus", report.unused, [&](const UnusedGpu& gpu) {
      json.object([&] {
        json.field("pci", gpu.pci);
        json.field("name", gpu.name);
        json.field("why", gpu.why);
      });
    });
    json.list("sources", report.sources, [&](const SourceStatus& source) {
      json.object([&] {
        json.field("name", source.name);
        json.field("available", source.available);
        json.field("detail", source.detail);
      });
    });
    json.list("notes", report.notes, [&](const std::string& note) { json.field("", note); });
  });
  return std::move(json).take();
}

}  // namespace mais::probing
