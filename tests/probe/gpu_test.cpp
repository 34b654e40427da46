#include "mais/probe/gpu.hpp"

#include <gmock/gmock.h>

#include "mais/probe/topology.hpp"

namespace mais::probing {
namespace {

TEST(Gpu, IdentitiesHaveOneForm) {
  EXPECT_EQ(canonical_uuid("GPU-01234567-89AB-cdef-0123-456789abcdef"),
            "01234567-89ab-cdef-0123-456789abcdef");
  EXPECT_EQ(canonical_uuid("MIG-01234567-89ab-cdef-0123-456789abcdef"),
            "01234567-89ab-cdef-0123-456789abcdef");
  EXPECT_EQ(canonical_uuid("TPU-01234567-89ab-cdef-0123-456789abcdef"), "");
  EXPECT_EQ(canonical_uuid("01234567+89ab-cdef-0123-456789abcdef"), "");
  EXPECT_EQ(canonical_uuid("0"), "");
}

TEST(Gpu, PeakRatesAreThoseOfTheSpecifications) {
  EXPECT_NEAR(pcie_peak(3, 16).value, 15.75e9, 0.01e9);
  EXPECT_NEAR(pcie_peak(4, 16).value, 31.5e9, 0.01e9);
  EXPECT_NEAR(pcie_peak(5, 8).value, 31.5e9, 0.01e9);
  EXPECT_EQ(pcie_peak(1, 1).value, 250e6);
  EXPECT_EQ(pcie_peak(0, 16).value, 0);
  EXPECT_EQ(pcie_peak(3, 64).value, 0);
  EXPECT_EQ(nvlink_peak(4).value, 25e9);
  EXPECT_EQ(nvlink_peak(9).value, 0);
}

CudaDevice cuda_device(std::string uuid, std::string pci) {
  CudaDevice device;
  device.uuid = std::move(uuid);
  device.pci = std::move(pci);
  return device;
}
NvmlDevice nvml_device(std::string uuid, std::string pci) {
  NvmlDevice device;
  device.uuid = std::move(uuid);
  device.pci = std::move(pci);
  return device;
}

TEST(Gpu, DevicesAreJoinedByUuidThenByPciNeverByPosition) {
  NvmlReading nvml;
  nvml.devices = {nvml_device("b", "0000:02:00.0"), nvml_device("a", "0000:01:00.0"),
                  nvml_device("", "0000:03:00.0")};
  EXPECT_EQ(same_device(cuda_device("a", "0000:01:00.0"), nvml), &nvml.devices[1]);
  EXPECT_EQ(same_device(cuda_device("", "0000:02:00.0"), nvml), &nvml.devices[0]);
  EXPECT_EQ(same_device(cuda_device("c", "0000:03:00.0"), nvml), &nvml.devices[2]);
  // The same slot with another UUID is another device: the card was changed, or it is a slice.
  EXPECT_EQ(same_device(cuda_device("x", "0000:01:00.0"), nvml), nullptr);
  EXPECT_EQ(same_device(cuda_device("x", ""), nvml), nullptr);
}

TEST(Gpu, ASliceIsNeverTakenForTheWholeGpu) {
  NvmlReading nvml;
  nvml.devices = {nvml_device("", "0000:01:00.0"), nvml_device("slice", "0000:01:00.0")};
  nvml.devices[0].mig_parent = true;
  nvml.devices[1].mig = true;
  EXPECT_EQ(same_device(cuda_device("slice", "0000:01:00.0"), nvml), &nvml.devices[1]);
  EXPECT_EQ(same_device(cuda_device("other", "0000:01:00.0"), nvml), nullptr);
  EXPECT_EQ(same_device(cuda_device("", "0000:01:00.0"), nvml), nullptr);
}

TEST(Topology, PciIdsHaveOneForm) {
  EXPECT_EQ(canonical_pci("00000000:17:00.0"), "0000:17:00.0");
  EXPECT_EQ(canonical_pci("17:0.0"), "0000:17:00.0");
  EXPECT_EQ(canonical_pci("0009:01:00.0"), "0009:01:00.0");
  EXPECT_EQ(canonical_pci("10000:01:00.0"), "10000:01:00.0");
  EXPECT_EQ(canonical_pci("GPU"), std::nullopt);
  EXPECT_EQ(canonical_pci("17:00"), std::nullopt);
  EXPECT_EQ(canonical_pci("17:00.8"), std::nullopt);
  EXPECT_EQ(canonical_pci("0:17:00.0 "), std::nullopt);
}

}  // namespace
}  // namespace mais::probing
