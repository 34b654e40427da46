#!/usr/bin/env python3
"""Writes the recorded machines of this folder: python3 write_machines.py

No machine was at hand to record, so each is made up from the documentation of its kind, small enough
to read. What a driver would say of the GPUs stands beside the topology. The expected reports (*.txt,
*.json) are written by machines_test with MAIS_WRITE_GOLDEN=1, and read by a person before they are
committed."""
import os

GIB = 1 << 30


class Xml:
    """A topology as hwloc XML, version 2."""

    def __init__(self):
        self.lines, self.depth, self.next = [], 0, 1

    def put(self, text):
        self.lines.append("  " * self.depth + text)

    def open(self, kind, **attributes):
        number = self.next
        self.next += 1
        words = " ".join(f'{k}="{v}"' for k, v in attributes.items() if v is not None)
        self.put(f'<object type="{kind}" {words} gp_index="{number}">')
        self.depth += 1
        return number

    def close(self):
        self.depth -= 1
        self.put("</object>")


def mask(bits):
    value = sum(1 << b for b in bits)
    words = []
    while True:
        words.append(f"0x{value & 0xffffffff:08x}")
        value >>= 32
        if value == 0:
            break
    return ",".join(reversed(words))


def sets(cpus, nodes):
    c, n = mask(cpus), mask(nodes)
    return dict(cpuset=c, complete_cpuset=c, nodeset=n, complete_nodeset=n)


def topology(packages, gpus=(), nvlink=None, bandwidth=(), latency=()):
    """packages: [{cpus, llc, nodes: [{node, size, subtype, gpu}]}]; gpus: [{pci, package, speed, name,
    names, vendor, device}]; nvlink: {(i, j): MB/s}; bandwidth, latency: {node: value}."""
    x = Xml()
    all_cpus = [c for p in packages for c in p["cpus"]]
    all_nodes = [n["node"] for p in packages for n in p["nodes"]]
    everything = sets(all_cpus, all_nodes)
    x.open("Machine", os_index=0, **everything, allowed_cpuset=everything["cpuset"],
           allowed_nodeset=everything["nodeset"])
    node_numbers, os_numbers = {}, []
    node_cpus = {}
    for index, package in enumerate(packages):
        nodes = [n["node"] for n in package["nodes"]]
        x.open("Package", os_index=index, **sets(package["cpus"], nodes))
        for n in package["nodes"]:
            node_numbers[n["node"]] = x.open("NUMANode", os_index=n["node"], subtype=n.get("subtype"),
                                             **sets(package["cpus"], [n["node"]]),
                                             local_memory=n["size"])
            node_cpus[n["node"]] = package["cpus"]
            if n.get("gpu"):
                x.put(f'<info name="PCIBusID" value="{n["gpu"]}"/>')
            x.close()
        x.open("L3Cache", **sets(package["cpus"], nodes), cache_size=package["llc"], depth=3,
               cache_linesize=64, cache_associativity=16, cache_type=0)
        for cpu in package["cpus"]:
            x.open("Core", os_index=cpu, **sets([cpu], nodes))
            x.open("PU", os_index=cpu, **sets([cpu], nodes))
            x.close()
            x.close()
        x.close()
        here = [g for g in gpus if g["package"] == index]
        if here:
            x.open("Bridge", bridge_type="0-1", depth=0, bridge_pci=f"0000:[{0:02x}-ff]"
                   if len(packages) == 1 else f"000{index}:[00-ff]")
            for g in here:
                x.open("PCIDev", pci_busid=g["pci"],
                       pci_type=f"{g.get('class', '0302')} [{g.get('vendor', '10de')}:{g['device']}] "
                                f"[10de:0001] a1",
                       pci_link_speed=f"{g['speed']:.6f}")
                if g.get("name"):
                    x.put(f'<info name="PCIDevice" value="{g["name"]}"/>')
                for name, kind in g.get("names", []):
                    number = x.open("OSDev", name=name, osdev_type=kind)
                    if name.startswith("nvml"):
                        os_numbers.append(number)
                    x.close()
                x.close()
            x.close()
        x.close()
    x.close()
    body = "\n".join(x.lines)
    tail = ""
    if nvlink:
        count = len(os_numbers)
        values = "".join(f"{nvlink(i, j)} " for i in range(count) for j in range(count))
        indexes = "".join(f"{n} " for n in os_numbers)
        tail += (f'\n  <distances2 type="OSDev" nbobjs="{count}" kind="9" name="NVLinkBandwidth" '
                 f'indexing="gp">\n    <indexes length="{len(indexes)}">{indexes}</indexes>\n'
                 f'    <u64values length="{len(values)}">{values}</u64values>\n  </distances2>')
    for name, flags, values in (("Bandwidth", 5, dict(bandwidth)), ("Latency", 6, dict(latency))):
        if values:
            tail += f'\n  <memattr name="{name}" flags="{flags}">'
            for node, value in values.items():
                tail += (f'\n    <memattr_value target_obj_type="NUMANode" '
                         f'target_obj_gp_index="{node_numbers[node]}" value="{value}" '
                         f'initiator_cpuset="{mask(node_cpus[node])}"/>')
            tail += "\n  </memattr>"
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">\n'
            f'<topology version="2.0">\n{body}{tail}\n</topology>')


def kb(value):
    return value // 1024


def files(nodes, pressure="0.00", cgroup=None, allowed=None):
    """nodes: [(node, size, free, cpulist)]; memory that is in use is not page cache."""
    total, free = sum(n[1] for n in nodes), sum(n[2] for n in nodes)
    out = {
        "/proc/meminfo": f"MemTotal: {kb(total)} kB\nMemFree: {kb(free)} kB\n"
                         f"MemAvailable: {kb(free)} kB",
        "/proc/self/limits": "Max data size             unlimited            unlimited            bytes\n"
                             "Max locked memory         67108864             67108864             bytes\n"
                             "Max address space         unlimited            unlimited            bytes",
        "/proc/self/status": "VmSize: 20480 kB\nVmLck: 0 kB\nVmRSS: 8192 kB\nVmData: 4096 kB\n"
                             "CapEff: 0000000000000000\nMems_allowed_list: "
                             + (allowed or ",".join(str(n[0]) for n in nodes)),
        "/proc/pressure/memory": f"some avg10={pressure} avg60=0.00 avg300=0.00 total=0\n"
                                 "full avg10=0.00 avg60=0.00 avg300=0.00 total=0",
    }
    for node, size, node_free, cpus in nodes:
        folder = f"/sys/devices/system/node/node{node}"
        out[folder + "/meminfo"] = (f"Node {node} MemTotal: {kb(size)} kB\n"
                                    f"Node {node} MemFree: {kb(node_free)} kB")
        out[folder + "/cpulist"] = cpus
    if cgroup:
        limit, current, cache = cgroup
        out["/proc/self/cgroup"] = "0::/"
        out["/proc/self/mountinfo"] = ("30 22 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw")
        out["/sys/fs/cgroup/memory.max"] = str(limit)
        out["/sys/fs/cgroup/memory.high"] = "max"
        out["/sys/fs/cgroup/memory.current"] = str(current)
        out["/sys/fs/cgroup/memory.stat"] = (f"inactive_file {cache}\nactive_file 0\nfile_dirty 0\n"
                                             "file_writeback 0")
    return out


def fields(pairs, depth=0):
    lines = []
    for name, value in pairs:
        if isinstance(value, list):
            lines.append("  " * depth + name)
            lines += fields(value, depth + 1)
        else:
            if isinstance(value, bool):
                value = "yes" if value else "no"
            lines.append("  " * depth + f"{name} {value}")
    return lines


def uuid(i):
    return f"{i:08x}-1111-2222-3333-4444{i:08x}"


def cuda_gpu(i, name, pci, total, **more):
    pairs = [("ordinal", i), ("name", name), ("uuid", uuid(i + 1)), ("pci", pci), ("total", total)]
    peers = more.pop("peers", [])
    pairs += list(more.items())
    pairs += [("peer", [("ordinal", p)]) for p in peers]
    return ("device", pairs)


def nvml_gpu(i, name, pci, total, free, generation=4, **more):
    links = more.pop("nvlinks", [])
    processes = more.pop("processes", [])
    pairs = [("uuid", more.pop("uuid", uuid(i + 1))), ("pci", pci), ("name", name)]
    if total is not None:
        pairs.append(("memory", [("free", free), ("total", total)]))
    pairs += [("process", [("pid", p), ("used", u)]) for p, u in processes]
    pairs += list(more.items())
    pairs += [("pcie_generation", generation), ("pcie_width", 16)]
    pairs += [("nvlink", [("remote", r), ("to_switch", s), ("version", v)]) for r, s, v in links]
    return ("device", pairs)


def available(source, detail):
    return [("source", source), ("available", True), ("detail", detail)]


def missing(source, detail):
    return [("source", source), ("available", False), ("detail", detail)]


NO_CUDA = missing("CUDA driver", "no NVIDIA driver: libcuda.so.1: cannot open shared object file")
NO_NVML = missing("NVML", "no NVML: libnvidia-ml.so.1: cannot open shared object file")
CUDA = available("CUDA driver", "for CUDA 12.4") + [("driver_version", 12040)]
NVML = available("NVML", "driver 550.54")


def write(name, about, xml, system, cuda=NO_CUDA, nvml=NO_NVML):
    out = ["mais machine record 1"] + ["# " + line for line in about.split("\n")]
    for path in sorted(system):
        out.append("file " + path)
        out += ["|" + line for line in system[path].split("\n")]
    out.append("hwloc-xml")
    out += ["|" + line for line in xml.split("\n")]
    for section, pairs in (("cuda", cuda), ("nvml", nvml)):
        out.append(section)
        out += ["|" + line for line in fields(pairs)]
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, name + ".record"), "w") as f:
        f.write("\n".join(out) + "\n")


def package(cpus, *nodes, llc=32 << 20):
    return dict(cpus=cpus, llc=llc, nodes=list(nodes))


def node(n, size, **more):
    return dict(node=n, size=size, **more)


# A laptop: an Intel GPU in the processor, no driver of NVIDIA.
write("laptop", "A laptop of 16 GiB with the processor's own GPU, which is not supported.",
      topology([package([0, 1, 2, 3], node(0, 16 * GIB), llc=12 << 20)],
               [dict(pci="0000:00:02.0", package=0, speed=0, device="46a6", vendor="8086", **{"class": "0300"},
                     name="Iris Xe Graphics", names=[("card0", 1), ("renderD128", 1)])]),
      files([(0, 16 * GIB, 9 * GIB, "0-3")]))

# One GPU in a container with a limit; the system has several names for it.
write("one_gpu_container", "One GPU, seen by the system under three names, in a container with 32 GiB of\n"
      "which 10 are in use and 2 of those page cache. Another process holds 3 GiB of the GPU.",
      topology([package(list(range(8)), node(0, 128 * GIB))],
               [dict(pci="0000:17:00.0", package=0, speed=31.507692, device="26b9", name="L40S",
                     names=[("card1", 1), ("renderD129", 1), ("cuda0", 5)])]),
      files([(0, 128 * GIB, 100 * GIB, "0-7")], cgroup=(32 * GIB, 10 * GIB, 2 * GIB)),
      CUDA + [cuda_gpu(0, "NVIDIA L40S", "0000:17:00.0", 47_600_000_000, bus_width=384,
                       memory_clock=9001000, l2=100663296, multiprocessors=142, capability_major=8,
                       capability_minor=9, host_node=0)],
      NVML + [nvml_gpu(0, "NVIDIA L40S", "0000:17:00.0", 48_305_799_168, 44_000_000_000,
                       processes=[(4711, 3 * GIB)], power_watts=82.5, power_limit_watts=350)])

# Two sockets, four GPUs joined two by two.
pcis = ["0000:17:00.0", "0000:31:00.0", "0001:b1:00.0", "0001:ca:00.0"]


def bridge(i, j):
    if i == j:
        return 1000000
    return 100000 if i // 2 == j // 2 else 0


def a100(i):
    other = i ^ 1
    return (cuda_gpu(i, "NVIDIA A100 80GB PCIe", pcis[i], 84_000_000_000, bus_width=5120,
                     memory_clock=1512000, l2=41943040, multiprocessors=108, capability_major=8,
                     capability_minor=0, host_node=i // 2, peers=[other]),
            nvml_gpu(i, "NVIDIA A100 80GB PCIe", pcis[i], 85_899_345_920, 84_900_000_000,
                     nvlinks=[(pcis[other], False, 3)] * 12, power_watts=55, power_limit_watts=300))


gpus = [dict(pci=p, package=i // 2, speed=31.507692, device="20b5", name="A100 80GB PCIe",
             names=[(f"nvml{i}", 1)]) for i, p in enumerate(pcis)]
write("two_sockets_four_gpus", "Two sockets with two GPUs each. Each pair is joined by a bridge of 12 NVLinks; the\n"
      "pairs reach each other by way of the host. NVML lists the GPUs backwards.",
      topology([package(list(range(8)), node(0, 256 * GIB)),
                package(list(range(8, 16)), node(1, 256 * GIB))], gpus, bridge),
      files([(0, 256 * GIB, 240 * GIB, "0-7"), (1, 256 * GIB, 200 * GIB, "8-15")]),
      CUDA + [a100(i)[0] for i in range(4)], NVML + [a100(i)[1] for i in (3, 2, 1, 0)])

# The same without the drivers: only hwloc knows of the NVLinks, and no GPU is usable.
write("toolkit_without_driver", "Two sockets and four GPUs, with the CUDA toolkit but no driver: a CPU machine.",
      topology([package(list(range(8)), node(0, 256 * GIB)),
                package(list(range(8, 16)), node(1, 256 * GIB))], gpus),
      files([(0, 256 * GIB, 240 * GIB, "0-7"), (1, 256 * GIB, 200 * GIB, "8-15")]),
      missing("CUDA driver", "libcuda.so.1 is the stub that the CUDA toolkit links against, not a driver"),
      NO_NVML)

# Eight GPUs on switches.
eight = [f"0000:{b:02x}:00.0" for b in (0x18, 0x2a, 0x3a, 0x5d, 0x9a, 0xab, 0xba, 0xdb)]


def h100(i):
    return (cuda_gpu(i, "NVIDIA H100 80GB HBM3", eight[i], 84_900_000_000, bus_width=5120,
                     memory_clock=2619000, l2=52428800, multiprocessors=132, capability_major=9,
                     capability_minor=0, host_node=i // 4, peers=[j for j in range(8) if j != i]),
            nvml_gpu(i, "NVIDIA H100 80GB HBM3", eight[i], 85_520_809_984, 85_000_000_000, 5,
                     nvlinks=[(f"0000:{5 + s:02x}:00.0", True, 5) for s in range(4) for _ in
                              range(4 if s < 2 else 5)],
                     power_watts=71, power_limit_watts=700, ecc=True, uncorrected_errors=0))


write("eight_gpus_switches", "Two sockets, eight GPUs on four NVLink switches. This driver gives Hopper's links\n"
      "the number of version 5.",
      topology([package(list(range(16)), node(0, 1024 * GIB), llc=105 << 20),
                package(list(range(16, 32)), node(1, 1024 * GIB), llc=105 << 20)],
               [dict(pci=p, package=i // 4, speed=63.015385, device="2330", name="H100 SXM5 80GB")
                for i, p in enumerate(eight)]),
      files([(0, 1024 * GIB, 990 * GIB, "0-15"), (1, 1024 * GIB, 1000 * GIB, "16-31")]),
      CUDA + [h100(i)[0] for i in range(8)], NVML + [h100(i)[1] for i in range(8)])

# One slice of a GPU.
write("mig_slice", "A container that is given one MIG slice of a GPU; NVML shows the whole GPU and the slice.",
      topology([package(list(range(8)), node(0, 128 * GIB))],
               [dict(pci="0000:17:00.0", package=0, speed=31.507692, device="20b5", name="A100 80GB PCIe")]),
      files([(0, 128 * GIB, 100 * GIB, "0-7")]),
      CUDA + [cuda_gpu(0, "NVIDIA A100 80GB PCIe MIG 1g.10gb", "0000:17:00.0", 10_200_547_328,
                       bus_width=5120, memory_clock=1512000, l2=5242880, multiprocessors=14,
                       capability_major=8, capability_minor=0, host_node=0)],
      NVML + [nvml_gpu(0, "NVIDIA A100 80GB PCIe", "0000:17:00.0", 85_899_345_920, 60_000_000_000,
                       uuid=uuid(77), mig_parent=True),
              nvml_gpu(0, "NVIDIA A100 80GB PCIe MIG 1g.10gb", "0000:17:00.0", 10_200_547_328,
                       10_100_000_000, mig=True)])

# Coherent: the GPU's memory is a NUMA node.
write("coherent_gpu", "A processor and a GPU with coherent memory: the GPU's memory is NUMA node 1 of the\n"
      "system and counted in MemTotal. The firmware knows both bandwidths.",
      topology([package(list(range(8)), node(0, 480 * GIB),
                        node(1, 96 * GIB, subtype="GPUMemory", gpu="0009:01:00.0"), llc=114 << 20)],
               [dict(pci="0009:01:00.0", package=0, speed=0, device="2342", name="GH200 480GB")],
               bandwidth={0: 450000, 1: 350000}, latency={0: 110, 1: 700}),
      files([(0, 480 * GIB, 460 * GIB, "0-7"), (1, 96 * GIB, 95 * GIB, "")]),
      CUDA + [cuda_gpu(0, "NVIDIA GH200 480GB", "0009:01:00.0", 101_900_000_000, bus_width=6144,
                       memory_clock=2619000, l2=62914560, multiprocessors=132, capability_major=9,
                       capability_minor=0, host_page_tables=True, host_node=0, memory_node=1)],
      NVML + [nvml_gpu(0, "NVIDIA GH200 480GB", "0009:01:00.0", 102_625_181_696, 101_500_000_000, 5)])

# Integrated: no memory of its own.
write("integrated_gpu", "A small computer whose GPU computes out of the host's memory; NVML tells no memory.",
      topology([package(list(range(8)), node(0, 64 * GIB), llc=4 << 20)]),
      files([(0, 64 * GIB, 56 * GIB, "0-7")]),
      CUDA + [cuda_gpu(0, "Orin", "0000:00:00.0", 65_893_945_344, bus_width=256, memory_clock=3199000,
                       multiprocessors=16, capability_major=8, capability_minor=7, integrated=True,
                       host_node=0)])

# Fast and slow memory beside each other.
write("fast_and_slow_memory", "Two sockets, each with ordinary and high-bandwidth memory, and an expander without\n"
      "processors on the first. The process may not use the second socket's memory.",
      topology([package([0, 1, 2, 3], node(0, 128 * GIB, subtype="DRAM"),
                        node(2, 64 * GIB, subtype="HBM"), node(4, 256 * GIB, subtype="CXL-DRAM"), llc=105 << 20),
                package([4, 5, 6, 7], node(1, 128 * GIB, subtype="DRAM"),
                        node(3, 64 * GIB, subtype="HBM"), llc=105 << 20)],
               bandwidth={0: 200000, 1: 200000, 2: 700000, 3: 700000, 4: 30000},
               latency={0: 90, 1: 90, 2: 110, 3: 110, 4: 250}),
      files([(0, 128 * GIB, 120 * GIB, "0-3"), (1, 128 * GIB, 120 * GIB, "4-7"), (2, 64 * GIB, 60 * GIB, ""),
             (3, 64 * GIB, 60 * GIB, ""), (4, 256 * GIB, 250 * GIB, "")], pressure="3.50", allowed="0,2,4"))

# A GPU that fell off the bus.
write("lost_gpu", "Two GPUs, of which one fell off the bus: NVML still counts it.",
      topology([package(list(range(8)), node(0, 128 * GIB))],
               [dict(pci=p, package=0, speed=31.507692, device="20b5", name="A100 80GB PCIe")
                for p in pcis[:2]]),
      files([(0, 128 * GIB, 100 * GIB, "0-7")]),
      CUDA + [a100(0)[0], a100(1)[0]],
      NVML + [a100(0)[1], nvml_gpu(1, "NVIDIA A100 80GB PCIe", pcis[1], None, None, lost=True,
                                   trouble="nvmlDeviceGetMemoryInfo: GPU is lost")])
