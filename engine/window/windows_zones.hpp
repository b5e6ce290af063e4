#pragma once

#include <string>

namespace lockstep {

/// The IANA name of a zone that programs name otherwise: what Windows calls it ("W. Europe Standard
/// Time"), also as Exchange writes UTC (tzone://Microsoft/Utc), and an IANA name behind the prefix
/// of a program (/freeassociation.sourceforge.net/Europe/Berlin). Empty: none.
///
/// Windows has one zone for several of IANA. Which one is meant depends on a territory that
/// calendars do not say; as everywhere it is the one for "001", the world.
[[nodiscard]] std::string iana_name_of(const std::string& name);

}  // namespace lockstep
