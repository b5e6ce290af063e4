#pragma once

#include <string>
#include <string_view>

namespace lockstep {

/// What to do about a connection that was refused: by the words of libpq and of the server, which
/// has no other language before a login (libpq 15, fe-connect.c, fe-secure*.c, fe-auth.c; server
/// auth.c, PostgreSQL 11 to 18).
[[nodiscard]] std::string pq_connect_hint(std::string_view message);

}  // namespace lockstep
