#include "mais/core/residency.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace mais::core {

Residency::Residency(AccountId loads, AccountId residue, ReservationId residue_reservation,
                     Calibration calibration)
    : loads_account_(loads), residue_account_(residue), calibration_(std::move(calibration)) {
  residue_.reservation = residue_reservation;
}

Result<Residency> Residency::create(Ledger& ledger, AccountId parent, Calibration calibration) {
  auto loads = ledger.add_account(parent, {.name = "loads"});
  if (!loads) return tl::unexpected<Error>(std::move(loads.error()));
  auto residue = ledger.add_account(parent, {.name = "residue"});
  if (!residue) return tl::unexpected<Error>(std::move(residue.error()));
  auto reservation = ledger.reserve(*residue, Bytes(0));
  if (!reservation) return tl::unexpected<Error>(std::move(reservation.error()));
  return Residency(*loads, *residue, *reservation, std::move(calibration));
}

const Residency::Load* Residency::find(LoadId load) const {
  const auto found =
      std::find_if(loads_.begin(), loads_.end(), [&](const Load& each) { return each.id == load; });
  return found == loads_.end() ? nullptr : &*found;
}

Residency::Load& Residency::at(LoadId load) {
  const Load* const found = find(load);
  MAIS_EXPECTS(found != nullptr, "no such load, or it is gone");
  return loads_[static_cast<std::size_t>(found - loads_.data())];
}

// Gives its reservation back.
void Residency::remove(Ledger& ledger, Load& load) {
  ledger.release(load.booked.reservation);
  loads_.erase(loads_.begin() + (&load - loads_.data()));
}

// Charges what is not charged yet, as far as free memory goes. Returns how much.
Bytes Residency::cover(Ledger& ledger, AccountId account, Booked& booked) {
  const Bytes more = std::min(booked.owed(), ledger.headroom(account));
  if (more <= Bytes(0) || !ledger.try_grow(booked.reservation, more)) return Bytes(0);
  booked.covered += more;
  return more;
}

// So many bytes are there now. What is charged beyond them is given back; what lacks is owed.
void Residency::rebook(Ledger& ledger, Booked& booked, Bytes bytes) {
  booked.bytes = bytes;
  if (booked.covered <= bytes) return;
  ledger.shrink(booked.reservation, booked.covered - bytes);
  booked.covered = bytes;
}

Result<LoadId> Residency::begin_load(Ledger& ledger, CalibrationKey key, Bytes predicted) {
  MAIS_EXPECTS(predicted > Bytes(0), "a prediction is above 0 bytes");
  repay(ledger);
  const Bytes bound = calibration_.bound(key, predicted);
  if (const Bytes owing = owed(); owing > Bytes(0)) {
    Error error;
    error.code = ErrorCode::over_capacity;
    error.message = "Nothing is loaded now: loads took " + std::to_string(owing.count()) +
                    " bytes more than was free, which the next unload repays.";
    error.asked = bound.count();
    error.available = 0;
    return tl::unexpected<Error>(std::move(error));
  }
  auto reservation = ledger.reserve(loads_account_, bound);
  if (!reservation) return tl::unexpected<Error>(std::move(reservation.error()));
  const auto id = static_cast<LoadId>(++last_);
  loads_.push_back({.id = id,
                    .key = std::move(key),
                    .predicted = predicted,
                    .booked = {.reservation = *reservation, .bytes = bound, .covered = bound}});
  return id;
}

Residency::Loaded Residency::end_load(Ledger& ledger, LoadId id, Bytes measured) {
  MAIS_EXPECTS(measured >= Bytes(0), "a measurement is not below 0 bytes");
  Load& load = at(id);
  MAIS_EXPECTS(!load.measured, "a load ends once");
  load.measured = true;
  calibration_.observe(load.key, load.predicted, measured);
  const Bytes reserved = load.booked.covered;
  rebook(ledger, load.booked, measured);
  const Bytes kept = load.booked.covered;
  repay(ledger);
  return {
      .returned = reserved - kept, .taken = load.booked.covered - kept, .owed = load.booked.owed()};
}

void Residency::abandon_load(Ledger& ledger, LoadId id) {
  Load& load = at(id);
  MAIS_EXPECTS(!load.measured, "a load that is there is unloaded");
  remove(ledger, load);
  repay(ledger);
}

Residency::Unloaded Residency::unload(Ledger& ledger, LoadId id, Bytes returned) {
  MAIS_EXPECTS(returned >= Bytes(0), "a measurement is not below 0 bytes");
  Load& load = at(id);
  // Of one that was never measured nothing is known to stay behind.
  const Bytes held = load.measured ? load.booked.bytes : returned;
  remove(ledger, load);
  const Bytes before = residue_.bytes;
  rebook(ledger, residue_, std::max(before + held - returned, Bytes(0)));
  // What stays behind is charged first: it is there, whoever else is owed something.
  cover(ledger, residue_account_, residue_);
  return {.residue = residue_.bytes - before, .repaid = repay(ledger)};
}

void Residency::measure_residue(Ledger& ledger, Bytes residue) {
  MAIS_EXPECTS(residue >= Bytes(0), "a measurement is not below 0 bytes");
  rebook(ledger, residue_, residue);
  repay(ledger);
}

Bytes Residency::repay(Ledger& ledger) {
  Bytes paid = cover(ledger, residue_account_, residue_);
  for (Load& load : loads_) paid += cover(ledger, loads_account_, load.booked);
  return paid;
}

Bytes Residency::owed() const noexcept {
  Bytes sum = residue_.owed();
  for (const Load& load : loads_) sum += load.booked.owed();
  return sum;
}

std::optional<Bytes> Residency::owed(LoadId load) const {
  const Load* found = find(load);
  return found == nullptr ? std::nullopt : std::optional(found->booked.owed());
}

std::optional<Bytes> Residency::held(LoadId load) const {
  const Load* found = find(load);
  return found == nullptr ? std::nullopt : std::optional(found->booked.bytes);
}

}  // namespace mais::core
