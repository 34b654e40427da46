// The books of what models take when they are loaded and what they give back when they are
// unloaded, of one memory space: predictions meet measurements here.
//
//   auto id = residency.begin_load(ledger, key, predicted);  // reserves a bound of known
//   confidence
//   ... the engine loads the model; the device says that it holds `measured` more ...
//   residency.end_load(ledger, *id, measured);               // reserved is what was measured
//   ... the engine unloads it; the device says that it holds `returned` less ...
//   residency.unload(ledger, *id, returned);                 // what stayed behind is residue
//
// Deficit. A load that took more than was reserved for it takes the rest from memory that is free.
// What is not there either is *owed*: nobody is evicted for it, since whoever is evicted would have
// to be loaded again, and take somebody else's memory in turn. Instead it is repaid, oldest first,
// by the next bytes that come back, before anybody can ask for them; nothing is loaded meanwhile.
// While something is owed the device holds that much more than the ledger knows. A host whose
// device is full to the last byte tells it to the planner as held by somebody else
// (Planner::memory_measured), which makes room for it as for any other foreign memory.
//
// Residue. What an unload did not bring back (contexts, libraries' workspaces, fragments) is still
// there and so is charged, to an account of its own, until a measurement says that it is gone.
//
// At every moment, as far as was measured:
//   loads held + residue = what the ledger has of both + owed
//
// Every load teaches the bound of its key (calibration.hpp), so that the next one of its kind is
// predicted better. A plain value, as the ledger is, which every call is given; one user at a
// time. O(loads) for each call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "mais/core/calibration.hpp"
#include "mais/core/ledger.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::core {

// Names one load; given in rising order, never again.
enum class LoadId : std::uint64_t {};

class Residency {
 public:
  // Adds the accounts "loads" and "residue" below `parent`. `calibration`: what the last run
  // learned.
  static Result<Residency> create(Ledger& ledger, AccountId parent,
                                  Calibration calibration = Calibration());

  // Reserves the bound of `predicted` (above 0 bytes). over_capacity, over_limit: it does not fit,
  // or something is owed; nothing is booked.
  Result<LoadId> begin_load(Ledger& ledger, CalibrationKey key, Bytes predicted);

  // The load is there and holds `measured` bytes (>= 0).
  struct Loaded {
    Bytes returned{};  // of the reservation, that was not needed
    Bytes taken{};     // beyond it, from free memory
    Bytes owed{};      // beyond that
  };
  Loaded end_load(Ledger& ledger, LoadId load, Bytes measured);

  // The load failed, and whatever it took is given back.
  void abandon_load(Ledger& ledger, LoadId load);

  // The load is gone, and the device holds `returned` bytes less (>= 0). More than it held is
  // residue of others that went with it; of one that was never measured nothing stays behind.
  struct Unloaded {
    Bytes residue{};  // left behind; negative: that went with it
    Bytes repaid{};   // of what loads were owed
  };
  Unloaded unload(Ledger& ledger, LoadId load, Bytes returned);

  // The device was measured while it stood still: so much of what was unloaded is still there.
  void measure_residue(Ledger& ledger, Bytes residue);

  // Others gave memory back: pays what is owed with what is free now. Returns how much.
  Bytes repay(Ledger& ledger);

  Bytes owed() const noexcept;                   // in all
  std::optional<Bytes> owed(LoadId load) const;  // none: no such load
  std::optional<Bytes> held(LoadId load) const;  // as measured, or reserved before it was
  Bytes residue() const noexcept { return residue_.bytes; }
  std::size_t loads() const noexcept { return loads_.size(); }
  AccountId loads_account() const noexcept { return loads_account_; }
  AccountId residue_account() const noexcept { return residue_account_; }
  const Calibration& calibration() const noexcept { return calibration_; }

 private:
  // Bytes that are there, and how many of them the ledger has.
  struct Booked {
    ReservationId reservation{};
    Bytes bytes{};
    Bytes covered{};
    Bytes owed() const noexcept { return bytes - covered; }
  };
  struct Load {
    LoadId id{};
    CalibrationKey key{};
    Bytes predicted{};
    bool measured = false;
    Booked booked{};
  };
  Residency(AccountId loads, AccountId residue, ReservationId residue_reservation,
            Calibration calibration);
  const Load* find(LoadId load) const;
  Load& at(LoadId load);
  void remove(Ledger& ledger, Load& load);
  static Bytes cover(Ledger& ledger, AccountId account, Booked& booked);
  static void rebook(Ledger& ledger, Booked& booked, Bytes bytes);

  AccountId loads_account_;
  AccountId residue_account_;
  Calibration calibration_;
  std::vector<Load> loads_;  // oldest first
  Booked residue_;
  std::uint64_t last_ = 0;
};

}  // namespace mais::core
