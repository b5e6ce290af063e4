#pragma once

#include "temp_dir.hpp"

#include <string>

namespace lockstep {

inline constexpr const char* k_openssl = "/usr/bin/openssl";

/// `NAME.crt` and `NAME.key` in the directory: signed by itself.
inline void make_certificate(const TempDir& dir,
                             const std::string& name,
                             const std::string& options = {}) {
    run_shell(std::string(k_openssl) +
              " req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
              "-subj /CN=" +
              name + " -keyout " + dir.path(name + ".key") + " -out " + dir.path(name + ".crt") +
              " " + options + " 2>/dev/null");
}

}  // namespace lockstep
