#pragma once

#include "cli/options.hpp"
#include "inventory/inventory.hpp"

namespace lockstep {

/// The inventory that a command works with. It can have commands run: a secret's, those of ssh's
/// configuration. So one that somebody else may write to is refused, and so is a file that it names
/// (ssh's configuration, known hosts, keys, authorities); --allow-shared-inventory allows both of
/// one that was named. Throws InputError. The one of the working directory is told on stderr.
[[nodiscard]] Inventory inventory_of(const Options& options);

/// The same without a word on stderr, and of the files that it names nothing is looked at: of one
/// that is only read.
[[nodiscard]] Inventory read_inventory(const Options& options);

/// Throws InputError for a file that the inventory names and somebody else may write to.
void refuse_shared_files(const Inventory& inventory);

}  // namespace lockstep
